"""The studies of a comparison, one file each."""
