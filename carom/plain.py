"""Conversion of NumPy numbers to Python numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

__all__ = ["plain", "plain_numbers"]

Made = TypeVar("Made", bound=Callable[..., Any])


def plain(value: Any) -> Any:
    """A NumPy scalar, or array of no dimension, as Python's number; of a tuple or list its entries; else the value."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if type(value) in (tuple, list) and any(isinstance(entry, (np.generic, np.ndarray)) for entry in value):
        return type(value)(plain(entry) for entry in value)
    return value


def plain_numbers(made: Made) -> Made:
    """Decorates a class or a function: its arguments arrive as by :func:`plain`.

    So options may come out of NumPy, and what is kept and computed with them is the same as with Python's numbers:
    NumPy would round ``np.float32(0.005) * 3.0`` to single precision.
    """
    if isinstance(made, type):
        made.__init__ = plain_numbers(made.__init__)  # type: ignore[misc]
        return made

    @functools.wraps(made)
    def call(*args: Any, **options: Any) -> Any:
        return made(*map(plain, args), **{name: plain(value) for name, value in options.items()})

    return call  # type: ignore[return-value]
