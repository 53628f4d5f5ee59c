"""Randomized smoothing of the first, zeroth and mixed order."""
