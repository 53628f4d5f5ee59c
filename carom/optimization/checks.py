"""Checks of options that the optimizers share."""

from __future__ import annotations

import math

from ..gradients import GradientError

__all__ = ["check_positive", "check_share"]


def check_positive(name: str, number: object, *, optional: bool = False) -> None:
    """Refuse anything but a positive finite number (or None, where it is optional)."""
    if optional and number is None:
        return
    if isinstance(number, bool) or not (isinstance(number, (int, float)) and math.isfinite(number) and number > 0.0):
        raise GradientError(f"{name} is {number!r}: give a positive number")


def check_share(name: str, number: object) -> None:
    """Refuse anything but a number above 0 and not above 1."""
    if isinstance(number, bool) or not (isinstance(number, (int, float)) and 0.0 < number <= 1.0):
        raise GradientError(f"{name} is {number!r}: give a share above 0, at most 1")
