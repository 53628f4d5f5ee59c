"""What an objective says of the picture of its scene. All of it is optional."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["scene_of"]


def scene_of(objective: Any) -> dict[str, Any]:
    """``colors`` and ``goal`` for ``TopDown`` and ``animate``.

    They come from the objective's ``body_colors`` (colours by the body's name) and ``goal_outline`` ([n, 2], m).
    """
    goal = getattr(objective, "goal_outline", None)
    return {"colors": getattr(objective, "body_colors", None), "goal": None if goal is None else np.asarray(goal)}
