"""Checks of single numbers that a user gives to the builder; each error names the input."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..plain import plain
from .errors import ModelError

__all__ = ["bit_mask", "fraction", "index", "not_negative", "number", "positive", "text", "unit_quaternion", "vector"]


def number(value: Any, what: str) -> float:
    """A real number, or a ModelError."""
    try:
        if not isinstance(value, (str, bytes)):  # which float() would read
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ModelError(f"{what} must be a number, got {value!r}")


def index(value: Any, what: str) -> int:
    """An integer, of Python or numpy, or a ModelError."""
    try:
        return operator.index(value)
    except TypeError:
        raise ModelError(f"{what} must be an integer, got {value!r}") from None


def vector(value: Sequence[float], length: int, what: str) -> np.ndarray:
    """``length`` finite numbers as float64, or a ModelError."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"{what} must have {length} numbers, got {value!r}") from None
    if array.shape != (length,):
        raise ModelError(f"{what} must have {length} numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ModelError(f"{what} must be finite, got {array.tolist()}")
    return array


def unit_quaternion(value: Sequence[float], what: str) -> np.ndarray:
    """A quaternion (x, y, z, w) of norm 1 up to rounding, normalized, or a ModelError."""
    q = vector(value, 4, what)
    if abs(np.linalg.norm(q) - 1.0) > 1e-3:
        raise ModelError(
            f"{what} must be a unit quaternion (x, y, z, w), got {q.tolist()} of norm {np.linalg.norm(q):.4g}"
        )
    return q / np.linalg.norm(q)


def positive(value: float, what: str, unit: str) -> float:
    """A finite number above zero, or a ModelError."""
    real = number(value, what)
    if not (math.isfinite(real) and real > 0.0):
        raise ModelError(f"{what} must be positive and finite [{unit}], got {value}")
    return real


def not_negative(value: float, what: str) -> float:
    """A finite number of zero or more, or a ModelError."""
    real = number(value, what)
    if not (math.isfinite(real) and real >= 0.0):
        raise ModelError(f"{what} must be finite and not negative, got {value}")
    return real


def fraction(value: float, what: str) -> float:
    """A number from 0 to 1, or a ModelError."""
    real = number(value, what)
    if not 0.0 <= real <= 1.0:
        raise ModelError(f"{what} must be 0 to 1, got {value}")
    return real


def bit_mask(value: Any, what: str) -> int:
    """An integer of 32 bits, or a ModelError."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{what} must be an integer whose bits name groups, got {value!r}; give 1, 2, 4, ... or sums")
    if not 0 <= value < 1 << 32:
        raise ModelError(f"{what} must fit into 32 bits (0 to 0xFFFFFFFF), got {value}")
    return int(value)


def text(value: Any, what: str) -> str:
    """A string, or a ModelError."""
    if not isinstance(value, str):
        raise ModelError(f"{what} must be a string, got {value!r}")
    return value
