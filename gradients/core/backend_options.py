"""Options of backends: the same backend with one option replaced, where it has that option."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...gradients.core.errors import GradientError
from .interface import Backend

__all__ = ["has_option", "in_words", "with_option"]


def with_option(backend: Backend, name: str, value: Any) -> Backend | None:
    """``backend`` with its option, or that of the backends inside it, set to ``value``; None where there is no such.

    Raises:
        GradientError: The backend refuses the value.
    """
    if not dataclasses.is_dataclass(backend) or isinstance(backend, type):
        return None
    fields = {field.name for field in dataclasses.fields(backend) if field.init}
    if name in fields:
        try:
            return dataclasses.replace(backend, **{name: value})  # type: ignore[return-value]
        except GradientError:
            raise
        except Exception as error:  # of a class that is not ours
            raise GradientError(f"{type(backend).__name__} refuses {name} = {value!r}: {error}") from error
    inner = {field: with_option(getattr(backend, field), name, value) for field in fields}
    changed = {field: part for field, part in inner.items() if part is not None}
    return dataclasses.replace(backend, **changed) if changed else None  # type: ignore[return-value]


def in_words(backend: Backend) -> str:
    """The backend with its options, without the address in memory that the default text of an object has."""
    return type(backend).__name__ if type(backend).__repr__ is object.__repr__ else repr(backend)


def has_option(backend: Backend, name: str) -> bool:
    """Whether the backend, or one inside it, has the option."""
    if not dataclasses.is_dataclass(backend):
        return False
    names = [field.name for field in dataclasses.fields(backend)]
    return name in names or any(has_option(getattr(backend, field), name) for field in names)
