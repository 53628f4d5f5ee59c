"""Optimizers by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..gradients import GradientError
from ..gradients.core.checks import suggest
from .adam import Adam
from .cmaes import CMAES
from .interface import Optimizer
from .lbfgs import LBFGS
from .mppi import MPPI

__all__ = ["make_optimizer", "optimizer_names", "taken"]

_OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], dict[str, str]]] = {
    "adam": (Adam, {"learning_rate": "learning_rate"}),
    "lbfgs": (LBFGS, {"learning_rate": "first_step"}),
    "cmaes": (CMAES, {"scale": "scale", "samples": "population"}),
    "mppi": (MPPI, {"scale": "scale", "samples": "samples"}),
}
"""Each with the option of the command line that each of its fields takes."""


def optimizer_names() -> tuple[str, ...]:
    """Names that :func:`make_optimizer` takes."""
    return tuple(_OPTIMIZERS)


def make_optimizer(name: str, **options: Any) -> Optimizer:
    """The optimizer of this name; options that are None are left to it, those of no use to it are for the backend.

    Args:
        name: "adam", "lbfgs", "cmaes" or "mppi".
        options: ``learning_rate``, ``scale``, ``samples``.
    """
    if name not in _OPTIMIZERS:
        raise GradientError(suggest("optimizer", name, _OPTIMIZERS))
    make, fields = _OPTIMIZERS[name]
    return make(**{fields[key]: value for key, value in options.items() if key in fields and value is not None})


def taken(name: str) -> frozenset[str]:
    """Options of ``make_optimizer`` that the optimizer of this name takes itself."""
    return frozenset(_OPTIMIZERS[name][1])
