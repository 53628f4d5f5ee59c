"""What an objective may offer to the reports beyond its cost. Nothing in them knows a task.

* ``record(theta)``: a ``Recording`` of the rollouts of theta [batch, parameters]; and ``way_points(theta)``: the points
  [batch, n, 2] (m) that the parameters place. Both together make a picture of the scene, with arrows at the points.
* ``goal_outline`` ([n, 2], m) and ``body_colors`` (by the body's name): more for that picture.
* ``landscape_axes``: the indices of two parameters over which the cost is worth a map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["can_record", "has_scene", "landscape_axes", "scene_of"]


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
