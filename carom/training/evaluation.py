"""Evaluation of a policy on goals that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..envs.control import ControlState, ControlTask
from ..gradients.noise.counter_random import derive_seed
from ..plain import plain_numbers
from ..runs import NotFiniteError
from .policy import Policy

__all__ = ["Evaluation", "evaluate", "unseen", "wilson_interval"]


@dataclass(frozen=True)
class Evaluation:
    """Episodes of a policy without noise."""

    episodes: int
    successes: int
    """Episodes that end in success; one that succeeds on the way and leaves again is not counted."""
    cost: float
    """Mean total cost of an episode."""
    costs: torch.Tensor
    """Total cost of each episode, [episodes]."""
    succeeded: torch.Tensor
    """Bool [episodes]."""

    @property
    def success(self) -> float:
        """Part of the episodes that end in success."""
        return self.successes / self.episodes

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of it (Wilson)."""
        return wilson_interval(self.successes, self.episodes)


@plain_numbers
def unseen(task: ControlTask, episodes: int, stream: str = "test") -> ControlState:
    """Starts of episodes that no training draws from: those of a stream are the same whatever was trained, and how.

    Args:
        task: Task to reset.
        episodes: Number of episodes.
        stream: ``"validation"`` for learning curves, ``"test"`` for results.
    """
    first = derive_seed(0, f"unseen {stream}")
    return task.reset(episodes, [first + i for i in range(episodes)])


@torch.no_grad()
def evaluate(task: ControlTask, policy: Policy, start: ControlState) -> Evaluation:
    """Play an episode from each start [W worlds] to its horizon, without noise.

    Args:
        task: Task of the episodes.
        policy: Policy to evaluate.
        start: Start of every episode, for example ``unseen(task, 512)``.

    Raises:
        NotFiniteError: A cost is not finite; the message names episode and step.
    """
    state, total = start, torch.zeros(start.worlds, dtype=torch.float64, device="cpu")
    observation = task.observe(state)
    for step in range(task.horizon):
        state, cost, observation = task.step(state, policy.act(observation))
        bad = ~torch.isfinite(cost)
        if bool(bad.any()):
            raise NotFiniteError(
                f"the cost is not finite in episode {int(bad.nonzero()[0])} of an evaluation, first at step {step}. "
                "Try dtype=float64"
            )
        total += cost.double().cpu()
    succeeded = task.success(state).cpu()
    return Evaluation(start.worlds, int(succeeded.sum()), float(total.mean()), total, succeeded)


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a probability (Wilson, "Probable inference, the law of succession", 1927).

    Args:
        successes: Out of ``trials``.
        trials: At least 1.
        z: Quantile of the normal distribution; by default 95 % in the middle.
    """
    share, weight = successes / trials, z**2 / trials
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = z / (1.0 + weight) * math.sqrt(share * (1.0 - share) / trials + weight / (4.0 * trials))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return (0.0 if successes == 0 else low), (1.0 if successes == trials else high)
