"""Unrolled objectives: a first state, a step, and a cost for each step, all of them functions of theta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ...plain import plain_numbers
from .checks import check_count
from .errors import GradientError
from .interface import Objective
from .objective import objective_name
from .optional import optional

__all__ = ["State", "Stepwise", "UnrolledObjective", "unrolled"]

State = tuple[torch.Tensor, ...]
"""Tensors [batch, ...] that together are the state of every row."""

_FORM = "stepwise() -> UnrolledObjective(start, step, cost, horizon)"


@plain_numbers
@dataclass(frozen=True)
class UnrolledObjective:
    """f(theta) = sum over t < T of cost(x_t, x_(t+1), theta, t).

    With x_0 = start(theta) and x_(t+1) = step(x_t, theta, t). It is an objective as any other, and one that backends
    can look into: theta may differ from step to step, the adjoint can be seen between steps, and every cost has its
    step. Rows of a batch do not affect each other. The three are torch functions, differentiable where a backend wants
    exact gradients.

    A cost of the last state alone is zero for all steps but the last. Parameters that enter the first state alone, or
    one step alone (a control), are parameters like others.
    """

    start: Callable[[torch.Tensor], torch.Tensor | State]
    """Theta [batch, parameters] to the first state: a tensor [batch, ...], or a tuple of such tensors."""
    step: Callable[[Any, torch.Tensor, int], torch.Tensor | State]
    """State (in the form that ``start`` gives), theta and number of the step to the next state, in the same form."""
    cost: Callable[[Any, Any, torch.Tensor, int], torch.Tensor]
    """State before and after a step, theta and number of the step to costs [batch]."""
    horizon: int
    """Steps T."""
    name: str = "unrolled objective"

    def __post_init__(self) -> None:
        forms = {
            "start": "theta -> state",
            "step": "(state, theta, t) -> next state",
            "cost": "(state, next state, theta, t) -> costs [batch]",
        }
        for name, form in forms.items():
            if not callable(getattr(self, name)):
                raise GradientError(f"{name} is a {type(getattr(self, name)).__name__}: give a function {form}")
        check_count("horizon", self.horizon, 1)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of theta [batch, parameters]."""
        state, total = self.first(theta), theta.new_zeros(len(theta))
        for time in range(self.horizon):
            after = self.advance(state, theta, time)
            total, state = total + self.paid(state, after, theta, time), after
        return total

    def stepwise(self) -> UnrolledObjective:
        """Itself."""
        return self

    def first(self, theta: torch.Tensor) -> State:
        """First state, as a tuple.

        Raises:
            GradientError: Not a tensor or a tuple of tensors, or without a row for each theta.
        """
        return self._state(self.start(theta), len(theta), "start")

    def advance(self, state: State, theta: torch.Tensor, time: int) -> State:
        """Next state, as a tuple.

        Raises:
            GradientError: Another form or shape than that of the state.
        """
        after = self._state(self.step(_plain(state), theta, time), len(theta), f"step {time}")
        shapes, wanted = [list(part.shape) for part in after], [list(part.shape) for part in state]
        if shapes != wanted:
            raise GradientError(
                f"step {time} of {self.name!r} returned a state of shapes {shapes}: {wanted} are wanted"
            )
        return after

    def paid(self, state: State, after: State, theta: torch.Tensor, time: int) -> torch.Tensor:
        """Costs [batch] of a step, in theta's type.

        Raises:
            GradientError: Another shape, or a cost that is not finite.
        """
        cost = self.cost(_plain(state), _plain(after), theta, time)
        if not isinstance(cost, torch.Tensor) or cost.shape != theta.shape[:1]:
            found = f"shape {list(cost.shape)}" if isinstance(cost, torch.Tensor) else type(cost).__name__
            raise GradientError(
                f"cost of step {time} of {self.name!r} is {found}: a tensor of shape {[len(theta)]} is wanted"
            )
        bad = (~torch.isfinite(cost.detach())).nonzero().reshape(-1).tolist()
        if bad:
            raise GradientError(
                f"the cost of step {time} of {self.name!r} is not finite in {len(bad)} of {len(theta)} rows (the first "
                f"is row {bad[0]}): use smaller noise, fewer steps, or repair the step there"
            )
        return cost.to(theta.dtype)

    def _state(self, given: object, rows: int, where: str) -> State:
        parts = given if isinstance(given, tuple) else (given,)
        for part in parts:
            if not isinstance(part, torch.Tensor) or part.ndim < 1 or len(part) != rows or not part.is_floating_point():
                found = (
                    f"a {part.dtype} tensor {list(part.shape)}"
                    if isinstance(part, torch.Tensor)
                    else type(part).__name__
                )
                raise GradientError(
                    f"{where} of {self.name!r} returned {found} as a state of {rows} rows: return a real floating "
                    f"tensor [{rows}, ...], or a tuple of such tensors"
                )
        if not parts:
            raise GradientError(f"{where} of {self.name!r} returned a state of no tensors")
        return tuple(parts)


def _plain(state: State) -> torch.Tensor | State:
    """A state in the form that functions of it take: a state of one tensor is that tensor."""
    return state[0] if len(state) == 1 else state


@runtime_checkable
class Stepwise(Protocol):
    """An objective that can be taken apart into steps."""

    def stepwise(self) -> UnrolledObjective:
        """The same cost, step by step."""
        ...


def unrolled(objective: Objective) -> UnrolledObjective:
    """The objective step by step, by its ``stepwise``.

    Raises:
        GradientError: The objective has no ``stepwise``, or it returns something else.
    """
    method = optional(objective, "stepwise")
    if not callable(method):
        raise GradientError(
            f"objective {objective_name(objective)!r} is not unrolled: it has no {_FORM}. Tasks that are simulated and "
            "testbeds with steps have one. Around a step of your own make UnrolledObjective(start, step, cost, "
            "horizon), around one of states and controls unrolled_controls(step, start, cost, horizon); for a cost "
            "that is a black box use Smoothing"
        )
    answer = method()
    if not isinstance(answer, UnrolledObjective):
        raise GradientError(
            f"stepwise of {objective_name(objective)!r} returned a {type(answer).__name__}: the form is {_FORM}"
        )
    return answer
