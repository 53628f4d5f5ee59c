"""Smoothing with the analytic term of jumps."""
