"""Baselines, which are subtracted from the return of an action before it multiplies the score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch

from ...plain import plain_numbers
from ..core.errors import GradientError
from .rollouts import Rollouts

__all__ = ["Baseline", "Constant", "LeaveOneOut", "NoBaseline"]


@runtime_checkable
class Baseline(Protocol):
    """A number for every step of every trajectory, independent of that trajectory's noise from that step on.

    The gradient then stays unbiased, since the score has mean zero.
    """

    least: ClassVar[int]
    """Least number of trajectories."""
    values_states: ClassVar[bool]
    """Whether it estimates the value of states, so that advantages may be bootstrapped from it (GAE)."""

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Baselines [T, N] for the returns ``targets`` [T, N] of the actions of ``rollouts``."""
        ...


@dataclass(frozen=True)
class NoBaseline:
    """No baseline: the variance grows with the square of the cost. For comparison."""

    least: ClassVar[int] = 2
    values_states: ClassVar[bool] = False

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Zeros."""
        return torch.zeros_like(targets)


@plain_numbers
@dataclass(frozen=True)
class Constant:
    """Constant baseline, known beforehand."""

    value: float
    least: ClassVar[int] = 2
    values_states: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)) or not math.isfinite(self.value):
            raise GradientError(f"the value of a constant baseline is {self.value!r}: give a finite number")

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """The constant."""
        return torch.full_like(targets, self.value)


@dataclass(frozen=True)
class LeaveOneOut:
    """Mean over the other trajectories at each step: the default, without settings.

    It depends on the time but not on the state; where trajectories start from or reach very different states a critic
    is better.
    """

    least: ClassVar[int] = 3
    values_states: ClassVar[bool] = False

    def predict(self, rollouts: Rollouts, targets: torch.Tensor, *, seed: int) -> torch.Tensor:
        """Means of the others."""
        offset = targets[:, :1]
        moved = targets - offset  # exact for equal returns
        return offset + (moved.sum(1, keepdim=True) - moved) / (targets.shape[1] - 1)
