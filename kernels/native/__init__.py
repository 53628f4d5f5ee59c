"""Native text of kernels that take several worlds side by side, for any number of lanes."""
