"""What an objective may offer to the studies beyond its cost.

* ``at_horizon(steps)``: the same objective, its cost taken after so many steps; and ``steps``, how many it has itself.
* ``at_stiffness(stiffness)``: the same objective with contacts of this stiffness [N/m]; and ``stiffness_range``, the
  least and the greatest that make sense.
* ``unroll(theta)``, for growth step by step, as ``carom.gradients.diagnosis`` describes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..gradients.core.interface import Objective

__all__ = ["horizons_of", "stiffnesses_of"]


def horizons_of(objective: Any, points: int) -> tuple[Callable[[float], Objective], list[float]] | None:
    """How to change the horizon, and values of it in equal ratios of time up to all; None where it is not offered."""
    make, steps = getattr(objective, "at_horizon", None), getattr(objective, "steps", None)
    if not callable(make) or not isinstance(steps, int) or steps < points:
        return None
    values = sorted({max(1, round(steps * share)) for share in np.linspace(1.0 / points, 1.0, points)})
    return lambda value: make(round(value)), [float(value) for value in values]


def stiffnesses_of(objective: Any, points: int) -> tuple[Callable[[float], Objective], list[float]] | None:
    """How to change the stiffness of contacts, and values [N/m] in equal ratios; None where it is not offered."""
    make, ends = getattr(objective, "at_stiffness", None), getattr(objective, "stiffness_range", None)
    if not callable(make) or ends is None:
        return None
    return make, [float(value) for value in np.geomspace(float(ends[0]), float(ends[1]), points)]
