"""A closed-loop task without a simulator: a point is moved to a goal in the plane; smooth, and cheap."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch

from carom.envs.control import ControlState, ControlTask
from carom.envs.control.interface import Key, uniforms
from carom.sim import State


class PointTask(ControlTask):
    """x' = x + a + curl sin(x); cost |x' - goal|^2 + 0.1 |a|^2, which is NaN at the world and time of ``broken``."""

    name = "point"
    description = "move a point"
    action_names = ("dx", "dy")
    observation_names = ("x", "y", "goal.x", "goal.y")

    def __init__(self, horizon: int = 6, bound: float = 0.5, curl: float = 0.1, dtype: torch.dtype = torch.float64):
        self.objective = SimpleNamespace(device="cpu", dtype=dtype)
        self.horizon, self.curl = horizon, curl
        self.action_low, self.action_high = (-bound, -bound), (bound, bound)
        self.broken: tuple[int, int] | None = None
        """World and time of the episode at which the cost is NaN."""

    def fresh(self, keys: Sequence[Key]) -> ControlState:
        u = uniforms(keys, "point start", 4).to(self.dtype)
        none = u.new_zeros(len(keys), 0)
        bodies = State(none.view(len(keys), 0, 1).expand(-1, 0, 7), none.view(len(keys), 0, 1).expand(-1, 0, 6))
        return ControlState(
            bodies, 2.0 * u[:, :2] - 1.0, 0.4 * u[:, 2:] - 0.2, torch.zeros(len(keys), dtype=torch.int64)
        )

    def advance(self, state: ControlState, action: torch.Tensor) -> tuple[State, torch.Tensor]:
        return state.bodies, state.command + action + self.curl * state.command.flip(1).sin()

    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        cost = (after.command - after.goal).square().sum(-1) + 0.1 * action.square().sum(-1)
        if self.broken is not None:
            world, time = self.broken
            bad = (torch.arange(len(cost)) == world) & (after.time == time + 1)
            cost = torch.where(bad, torch.nan, cost)
        return cost

    def observe(self, state: ControlState) -> torch.Tensor:
        return torch.cat([state.command, state.goal], dim=1)

    def success(self, state: ControlState) -> torch.Tensor:
        return (state.command - state.goal).norm(dim=1) < 0.1
