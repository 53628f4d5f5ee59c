"""Control problems for a policy: a batched step with a cost, the initial states, and the horizon."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError

__all__ = ["ControlProblem", "OpenLoop", "open_loop_objective"]

StepWithCost = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@plain_numbers
@dataclass(frozen=True)
class ControlProblem:
    """Minimize the expected sum over t < horizon of discount^t cost_t, plus discount^horizon final_cost.

    Rewards are negative costs. Nothing needs to be differentiable.
    """

    step: StepWithCost
    """States [batch, n] and actions [batch, m] to next states [batch, n] and costs [batch]; rows do not affect each
    other. Of a simulator: :class:`carom.sim.SimulatorStep` and a cost."""
    start: torch.Tensor
    """Initial state [n], or [starts, n]: trajectory i starts from row i modulo starts."""
    horizon: int
    """Steps T."""
    final_cost: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Cost [batch] of the last states [batch, n]."""
    discount: float = 1.0
    """Discount factor in (0, 1]."""
    name: str = "control problem"

    def __post_init__(self) -> None:
        if not callable(self.step):
            raise GradientError(f"step is a {type(self.step).__name__}: give (states, actions) -> (next states, costs)")
        start = self.start
        if not isinstance(start, torch.Tensor) or not start.is_floating_point() or start.ndim not in (1, 2):
            what = f"{start.dtype} {list(start.shape)}" if isinstance(start, torch.Tensor) else type(start).__name__
            raise GradientError(f"start is {what}: give a real floating tensor, [n] or [starts, n]")
        if start.numel() == 0 or not bool(torch.isfinite(start).all()):
            raise GradientError("start is empty or not finite")
        check_count("horizon", self.horizon, 1)
        if not (isinstance(self.discount, (int, float)) and math.isfinite(self.discount) and 0 < self.discount <= 1):
            raise GradientError(f"discount is {self.discount!r}: give a number in (0, 1]")

    def starts(self, trajectories: int) -> torch.Tensor:
        """Initial states of this many trajectories, [trajectories, n]."""
        rows = self.start.detach().reshape(-1, self.start.shape[-1])
        return rows[torch.arange(trajectories, device=rows.device) % len(rows)]

    def advance(self, states: torch.Tensor, actions: torch.Tensor, time: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Next states [N, n] and costs [N] of step ``time``, checked; the last cost includes the discounted final one.

        Raises:
            GradientError: Wrong shapes, or something that is not finite; the message says in how many trajectories.
        """
        with torch.no_grad():
            answer = self.step(states, actions)
        if not (isinstance(answer, tuple) and len(answer) == 2 and all(isinstance(x, torch.Tensor) for x in answer)):
            raise GradientError(f"the step of {self.name!r} must return (next states [batch, n], costs [batch])")
        after, costs = answer[0].detach().to(states), answer[1].detach()
        self._check(after, tuple(states.shape), "next states", time)
        self._check(costs, (len(states),), "costs", time)
        costs = costs.double()
        if time == self.horizon - 1 and self.final_cost is not None:
            with torch.no_grad():
                last = self.final_cost(after)
            if not isinstance(last, torch.Tensor):
                raise GradientError(f"final_cost of {self.name!r} must return costs [batch], not {type(last).__name__}")
            self._check(last, (len(states),), "final costs", time)
            costs = costs + self.discount * last.detach().double()
        return after, costs

    def _check(self, answer: torch.Tensor, shape: tuple[int, ...], what: str, time: int) -> None:
        if tuple(answer.shape) != shape:
            raise GradientError(
                f"{self.name!r} returned {what} of shape {list(answer.shape)} at step {time}: {list(shape)} is wanted"
            )
        bad = (~torch.isfinite(answer.reshape(len(answer), -1)).all(1)).nonzero().reshape(-1).tolist()
        if bad:
            raise GradientError(
                f"{self.name!r} returned {what} that are not finite at step {time} in {len(bad)} of {shape[0]} "
                f"trajectories (the first is {bad[0]}): use a smaller action noise, or repair the step there"
            )


class OpenLoop(torch.nn.Module):
    """Free controls for every step, whatever the state: trajectory optimization as a policy.

    Args:
        controls: [T, m]; copied.
    """

    takes_time = True

    def __init__(self, controls: torch.Tensor):
        super().__init__()
        self.controls = torch.nn.Parameter(controls.detach().clone())

    def forward(self, states: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Controls [batch, m] at steps ``time`` [batch]."""
        return self.controls[time]


def open_loop_objective(problem: ControlProblem, controls: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """The problem as an objective of the flattened controls, [batch, T * controls] to costs [batch].

    For ``Smoothing`` and the other backends: without pairs it estimates what a :class:`PolicyGradient` of an
    ``OpenLoop`` policy does, from the same noise for the same seed. Starts are cycled through as there.
    """

    def objective(theta: torch.Tensor) -> torch.Tensor:
        actions = theta.reshape(len(theta), problem.horizon, controls)
        states, total = problem.starts(len(theta)).to(theta), theta.new_zeros(len(theta), dtype=torch.float64)
        for time in range(problem.horizon):
            states, costs = problem.advance(states, actions[:, time], time)
            total = total + problem.discount**time * costs
        return total.to(theta)

    objective.__name__ = problem.name
    return objective
