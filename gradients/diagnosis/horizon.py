"""Variance of first and zeroth order by horizon, and the horizon from which one exceeds the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError
from ..core.interface import Backend, Objective
from ..core.objective import objective_name
from ..core.optional import optional

__all__ = ["HorizonVariance", "variance_by_horizon"]


@dataclass(frozen=True)
class HorizonVariance:
    """Trace variance of two estimates of the same gradient, by horizon."""

    horizons: tuple[int, ...]
    """Steps."""
    first: tuple[float, ...]
    """Variance of the first order, summed over the parameters."""
    zeroth: tuple[float, ...]
    """Variance of the zeroth order."""

    @property
    def crossing(self) -> float | None:
        """Horizon in steps from which on the first order is noisier, by interpolation of the logarithms.

        0 if it always is, None if it is not at the last horizon.
        """
        ratios = [_log_ratio(a, b) for a, b in zip(self.first, self.zeroth, strict=True)]
        if ratios[-1] <= 0.0:
            return None
        last = max((i for i, ratio in enumerate(ratios) if ratio <= 0.0), default=-1)
        if last < 0:
            return 0.0
        low, high = self.horizons[last], self.horizons[last + 1]
        a, b = ratios[last], ratios[last + 1]
        share = 1.0 if math.isinf(a) or math.isinf(b) else -a / (b - a)
        return low + share * (high - low)


def _log_ratio(a: float, b: float) -> float:
    if a == b:
        return 0.0
    return (math.log(a) if a > 0.0 else -math.inf) - (math.log(b) if b > 0.0 else -math.inf)


@plain_numbers
def variance_by_horizon(
    objective: Objective,
    theta: torch.Tensor,
    horizons: Sequence[int],
    *,
    first: Backend,
    zeroth: Backend,
    at_horizon: Callable[[int], Objective] | None = None,
    seed: int = 0,
) -> HorizonVariance:
    """Variances of ``first`` and ``zeroth`` at growing horizons.

    Args:
        objective: Objective with ``at_horizon(steps)``, the objective that ends after so many steps; any objective
            where the argument ``at_horizon`` is given.
        theta: [parameters].
        horizons: Steps, ascending.
        first: e.g. ``Smoothing(order="first", antithetic=False)``.
        zeroth: e.g. ``Smoothing(antithetic=False)``.
        at_horizon: Steps to an objective of the same parameters.
        seed: Seed of both backends.

    Raises:
        GradientError: There is no ``at_horizon``, a backend without a standard error, horizons that do not ascend.
    """
    make = at_horizon or optional(objective, "at_horizon")
    if not callable(make):
        raise GradientError(
            f"objective {objective_name(objective)!r} has no at_horizon(steps): pass at_horizon=, a function from "
            "steps to an objective that ends there"
        )
    horizons = tuple(horizons)
    for horizon in horizons:
        check_count("horizon", horizon, 1)
    if not horizons or list(horizons) != sorted(set(horizons)):
        raise GradientError(f"horizons must ascend, got {list(horizons)}")
    found: dict[str, list[float]] = {"first": [], "zeroth": []}
    for horizon in horizons:
        shorter = make(horizon)
        for name, backend in (("first", first), ("zeroth", zeroth)):
            error = backend.estimate(shorter, theta, seed=seed).standard_error
            if error is None:
                raise GradientError(f"{name} is {type(backend).__name__}, which has no standard error: use Smoothing")
            found[name].append(float(error.double().square().sum()))
    return HorizonVariance(horizons, tuple(found["first"]), tuple(found["zeroth"]))
