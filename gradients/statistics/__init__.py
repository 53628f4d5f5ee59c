"""Means and their errors."""
