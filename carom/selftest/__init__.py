"""Checks of carom's own statements on problems whose answers are known: ``carom selftest``."""
