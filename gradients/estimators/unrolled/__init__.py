"""Backends that look into an unrolled objective: truncated and clipped backpropagation, persistent ES, IVW-H."""
