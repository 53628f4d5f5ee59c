"""Rollouts of a simulator as unrolled objectives: a step is several of the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from ..gradients.core.unrolled import UnrolledObjective
from ..sim import Simulator, State
from .errors import TaskError

__all__ = ["EVERY", "chunks", "simulated_steps"]

EVERY = 10
"""Steps of the simulator that make one step of an unrolled objective, by default."""


def chunks(name: str, steps: int, every: int) -> list[tuple[int, int]]:
    """First step and the step after the last of each chunk of ``every`` steps; the last chunk may be shorter.

    Raises:
        TaskError: ``every`` is no integer of at least 1.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise TaskError(f"{name}: every must be an integer of at least 1, got {every!r}")
    return [(first, min(first + every, steps)) for first in range(0, steps, every)]


def simulated_steps(
    name: str,
    simulator: Simulator,
    pieces: Sequence[tuple[int, int]],
    *,
    start: Callable[[torch.Tensor], State],
    cost: Callable[[torch.Tensor, State], torch.Tensor],
    controls: Callable[[torch.Tensor], torch.Tensor] | None = None,
    parameters: Callable[[torch.Tensor], Mapping[str, torch.Tensor]] | None = None,
    before: Callable[[int, torch.Tensor, State], State] | None = None,
    running_cost: Callable[[torch.Tensor, State], torch.Tensor] | None = None,
) -> UnrolledObjective:
    """A rollout in pieces. Its state is (body_q, body_v), its costs add up to that of the whole rollout.

    Args:
        name: Name of the objective.
        simulator: Simulator of the rollout, which allows overlaps: pieces may start with them.
        pieces: First step and the step after the last of each piece.
        start: Theta [batch, parameters] to the first state.
        cost: Theta and the last state to costs [batch].
        controls: Theta to the controls of all steps, [steps, batch, actuators].
        parameters: Theta to physical parameters.
        before: First simulator step of a piece, theta and state to the state from which the piece starts.
        running_cost: Theta and the state before a piece to costs [batch].
    """

    def first(theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state = start(theta)
        return state.body_q, state.body_v

    def step(given: tuple[torch.Tensor, torch.Tensor], theta: torch.Tensor, t: int) -> tuple[torch.Tensor, ...]:
        begin, end = pieces[t]
        state = State(*given)
        if before is not None:
            state = before(begin, theta, state)
        final = simulator.rollout(
            state,
            None if controls is None else controls(theta)[begin:end],
            None if parameters is None else parameters(theta),
            steps=end - begin if controls is None else None,
            record=False,
        ).final
        return final.body_q, final.body_v

    def paid(
        given: tuple[torch.Tensor, torch.Tensor], after: tuple[torch.Tensor, torch.Tensor], theta: torch.Tensor, t: int
    ) -> torch.Tensor:
        total = theta.new_zeros(len(theta)) if running_cost is None else running_cost(theta, State(*given))
        return total + cost(theta, State(*after)) if t == len(pieces) - 1 else total

    return UnrolledObjective(first, step, paid, len(pieces), name)
