"""Any objective in closed loop: actions change its parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from ...gradients.core.optional import optional
from ...plain import plain_numbers
from ...sim import State
from ..errors import TaskError
from ..registry import make
from .interface import ControlState, ControlTask, Key, uniforms

__all__ = ["SearchControl"]


@plain_numbers
class SearchControl(ControlTask):
    """Search for the best parameters of an objective: every action changes them, the cost is theirs, a whole rollout.

    A world starts from the objective's initial parameters plus a random change of at most two units of ``scale`` each.
    The observation is the parameters less the initial ones in that unit; there is no success. The scene of the
    objective, if any, is not part of the state.

    Args:
        objective: Name of the objective.
        scale: Unit of the changes, in those of the parameters; by default the objective's ``smoothing_scale``.
        reach: Largest action, in units of ``scale``.
        horizon: Actions of an episode.
        **options: Options of the objective.

    Raises:
        TaskError: An unknown objective, or an option out of range.
    """

    name: ClassVar[str] = "search"
    training_steps: ClassVar[int] = 100_000
    """Control intervals of a training; each is a whole rollout."""
    description: ClassVar[str] = "search for the best parameters of any objective; option: objective"

    def __init__(
        self,
        objective: str = "billiards",
        *,
        scale: float | None = None,
        reach: float = 1.0,
        horizon: int = 20,
        **options: Any,
    ):
        self.objective = make(objective, **options)
        self.scale = _scale_of(self.objective) if scale is None else scale
        for name, value in (("scale", self.scale), ("reach", reach)):
            if not (math.isfinite(value) and value > 0.0):
                raise TaskError(f"{self.name}: {name} must be positive and finite, got {value}")
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
            raise TaskError(f"{self.name}: horizon must be an integer of at least 1, got {horizon!r}")
        self.horizon = horizon
        self.initial = self.objective.initial_parameters().detach()
        count = self.initial.numel()
        names = optional(self.objective, "parameter_names") or tuple(f"p{i}" for i in range(count))
        self.action_names, self.observation_names = tuple(f"d{n}" for n in names), tuple(names)
        self.action_low, self.action_high = count * (-reach * self.scale,), count * (reach * self.scale,)

    @property
    def device(self) -> str:
        """Device of the parameters."""
        return str(self.initial.device)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return self.initial.dtype

    def fresh(self, keys: Sequence[Key]) -> ControlState:
        """Worlds without bodies; their command is the parameters they start from."""
        u = uniforms(keys, f"{self.name} start", self.initial.numel()).to(self.initial)
        none = u.new_zeros(len(keys), 0)
        bodies = State(u.new_zeros(len(keys), 0, 7), u.new_zeros(len(keys), 0, 6))
        time = torch.zeros(len(keys), dtype=torch.int64, device=u.device)
        return ControlState(bodies, none, self.initial + 2.0 * self.scale * (2.0 * u - 1.0), time)

    def advance(self, state: ControlState, action: torch.Tensor) -> tuple[State, torch.Tensor]:
        """The parameters change by the action."""
        return state.bodies, state.command + action

    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        """The objective at the changed parameters, [W]."""
        return self.objective(after.command)

    def observe(self, state: ControlState) -> torch.Tensor:
        """The parameters less the initial ones, over ``scale``, [W, parameters]."""
        return (state.command - self.initial) / self.scale

    def success(self, state: ControlState) -> torch.Tensor:
        """False, [W]."""
        return torch.zeros(state.worlds, dtype=torch.bool, device=state.command.device)


def _scale_of(objective: object) -> float:
    """The objective's ``smoothing_scale``, 0.02 by default; the mean where it has one for each parameter."""
    return float(
        torch.as_tensor(optional(objective, "smoothing_scale", 0.02), dtype=torch.float64, device="cpu").mean()
    )
