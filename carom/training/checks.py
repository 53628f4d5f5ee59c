"""Checks of settings that the methods share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import TrainingError

__all__ = ["check_count", "check_hidden", "check_not_negative", "check_positive", "check_share"]


def check_count(name: str, value: object, least: int = 1) -> None:
    """Refuse anything but an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TrainingError(f"{name} is {value!r}: give an integer of at least {least}")


def check_positive(name: str, value: object) -> None:
    """Refuse anything but a positive finite number."""
    if not (_finite(value) and value > 0.0):  # type: ignore[operator]
        raise TrainingError(f"{name} is {value!r}: give a positive finite number")


def check_not_negative(name: str, value: object) -> None:
    """Refuse anything but a finite number from 0 up."""
    if not (_finite(value) and value >= 0.0):  # type: ignore[operator]
        raise TrainingError(f"{name} is {value!r}: give a finite number that is not negative")


def check_share(name: str, value: object) -> None:
    """Refuse anything but a number from 0 to 1."""
    if not (_finite(value) and 0.0 <= value <= 1.0):  # type: ignore[operator]
        raise TrainingError(f"{name} is {value!r}: give a number from 0 to 1")


def check_hidden(value: object) -> tuple[int, ...]:
    """Widths of hidden layers as a tuple; refuse anything else."""
    widths = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
    if widths is None or not all(isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in widths):
        raise TrainingError(f"hidden is {value!r}: give the widths of the hidden layers, e.g. (64, 64) or (8,)")
    return widths


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
