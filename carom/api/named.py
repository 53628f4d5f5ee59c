"""Objectives that are given by the name of a task, and the point to begin at."""

from __future__ import annotations

from typing import Any

from ..capabilities import start_of
from ..gradients import GradientError, Objective
from ..gradients.core.objective import objective_name

__all__ = ["named_objective", "start_at"]


def named_objective(objective: Objective | str) -> Objective:
    """The task of this name with its default options; anything else as it is.

    Raises:
        TaskError: There is no task of this name.
        GradientError: It is neither a name nor a function.
    """
    if not isinstance(objective, str):
        if not callable(objective):
            raise GradientError(
                f"objective is a {type(objective).__name__}: give the name of a task, a task, or a function of theta"
            )
        return objective
    from ..envs import make

    return make(objective)


def start_at(objective: Objective, theta: Any) -> Any:
    """Theta, or the objective's own parameters where there is none.

    Raises:
        GradientError: There are none either.
    """
    found = start_of(objective) if theta is None else theta
    if found is None:
        raise GradientError(f"objective {objective_name(objective)!r} has no initial_parameters(): give theta")
    return found
