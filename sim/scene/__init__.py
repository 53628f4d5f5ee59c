"""Building a model."""
