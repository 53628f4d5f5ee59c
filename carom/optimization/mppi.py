"""MPPI on the vector of parameters, a baseline that needs no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..gradients.core.checks import check_count
from ..gradients.noise.counter_random import draw_uniforms
from ..plain import plain_numbers
from .checks import check_positive, check_share
from .interface import Step
from .problem import Problem

__all__ = ["MPPI"]


@plain_numbers
@dataclass(frozen=True)
class MPPI:
    """Model predictive path integral control on all parameters of a rollout at once.

    After Williams et al., "Information theoretic MPC for model-based reinforcement learning" (ICRA 2017), algorithm 2.
    Theta becomes the mean of perturbed thetas, weighted by exp(-(cost - least)/lambda). Here lambda is a share of the
    costs' standard deviation, so that it needs no units, and the noise shrinks as the budget is used, for there is no
    receding horizon; alpha is 1, which leaves the paper's control cost out. Theta itself is one of the samples.

    Simple, and good where many controls each do a little; slow to settle, since it averages instead of comparing.
    """

    needs_gradient: ClassVar[bool] = False

    scale: float | None = None
    """Standard deviation of the noise at the beginning; by default the objective's ``smoothing_scale``, or 0.02."""
    samples: int = 64
    """Rollouts an iteration."""
    temperature: float = 0.2
    """lambda, as a share of the standard deviation of the costs."""
    final: float = 0.1
    """Share of the noise that is left when the budget is used."""

    def __post_init__(self) -> None:
        check_positive("scale", self.scale, optional=True)
        check_count("samples", self.samples, 2)
        check_positive("temperature", self.temperature)
        check_share("final", self.final)

    def begin(self, problem: Problem, theta: torch.Tensor) -> dict[str, Any]:
        """Empty memory."""
        return {}

    def step(
        self, problem: Problem, theta: torch.Tensor, memory: dict[str, Any], *, iteration: int, used: float
    ) -> Step:
        """One weighted mean."""
        first = self.scale or (0.02 if problem.scale is None else float(problem.scale))
        scale = first * self.final ** min(max(used, 0.0), 1.0)
        uniforms = draw_uniforms(problem.random_seed(iteration), "mppi", first=0, rows=self.samples, columns=len(theta))
        noise = scale * torch.special.ndtri(uniforms)
        noise[0] = 0.0
        rows = problem.project((theta.double().cpu() + noise).to(theta))
        costs = problem.costs(rows)
        least = int(costs.argmin())
        after = theta  # where all cost the same, the samples say nothing
        if float(costs.max()) > float(costs[least]):
            weights = torch.softmax((costs[least] - costs) / (self.temperature * costs.std()), dim=0)
            after = problem.project((weights @ rows.double().cpu()).to(theta))
        return Step(
            theta=after,
            memory={},
            cost=float(costs[0]),
            best=(rows[least].clone(), float(costs[least])),
        )
