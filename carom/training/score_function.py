"""The score-function gradient of a window: from costs alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ..envs.control import ControlTask
from ..gradients.core.interface import Estimate
from ..gradients.policy import PolicyGradient, Rollouts
from ..plain import plain_numbers
from .policy import Policy
from .window import Played, Setting, ValueFunction, Window, observed_problem

__all__ = ["CriticBaseline", "Observed", "ScoreFunction", "mean_of_others", "score_function_estimate", "split_like"]


class Observed(torch.nn.Module):
    """The policy on rows of ``observed_problem``: it gets their first columns."""

    def __init__(self, policy: Policy, observations: int):
        super().__init__()
        self.policy, self.observations = policy, observations

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Raw actions [batch, m] at rows [batch, n]."""
        raw: torch.Tensor = self.policy(rows[:, : self.observations])
        return raw


def mean_of_others(numbers: torch.Tensor) -> torch.Tensor:
    """Mean over the other worlds, at each step and for each world; [T, W]."""
    return (numbers.sum(1, keepdim=True) - numbers) / (numbers.shape[1] - 1)


@dataclass(frozen=True)
class CriticBaseline:
    """A value function fitted to earlier windows, moved at each step by what it is off in the mean of the other worlds.

    Both are independent of a world's own noise, so that nothing is biased. Without the second the value's lag behind
    the policy stays in all advantages alike, and their variance hides the gradient.
    """

    value: ValueFunction
    observations: int
    """Columns of the states that the critic reads."""
    last: list[torch.Tensor] = field(default_factory=list)
    """The last states [W, n] of the rollout that was valued, once it has been."""
    least: ClassVar[int] = 2
    values_states: ClassVar[bool] = True

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Values [T, W] of the states in which the actions were taken."""
        self.last[:] = [rollouts.states[-1]]
        values: torch.Tensor = self.value(rollouts.states[:-1, :, : self.observations].flatten(0, 1))
        values = values.view(targets.shape).to(targets)
        return values + mean_of_others(targets - values)


def score_function_estimate(setting: Setting, policy: Policy, window: Window, decay: float) -> tuple[Estimate, Played]:
    """``PolicyGradient`` of a window, and what was played."""
    observations = len(setting.task.observation_names)
    problem, played = observed_problem(setting, policy, window)
    baseline = CriticBaseline(window.value, observations)
    backend = PolicyGradient(scale=setting.noise, trajectories=window.start.worlds, baseline=baseline, gae=decay)
    estimate = backend.estimate(problem, Observed(policy, observations), seed=window.seed)
    return estimate, played(baseline.last[0])


@plain_numbers
@dataclass(frozen=True)
class ScoreFunction:
    """``carom.gradients.policy.PolicyGradient`` of the window, with the critic as baseline and at the end.

    No derivative of the simulator is used. Estimates are those of ``Smoothing(order="zeroth")`` over the noise on all
    actions, each action answering for what follows it only.
    """

    decay: float = 0.95
    """Lambda of generalized advantage estimation; 1 uses the critic at the window's end alone."""
    softening: ClassVar[None] = None

    def begin(self, task: ControlTask, seed: int) -> dict:
        """Empty state: nothing is carried from window to window."""
        return {}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient, from one rollout without derivatives."""
        estimate, played = score_function_estimate(setting, policy, window, self.decay)
        return split_like(estimate.gradient, policy), played, carried


def split_like(flat: torch.Tensor, policy: Policy) -> list[torch.Tensor]:
    """A flat gradient as one for each of ``policy.parameters()``."""
    parameters = list(policy.parameters())
    parts = flat.split([parameter.numel() for parameter in parameters])
    return [part.view_as(like).to(like) for part, like in zip(parts, parameters, strict=True)]
