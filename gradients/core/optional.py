"""Attributes that an objective, a step, a policy or a backend may have; a fault in one is not taken for its absence."""

from __future__ import annotations

import inspect
from typing import Any

from .errors import GradientError

__all__ = ["has_methods", "optional"]

_ABSENT = object()


def optional(owner: object, name: str, otherwise: Any = None) -> Any:
    """The attribute ``name`` of ``owner``, or ``otherwise`` where there is none.

    Attributes that a wrapper passes on (``__getattr__``) count.

    Raises:
        GradientError: The attribute is a property, and the property raised AttributeError.
    """
    try:
        return getattr(owner, name)
    except AttributeError as error:
        # another name is missing in a property, at whatever depth of wrappers
        elsewhere = error.name is not None and error.name != name
        if not elsewhere and inspect.getattr_static(owner, name, _ABSENT) is _ABSENT:
            return otherwise
        raise GradientError(
            f"{name} of {type(owner).__name__} is defined but cannot be read: {error}. Repair the property, or leave "
            f"{name} out where the {type(owner).__name__} has none"
        ) from error


def has_methods(owner: object, *names: str) -> bool:
    """Whether there are such methods; those that a wrapper passes on count."""
    return all(callable(optional(owner, name)) for name in names)
