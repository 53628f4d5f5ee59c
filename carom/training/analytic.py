"""The analytic gradient of a window: through the simulator, exact or with softened contact."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..envs.control import ControlTask
from ..plain import plain_numbers
from .errors import TrainingError
from .policy import Policy
from .window import Played, Setting, Window, roll_window, unit_noise

__all__ = ["Analytic", "expected_cost", "refuse_slopes"]


@plain_numbers
@dataclass(frozen=True)
class Analytic:
    """Backpropagation through the steps of the window and the critic's value at its end: SHAC's actor loss.

    (Xu et al., "Accelerated Policy Learning with Parallel Differentiable Simulation", ICLR 2022, eq. 5.) With
    ``softening`` the simulator's contact is softened, by default in its gradient only (``Softplus(4e-3,
    forward=False)``), so that shapes act on each other before they touch.

    Gradients of single worlds have heavy tails: on ``push`` the longest of 128 is a hundred times the median one, where
    a pusher is about to slip off. With ``outliers`` a world whose gradient by its actions is longer than so many times
    the median is shortened to that before the mean is taken, which is no longer the gradient of the mean
    cost: with 2 medians the policy learned more slowly, since the worlds that fail are the ones that are cut.
    """

    softening: object | None = None
    """A contact function of the simulator, or None for the exact gradient of hard contact."""
    outliers: float | None = None
    """Longest gradient of a world, in medians; None for no limit."""

    def __post_init__(self) -> None:
        if self.outliers is not None and not self.outliers > 0.0:
            raise TrainingError(f"outliers is {self.outliers!r}: give a positive number of medians, or None")

    def begin(self, task: ControlTask, seed: int) -> dict:
        """Empty state: nothing is carried from window to window."""
        return {}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient, by one backward pass through the simulator and one through the policy."""
        loss, played, raws = expected_cost(setting, policy, window)
        worlds = window.start.worlds
        # By the raw actions, with all that follows from them; times the number of worlds it is each world's own.
        pulls = torch.stack(torch.autograd.grad(loss * worlds, raws))
        refuse_slopes(window, pulls)
        if self.outliers is not None:
            length = pulls.square().sum((0, 2)).sqrt()
            limit = self.outliers * length.median()
            pulls = pulls * torch.where(length > limit, limit / length, 1.0)[:, None]
        pulled = (policy(played.observations[:-1].flatten(0, 1)) * pulls.flatten(0, 1)).sum() / worlds
        gradient = torch.autograd.grad(pulled, list(policy.parameters()))
        return list(gradient), played, carried


def refuse_slopes(window: Window, pulls: torch.Tensor) -> None:
    """Refuse gradients by the actions [T, W, m] that are not finite, at the step and world where that began."""
    for step in reversed(range(len(pulls))):  # what is later in the window was differentiated first
        window.refuse_not_finite("the gradient by the action", [pulls[step]], first=step)


def expected_cost(setting: Setting, policy: Policy, window: Window) -> tuple[torch.Tensor, Played, list[torch.Tensor]]:
    """Mean over worlds of a window's discounted cost [], what was played, and the raw actions of every step."""
    shape = (setting.length, window.start.worlds, len(setting.task.action_names))
    noise = unit_noise(window.seed, *shape, like=policy.low)
    played, raws, charges, last = roll_window(setting, policy, window, noise)
    powers = [setting.discount**step for step in range(setting.length + 1)]
    total = sum(power * charge for power, charge in zip(powers[:-1], charges, strict=True))
    total = total + powers[-1] * window.value(last)
    return total.mean(), played, raws
