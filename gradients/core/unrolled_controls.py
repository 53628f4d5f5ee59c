"""A step of states and controls, rolled out from one state, as an unrolled objective of its controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...first_order import FirstOrder, Limits, Product, refuse_batched
from .errors import GradientError
from .objective import objective_name
from .optional import optional
from .step_calls import Step, evaluate_step, evaluate_step_jacobian
from .unrolled import UnrolledObjective

__all__ = ["unrolled_controls"]


def unrolled_controls(
    step: Step,
    start: torch.Tensor,
    cost: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    horizon: int,
    *,
    controls: int,
    final_cost: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> UnrolledObjective:
    """Sum over t < T of cost(x_t, u_t), plus final_cost(x_T), as a function of theta = (u_0, ..., u_(T-1)).

    A step with ``step_jacobian`` (a :class:`DifferentiableStep`) is differentiated by it and needs no torch inside;
    any other by torch.

    Args:
        step: States [batch, n] and controls [batch, m] to next states [batch, n].
        start: First state x_0, [n].
        cost: States [batch, n] and controls [batch, m] to costs [batch].
        horizon: Steps T.
        controls: Number m of controls; theta is [batch, T m].
        final_cost: States [batch, n] to costs [batch]; by default none.

    Raises:
        GradientError: A step or a cost that is no function, a start that is no vector; later, a wrong number of
            parameters.
    """
    for name, function in (("step", step), ("cost", cost)):
        if not callable(function):
            raise GradientError(f"{name} is a {type(function).__name__}: give a function of states and controls")
    if not isinstance(start, torch.Tensor) or start.ndim != 1 or not start.is_floating_point():
        found = list(start.shape) if isinstance(start, torch.Tensor) else type(start).__name__
        raise GradientError(f"start is {found}: give a real floating tensor [n]")
    exact = callable(optional(step, "step_jacobian"))

    def first(theta: torch.Tensor) -> torch.Tensor:
        if theta.shape[1] != horizon * controls:
            raise GradientError(
                f"theta has {theta.shape[1]} parameters: {horizon} steps of {controls} controls have "
                f"{horizon * controls}"
            )
        return start.to(theta).expand(len(theta), -1)

    def at(theta: torch.Tensor, time: int) -> torch.Tensor:
        return theta[:, time * controls : (time + 1) * controls]

    def advance(state: torch.Tensor, theta: torch.Tensor, time: int) -> torch.Tensor:
        after: torch.Tensor = (_ByJacobian.apply if exact else _call)(step, state, at(theta, time))
        return after

    def paid(state: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, time: int) -> torch.Tensor:
        total = cost(state, at(theta, time))
        if time == horizon - 1 and final_cost is not None:
            total = total + final_cost(after)
        return total

    return UnrolledObjective(first, advance, paid, horizon, name=f"{objective_name(step)} over {horizon} steps")


def _call(step: Step, states: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
    return step(states, controls)


_LIMITS = Limits(
    what="a step with a step_jacobian",
    instead="take central differences of its first derivative",
    batch="give the rows as one batch of states and controls",
    error=GradientError,
)


class _ByJacobian(FirstOrder):
    """A step whose derivative is its ``step_jacobian``. Inputs: step, states, controls."""

    limits = _LIMITS

    @staticmethod
    def forward(step: Any, states: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
        return evaluate_step(step, states.detach(), controls.detach())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.step = inputs[0]
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *seeds: torch.Tensor) -> tuple[Any, ...]:
        refuse_batched(_LIMITS, seeds[0])
        return None, *_Pull.apply(ctx.step, *ctx.saved_tensors, seeds[0])


class _Pull(Product):
    """Seeds times A and B. Inputs: step, states, controls, seeds [batch, n]."""

    limits = _LIMITS

    @staticmethod
    def forward(
        step: Any, states: torch.Tensor, controls: torch.Tensor, seeds: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        _, a, b = evaluate_step_jacobian(step, states.detach(), controls.detach())
        rows = seeds[:, None]
        return (rows @ a)[:, 0], (rows @ b)[:, 0]
