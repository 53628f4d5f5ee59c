"""Which features of which shapes are near."""
