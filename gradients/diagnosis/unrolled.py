"""What an objective may offer to be looked into: its steps, and who touched whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from ..errors import GradientError
from ..objective import objective_name

__all__ = ["Steps", "TorchSteps", "contact_history_of", "offers", "steps_of"]


@runtime_checkable
class Steps(Protocol):
    """One evaluation of the objective at one theta, step by step."""

    step_size: float
    """Time of a step: [s], or 1 where time is a count."""
    state_size: int
    """Numbers that make a state."""
    gradient_by_step: torch.Tensor
    """Derivative of the cost with respect to what enters at each step (the controls, or the state), [T, k]."""

    @property
    def steps(self) -> int:
        """T."""
        ...

    def pull(self, step: int, seeds: torch.Tensor) -> torch.Tensor:
        """``seeds`` [k, n] times the Jacobian of the state after ``step`` by the state before it, [k, n]."""
        ...


@dataclass(frozen=True)
class TorchSteps:
    """Steps of a map that torch can differentiate.

    Args:
        step: The map, state [n] and number of the step to the next state [n].
        states: The states met, [T + 1, n].
        gradient_by_step: Derivative of the cost with respect to the states 0 to T - 1, or to the controls; [T, k].
        step_size: Time of a step.
    """

    step: Callable[[torch.Tensor, int], torch.Tensor]
    states: torch.Tensor
    gradient_by_step: torch.Tensor
    step_size: float = 1.0

    @property
    def steps(self) -> int:
        """T."""
        return len(self.states) - 1

    @property
    def state_size(self) -> int:
        """Numbers that make a state."""
        return self.states.shape[1]

    def pull(self, step: int, seeds: torch.Tensor) -> torch.Tensor:
        """``seeds`` [k, n] times the Jacobian of a step."""
        jacobian = torch.autograd.functional.jacobian(lambda x: self.step(x, step), self.states[step].detach())
        return seeds.to(jacobian) @ jacobian


def offers(objective: object, method: str) -> bool:
    """Whether an objective has the method ``unroll`` or ``contact_history``."""
    return callable(getattr(objective, method, None))


def steps_of(objective: Any, theta: torch.Tensor) -> Steps:
    """The steps of ``objective(theta)`` for one theta [parameters].

    Raises:
        GradientError: The objective does not offer them.
    """
    _require(objective, "unroll", "unroll(theta) -> Steps, for theta [1, parameters]")
    answer = objective.unroll(theta.detach().reshape(1, -1))
    if not isinstance(answer, Steps):
        raise GradientError(
            f"unroll of {objective_name(objective)!r} returned a {type(answer).__name__}: return an object with steps, "
            "step_size, state_size, gradient_by_step and pull, e.g. TorchSteps"
        )
    return answer


def contact_history_of(objective: Any, rows: torch.Tensor) -> tuple[np.ndarray, list[str]]:
    """Which pairs touch when: [batch, T, pairs] of bool and the pairs' names, for theta [batch, parameters].

    Raises:
        GradientError: The objective does not offer it, or answers with another shape.
    """
    _require(objective, "contact_history", "contact_history(theta) -> (bool [batch, T, pairs], names)")
    active, names = objective.contact_history(rows.detach())
    active = np.asarray(active, dtype=bool)
    if active.ndim != 3 or len(active) != len(rows) or active.shape[2] != len(names):
        raise GradientError(
            f"contact_history of {objective_name(objective)!r} returned shape {list(active.shape)} with {len(names)} "
            f"names for {len(rows)} thetas: return bool [batch, T, pairs] and a name for each pair"
        )
    return active, list(names)


def _require(objective: object, method: str, form: str) -> None:
    if not offers(objective, method):
        raise GradientError(
            f"objective {objective_name(objective)!r} cannot be looked into: it has no {form}. The tasks that are "
            "simulated have it; for others leave this diagnosis out"
        )
