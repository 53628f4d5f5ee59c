"""Jacobians of a step and linearized rollouts."""
