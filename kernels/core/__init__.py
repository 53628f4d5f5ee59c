"""Parts that all kernels share: precision, shape types, vector registers, arrays."""
