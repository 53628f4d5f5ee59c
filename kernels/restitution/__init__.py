"""Impacts within a step, and their adjoint."""
