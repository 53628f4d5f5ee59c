"""Backends that installed packages offer by entry points of the group ``carom.backends``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

__all__ = ["GROUP", "load_plugins"]

GROUP = "carom.backends"
"""Group of the entry points: ``name = "module:factory"``, or ``name = "module"`` for one that registers by itself."""


def load_plugins(register: Callable[[str, Any], None]) -> dict[str, str]:
    """Load all and pass each to ``register``; by name, the reasons of those that failed, which are warnings too."""
    failed: dict[str, str] = {}
    found = sorted(entry_points(group=GROUP), key=lambda one: (one.name, _package(one), one.value))
    for point in dict.fromkeys(found):
        try:
            loaded = point.load()
            if not isinstance(loaded, ModuleType):
                register(point.name, loaded)
        except Exception as error:
            said = " ".join(str(error).split())
            failed[point.name] = (
                f"the backend {point.name!r} of the package {_package(point)!r} ({point.value}) cannot be loaded: "
                f"{type(error).__name__}: {said}. Update or remove the package, or choose another backend"
            )
            warnings.warn(failed[point.name], RuntimeWarning, stacklevel=2)
    return failed


def _package(point: EntryPoint) -> str:
    distribution = getattr(point, "dist", None)
    return "?" if distribution is None else str(distribution.name)
