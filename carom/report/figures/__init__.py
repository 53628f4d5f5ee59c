"""Figures of a report, each with its caption beside it."""
