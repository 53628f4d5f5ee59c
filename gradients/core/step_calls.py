"""Calls of a user's step function x+ = step(x, u), and of its Jacobian, with the answers checked."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from .errors import GradientError
from .objective import objective_name
from .optional import optional

__all__ = ["DifferentiableStep", "Step", "evaluate_step", "evaluate_step_jacobian"]


@runtime_checkable
class Step(Protocol):
    """One step of a system: any callable from states [batch, n] and controls [batch, m] to next states [batch, n]."""

    def __call__(self, states: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
        """Next state of each row; rows do not affect each other."""
        ...


@runtime_checkable
class DifferentiableStep(Step, Protocol):
    """A step with an exact Jacobian, e.g. :class:`carom.sim.SimulatorStep`."""

    def step_jacobian(self, states: torch.Tensor, controls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A [batch, n, n] and B [batch, n, m] of each row."""
        ...


def evaluate_step(step: Step, states: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
    """Finite next states [batch, n], in the states' type and on their device."""
    if not callable(step):
        raise GradientError(
            f"the step is a {type(step).__name__}: give a callable (states [batch, n], controls [batch, m]) -> "
            "[batch, n]"
        )
    with torch.no_grad():
        after = step(states, controls)
    return _checked(step, "next state", after, tuple(states.shape), states, states)


def evaluate_step_jacobian(
    step: Step, states: torch.Tensor, controls: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Next states [batch, n], A [batch, n, n] and B [batch, n, m], all finite.

    Uses ``step.step_jacobian`` where the step has it, else torch.autograd with one backward pass for each coordinate.
    """
    jacobian = optional(step, "step_jacobian")
    rows, n = states.shape
    if callable(jacobian):
        after = evaluate_step(step, states, controls)
        answer = jacobian(states, controls)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise GradientError(
                f"step_jacobian of {objective_name(step)!r} must return (A [batch, n, n], B [batch, n, m])"
            )
        a, b = answer
    else:
        after, a, b = _by_autograd(step, states, controls)
    a = _checked(step, "A", a, (rows, n, n), states, states)
    b = _checked(step, "B", b, (rows, n, controls.shape[1]), states, states)
    return after, a, b


def _by_autograd(
    step: Step, states: torch.Tensor, controls: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if not callable(step):
        evaluate_step(step, states, controls)  # refuses
    x, u = (leaf.detach().clone().requires_grad_() for leaf in (states, controls))
    with torch.enable_grad():
        after = step(x, u)
    checked = _checked(step, "next state", after, tuple(states.shape), states, states)
    if not after.requires_grad:
        raise GradientError(
            f"step {objective_name(step)!r} has no exact Jacobian: it has no step_jacobian(states, controls), and "
            "torch.autograd does not reach the states or controls through it. Write it in torch operations without "
            'detach() or numpy, or use Bundling(order="zeroth"), which needs only next states'
        )
    a, b = [], []
    for column in after.unbind(1):
        by_x: torch.Tensor | None = None
        by_u: torch.Tensor | None = None
        if column.requires_grad:
            by_x, by_u = torch.autograd.grad(column.sum(), (x, u), retain_graph=True, allow_unused=True)
        a.append(torch.zeros_like(x) if by_x is None else by_x)
        b.append(torch.zeros_like(u) if by_u is None else by_u)
    return checked, torch.stack(a, dim=1), torch.stack(b, dim=1)


def _checked(
    step: Step, what: str, answer: object, shape: tuple[int, ...], states: torch.Tensor, like: torch.Tensor
) -> torch.Tensor:
    name = objective_name(step)
    if not isinstance(answer, torch.Tensor):
        raise GradientError(f"step {name!r} returned a {type(answer).__name__} for {what}: return a torch tensor")
    if tuple(answer.shape) != shape:
        raise GradientError(
            f"step {name!r} returned {what} of shape {list(answer.shape)} for {shape[0]} rows: it must have shape "
            f"{list(shape)}"
        )
    answer = answer.detach().to(like)
    bad = (~torch.isfinite(answer.flatten(1)).all(1)).nonzero().reshape(-1).tolist()
    if bad:
        row = [float(f"{number:.6g}") for number in states[bad[0]].tolist()[:8]]
        raise GradientError(
            f"step {name!r} returned {what} that is not finite in {len(bad)} of {shape[0]} rows (the first is row "
            f"{bad[0]}, state = {row}): use smaller scales so that no row leaves its domain, or repair the step there"
        )
    return answer
