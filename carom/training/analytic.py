"""The analytic gradient of a window: through the simulator, exact or with softened contact."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..envs.control import ControlTask
from ..runs import NotFiniteError
from .errors import refuse_not_finite_in_window
from .policy import Policy
from .window import Played, Setting, Window, roll_window, unit_noise

__all__ = ["Analytic", "expected_cost"]


@dataclass(frozen=True)
class Analytic:
    """Backpropagation through the steps of the window and the critic's value at its end: SHAC's actor loss.

    (Xu et al., "Accelerated Policy Learning with Parallel Differentiable Simulation", ICLR 2022, eq. 5.) With
    ``softening`` the simulator's contact is softened, by default in its gradient only (``Softplus(4e-3,
    forward=False)``), so that contact not yet made is felt.
    """

    softening: object | None = None
    """A contact function of the simulator, or None for the exact gradient of hard contact."""

    def begin(self, task: ControlTask, seed: int) -> dict:
        """Nothing is carried."""
        return {}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient, by one backward pass."""
        loss, played, raws = expected_cost(setting, policy, window)
        for raw in raws:
            raw.retain_grad()
        for parameter in policy.parameters():
            parameter.grad = None
        loss.backward()
        gradient = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
        if not all(bool(torch.isfinite(part).all()) for part in gradient):
            # backwards in time: what is later in the window was differentiated first
            slopes = [raw.grad for raw in raws if raw.grad is not None]
            for step in reversed(range(len(slopes))):
                refuse_not_finite_in_window(
                    "the gradient by the action", slopes[step:][:1], window.start.time + step
                )
            raise NotFiniteError("the gradient of the policy is not finite, though that by each action is")
        return gradient, played, carried


def expected_cost(
    setting: Setting, policy: Policy, window: Window
) -> tuple[torch.Tensor, Played, list[torch.Tensor]]:
    """Mean over worlds of a window's discounted cost [], what was played, and the raw actions of every step."""
    shape = (setting.length, window.start.worlds, len(setting.task.action_names))
    noise = unit_noise(window.seed, *shape, like=policy.low)
    played, raws, charges, last = roll_window(setting, policy, window.start, noise)
    powers = [setting.discount**step for step in range(setting.length + 1)]
    total = sum(power * charge for power, charge in zip(powers[:-1], charges, strict=True))
    total = total + powers[-1] * window.value(last)
    return total.mean(), played, raws
