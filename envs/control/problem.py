"""A closed-loop task as a ``ControlProblem``: states as plain vectors, for the score-function policy gradients."""

from __future__ import annotations

import torch

from ...gradients.policy import ControlProblem
from ...plain import plain_numbers
from .interface import ControlState, ControlTask

__all__ = ["FlatStates", "control_problem"]


class FlatStates:
    """States as rows of numbers [W, n] and back; nothing is lost, gradients pass.

    Args:
        like: A state with the shapes of all others.
    """

    def __init__(self, like: ControlState):
        self._like = like.select(torch.zeros(1, dtype=torch.int64, device=like.goal.device))

    def vector(self, state: ControlState) -> torch.Tensor:
        """Rows [W, n]: poses, velocities, parameters, goal, command, time."""
        like = state.bodies.body_q
        return torch.cat([part.reshape(state.worlds, -1).to(like) for part in state.tensors()], dim=1)

    def state(self, vector: torch.Tensor) -> ControlState:
        """The state of rows [W, n]."""
        done = 0

        def take(like: torch.Tensor) -> torch.Tensor:
            nonlocal done
            size = like[0].numel()
            part = vector[:, done : done + size].reshape(len(vector), *like.shape[1:])
            done += size
            return part.to(like)

        return self._like.map(take)


@plain_numbers
def control_problem(task: ControlTask, *, starts: int, seed: int = 0) -> ControlProblem:
    """The task as a problem for ``carom.gradients.policy``: total cost over the horizon, from ``starts`` random starts.

    Policies see the task's observation if they take it from the state themselves::

        flat = FlatStates(task.reset(1))
        policy = Observed(net)  # forward(rows) = net(task.observe(flat.state(rows)))

    Actions out of bounds are refused: give the noise a bounded distribution, or clamp in a step of your own.
    """
    start = task.reset(starts, seed)
    flat = FlatStates(start)

    def step(states: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        after, cost, _ = task.step(flat.state(states), actions)
        return flat.vector(after), cost

    return ControlProblem(step, flat.vector(start), task.horizon, name=task.name)
