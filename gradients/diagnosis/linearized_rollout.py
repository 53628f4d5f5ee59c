"""Linearized rollouts of objectives, step by step, and their contacts over time, as a diagnosis uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from ...plain import plain_numbers
from ..core.errors import GradientError
from ..core.objective import objective_name
from ..core.optional import has_methods

__all__ = ["Steps", "TorchSteps", "contact_history_of", "steps_of", "supports"]


@runtime_checkable
class Steps(Protocol):
    """One evaluation of the objective at one theta, step by step."""

    step_size: float
    """Time of a step: [s], or 1 where time is a count."""
    state_size: int
    """Numbers in a state."""
    gradient_by_step: torch.Tensor | None
    """Derivative of the cost with respect to the input of each step (the controls, or the state), [T, k]; None where
    there is no input."""

    steps: int
    """T."""

    def pull(self, step: int, seeds: torch.Tensor) -> torch.Tensor:
        """``seeds`` [k, n] times the Jacobian of the state after ``step`` by the state before it, [k, n]."""
        ...


@plain_numbers
class TorchSteps:
    """Steps of a map that torch can differentiate, and of a cost of the states met.

    ``gradient_by_step`` is the derivative of the cost with respect to each state, through all that follows from it.

    Args:
        step: The map, state [n] and number of the step to the next state [n].
        start: First state, [n].
        count: Steps T.
        cost: Cost of the states [T + 1, n], differentiable by torch.
        step_size: Time of a step.
    """

    def __init__(
        self,
        step: Callable[[torch.Tensor, int], torch.Tensor],
        start: torch.Tensor,
        count: int,
        cost: Callable[[torch.Tensor], torch.Tensor],
        step_size: float = 1.0,
    ) -> None:
        self.steps = count
        self.step_size = step_size
        self.state_size = len(start)
        states = [start.detach()]
        self._jacobians = []
        for t in range(count):
            self._jacobians.append(torch.autograd.functional.jacobian(lambda x, t=t: step(x, t), states[-1]))
            states.append(step(states[-1], t).detach())
        leaf = torch.stack(states).requires_grad_()
        with torch.enable_grad():
            (direct,) = torch.autograd.grad(cost(leaf).sum(), leaf)
        adjoint, found = direct[-1], []
        for t in reversed(range(count)):
            adjoint = direct[t] + adjoint @ self._jacobians[t]
            found.append(adjoint)
        self.gradient_by_step: torch.Tensor | None = torch.stack(found[::-1])

    def pull(self, step: int, seeds: torch.Tensor) -> torch.Tensor:
        """``seeds`` [k, n] times the Jacobian of a step."""
        return seeds.to(self._jacobians[step]) @ self._jacobians[step]


def supports(objective: object, method: str) -> bool:
    """Whether an objective has the method ``unroll`` or ``contact_history``."""
    return has_methods(objective, method)


def steps_of(objective: Any, theta: torch.Tensor) -> Steps:
    """The steps of ``objective(theta)`` for one theta [parameters].

    Raises:
        GradientError: The objective has no ``unroll``.
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
    """Contacts over time: bool [batch, T, pairs] and the names of the pairs, for theta [batch, parameters].

    Raises:
        GradientError: The objective has no ``contact_history``, or it returns another shape.
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
    if not supports(objective, method):
        raise GradientError(
            f"objective {objective_name(objective)!r} cannot be looked into: it has no {form}. The tasks that are "
            "simulated have it; for others leave this diagnosis out"
        )
