"""The gradient of a window by any backend of ``carom.gradients``: the policy's parameters are its theta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..envs.control import ControlTask
from ..gradients.core.checked import checked_estimate
from ..gradients.core.errors import GradientError
from ..gradients.core.interface import Backend
from ..gradients.noise.counter_random import derive_seed
from .errors import TrainingError
from .policy import Policy
from .score_function import split_like
from .window import Played, Setting, Window, roll_window, unit_noise

__all__ = ["ByBackend", "WindowCost"]

_WORLDS = 2048
"""Worlds that are simulated together, at most (one policy's at least)."""


class WindowCost:
    """Mean cost of a window by the policy's parameters: an objective [batch, parameters] -> [batch].

    Every row is a policy that goes through the window in all its worlds, from the same states and with the same noise
    on the actions. Differentiable, through the simulator.
    """

    def __init__(self, setting: Setting, policy: Policy, window: Window):
        self.setting, self.policy, self.window = setting, policy, window
        self.name = f"{setting.task.name} by the policy's parameters"
        self.worlds = window.start.worlds
        shape = (setting.length, self.worlds, len(setting.task.action_names))
        self._noise = unit_noise(window.seed, *shape, like=policy.low)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of parameters [batch, parameters], in the order of ``policy.parameters()``."""
        return torch.cat([self._costs(rows) for rows in theta.split(max(1, _WORLDS // self.worlds))])

    def play(self) -> Played:
        """The window under the policy as it is."""
        with torch.no_grad():
            return roll_window(self.setting, self.policy, self.window, self._noise)[0]

    def _costs(self, rows: torch.Tensor) -> torch.Tensor:
        many, (count, discount) = len(rows), (self.setting.length, self.setting.discount)
        index = torch.arange(self.worlds, device=rows.device).repeat(many)
        start = self.window.start.select(index)
        window = Window(start, self.window.value, self.window.seed, self.window.first)
        policies: Any = _Policies(self.policy, rows, self.worlds)
        _, _, charges, last = roll_window(self.setting, policies, window, self._noise.repeat(1, many, 1))
        total = sum(discount**step * charge for step, charge in enumerate(charges))
        total = total + discount**count * self.window.value(last)
        return total.view(many, self.worlds).mean(1)


class _Policies:
    """Policies of one network, each for its own block of worlds."""

    def __init__(self, policy: Policy, rows: torch.Tensor, worlds: int):
        self._policy, self._worlds, self.squash = policy, worlds, policy.squash
        names = [name for name, _ in policy.named_parameters()]
        parts = rows.split([parameter.numel() for parameter in policy.parameters()], dim=1)
        shapes = [parameter.shape for parameter in policy.parameters()]
        self._parameters = {
            name: part.view(len(rows), *shape) for name, part, shape in zip(names, parts, shapes, strict=True)
        }

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        """Raw actions [policies * worlds, m] at observations [policies * worlds, k]."""
        buffers = dict(self._policy.named_buffers())

        def act(parameters: dict[str, torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
            raw: torch.Tensor = torch.func.functional_call(self._policy, {**parameters, **buffers}, (seen,))
            return raw

        raw: torch.Tensor = torch.func.vmap(act)(
            self._parameters, observation.view(-1, self._worlds, observation.shape[1])
        )
        return raw.flatten(0, 1)


@dataclass(frozen=True)
class ByBackend:
    """The gradient of the window's mean cost by the policy's parameters, as ``backend`` estimates it.

    With a backend of zeroth order these are evolution strategies (Salimans et al. 2017). A rollout of the backend is
    the window in all worlds, so that a gradient takes as many windows as the backend takes rollouts, and one more.
    """

    backend: Backend
    softening: ClassVar[None] = None

    def windows(self, parameters: int) -> int:
        """Windows that a gradient by so many parameters takes, as the backend's calls on a bowl are counted.

        Raises:
            TrainingError: The backend cannot do so many.
        """
        counted: dict[int, int] = self.__dict__.setdefault("_counted", {})  # no option, so no field
        if parameters not in counted:
            rows: list[int] = []

            def bowl(theta: torch.Tensor) -> torch.Tensor:
                rows.append(len(theta))
                return theta.square().sum(1)

            try:
                checked_estimate(self.backend, bowl, torch.ones(parameters, dtype=torch.float64, device="cpu"))
            except GradientError as error:
                raise TrainingError(
                    f"{type(self.backend).__name__} gives no gradient by the policy's {parameters} parameters: {error}"
                ) from error
            counted[parameters] = sum(rows) + 1
        return counted[parameters]

    def begin(self, task: ControlTask, seed: int) -> dict:
        """Empty state: nothing is carried from window to window."""
        return {}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient, and the window played once more under the policy as it is."""
        cost = WindowCost(setting, policy, window)
        theta = torch.nn.utils.parameters_to_vector(policy.parameters()).detach()
        estimate = checked_estimate(self.backend, cost, theta, seed=derive_seed(window.seed, "backend"))
        return split_like(estimate.gradient, policy), cost.play(), carried
