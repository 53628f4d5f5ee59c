"""Categorical choices whose expected cost and its gradient are sums over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...plain import plain_numbers
from ..errors import TaskError
from .testbed import Experiment, Testbed

__all__ = ["BernoulliToy", "Choice"]


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Choice(Testbed):
    """Choice among several actions, e.g. pushes: action j costs ``costs[j]``; the parameters are logits.

    The objective over logits theta [batch, actions] is the expected cost sum_j p_j c_j, p = softmax(theta), with the
    gradient p_j (c_j - sum p c): what every estimator for categorical choices must average to. Such an estimator is
    given ``cost``, a black box over choices, instead.
    """

    name: ClassVar[str] = "choice"
    description: ClassVar[str] = "which of several actions to take: expected cost over the logits of the choice"

    costs: Sequence[float] = (1.0, 0.4, 0.7, 0.2)
    """Cost of each action; kept as plain numbers."""

    def __post_init__(self) -> None:
        costs = tuple(float(c) for c in self.costs)
        if len(costs) < 2 or not all(map(math.isfinite, costs)):
            raise TaskError(f"{self.name}: costs is {self.costs}: give two finite numbers or more")
        object.__setattr__(self, "costs", costs)

    @property
    def action_costs(self) -> tuple[float, ...]:
        """Cost of each action."""
        return tuple(self.costs)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"logit{j}" for j in range(len(self.action_costs)))

    def _start(self) -> Sequence[float]:
        return [0.0] * len(self.action_costs)

    def _table(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.action_costs, dtype=like.dtype, device=like.device)

    def cost(self, choices: torch.Tensor) -> torch.Tensor:
        """Costs [batch] in float64 of choices [batch], integers from 0: what a black-box estimator is given."""
        count = len(self.action_costs)
        if choices.dtype.is_floating_point or choices.dtype == torch.bool or choices.ndim != 1:
            raise TaskError(f"{self.name}: choices must be integers of shape [batch], got {list(choices.shape)}")
        if bool(((choices < 0) | (choices >= count)).any()):
            raise TaskError(f"{self.name}: choices must lie in 0 ... {count - 1}")
        return torch.tensor(self.action_costs, dtype=torch.float64, device=choices.device)[choices]

    def relaxed_cost(self, shares: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of mixed choices [batch, actions] (shares that sum to 1), equal to ``cost`` at the corners."""
        return shares @ self._table(shares)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Expected costs of logits theta [batch, actions], shape [batch]."""
        return torch.softmax(self._check(theta), dim=-1) @ self._table(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected costs [batch] and their exact gradients [batch, actions]."""
        value = self(theta)
        return value, torch.softmax(theta, dim=-1) * (self._table(theta) - value.unsqueeze(-1))


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class BernoulliToy(Choice):
    """Minimize E (b - t)^2 over b in {0, 1}, t = 0.499: the best choice, b = 0, is better by 0.002 only.

    The toy of Tucker et al. 2017 and Grathwohl et al. 2018, on which REINFORCE's noise hides the slope. They have one
    logit, log p/(1 - p); here there is one for each choice, of which their difference is it: each of the two gradients
    is the published one up to its sign, so that the trace variance is twice theirs.
    """

    name: ClassVar[str] = "bernoulli_toy"
    description: ClassVar[str] = "E (b - 0.499)^2 over the logits of b in {0, 1}: a slope of 0.0005 under much noise"

    costs: Sequence[float] = ()
    """Not used: the costs follow from ``target``."""
    target: float = 0.499
    """Number t that b is held against."""

    def __post_init__(self) -> None:
        if self.costs or not math.isfinite(self.target):
            raise TaskError(f"{self.name}: give a finite target, and no costs: they follow from it")

    @property
    def action_costs(self) -> tuple[float, ...]:
        """Costs t^2 of b = 0 and (1 - t)^2 of b = 1."""
        return (self.target**2, (1.0 - self.target) ** 2)

    def relaxed_cost(self, shares: torch.Tensor) -> torch.Tensor:
        """(b - t)^2 [batch] at the mixed choice b = shares[:, 1], as the relaxation of the papers has it."""
        return (shares[..., 1] - self.target).square()

    @property
    def experiment(self) -> Experiment:
        """Settings: one sample a step, no noise on the logits. The authors tune the step size; this is a usual one."""
        return Experiment(
            source="Grathwohl, Choi, Wu, Roeder, Duvenaud 2018, section 5.1",
            noise=0.1,
            samples=1,
            learning_rate=0.01,
            iterations=10_000,
        )
