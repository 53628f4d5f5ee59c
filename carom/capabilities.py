"""What an objective may offer to the reports beyond its cost. Nothing in them knows a task.

* ``record(theta)``: a ``Recording`` of the rollouts of theta [batch, parameters]; and ``way_points(theta)``: the points
  [batch, n, 2] (m) that the parameters place. Both together make a picture of the scene, with arrows at the points.
* ``goal_outline`` ([n, 2], m) and ``body_colors`` (by the body's name): more for that picture.
* ``landscape_axes``: the indices of two parameters over which the cost is worth a map.
* ``at_horizon(steps)``: the same objective, its cost taken after so many steps; and ``steps``, how many it has itself.
* ``at_stiffness(stiffness)``: the same objective with contacts of this stiffness [N/m]; and ``stiffness_range``, the
  least and the greatest that make sense.
* ``unroll(theta)``, for growth step by step, as ``carom.gradients.diagnosis`` describes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .gradients.core.interface import Objective

__all__ = ["can_record", "has_scene", "horizons_of", "landscape_axes", "scene_of", "stiffnesses_of"]


def can_record(objective: object) -> bool:
    """Whether its rollouts can be recorded."""
    return callable(getattr(objective, "record", None))


def has_scene(objective: object) -> bool:
    """Whether there is a picture."""
    return all(callable(getattr(objective, name, None)) for name in ("record", "way_points"))


def landscape_axes(objective: object) -> tuple[int, int] | None:
    """The two parameters of the map, where the objective names them."""
    axes = getattr(objective, "landscape_axes", None)
    return None if axes is None else (int(axes[0]), int(axes[1]))


def scene_of(objective: Any) -> dict[str, Any]:
    """``colors`` and ``goal`` for ``TopDown`` and ``animate``, where the objective gives them."""
    goal = getattr(objective, "goal_outline", None)
    return {"colors": getattr(objective, "body_colors", None), "goal": None if goal is None else np.asarray(goal)}


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
