"""Adam, on the gradient of any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..gradients import GradientError
from ..gradients.estimators.adam import Adam as Moments
from ..plain import plain_numbers
from .checks import check_positive, check_share
from .interface import Step
from .problem import Problem

__all__ = ["Adam"]


@plain_numbers
@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015, by ``torch.optim.Adam``) with a learning rate that falls in equal ratios.

    The choice for noisy gradients and for gradients whose length means little (softened contact): a step has about the
    length of the learning rate in every parameter, however large the gradient. It does not stop at a minimum by itself.
    """

    needs_gradient: ClassVar[bool] = True

    learning_rate: float | None = None
    """Step of a parameter, in the units of theta; by default half the objective's ``smoothing_scale``, or 0.01."""
    final: float = 0.1
    """Share of the learning rate that is left when the budget is used."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the means of the gradient and of its square."""

    def __post_init__(self) -> None:
        check_positive("learning_rate", self.learning_rate, optional=True)
        check_share("final", self.final)
        object.__setattr__(self, "betas", tuple(self.betas))
        if len(self.betas) != 2 or not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise GradientError(f"betas are {self.betas!r}: give two numbers from 0 to below 1")

    def rate(self, problem: Problem, used: float) -> float:
        """Learning rate when this share of the budget is used."""
        first = self.learning_rate
        if first is None:
            first = 0.01 if problem.scale is None else 0.5 * float(problem.scale)
        return first * self.final ** min(max(used, 0.0), 1.0)

    def begin(self, problem: Problem, theta: torch.Tensor) -> dict[str, Any]:
        """Empty memory."""
        return {}

    def step(
        self, problem: Problem, theta: torch.Tensor, memory: dict[str, Any], *, iteration: int, used: float
    ) -> Step:
        """One step along the gradient, projected into the bounds."""
        estimate = problem.estimate(theta, problem.random_seed(iteration))
        cost = problem.cost(theta)
        leaf = theta.detach().clone().requires_grad_()
        adam = Moments([leaf], lr=self.rate(problem, used), betas=self.betas)
        if memory:
            moments = {name: tensor.clone() for name, tensor in memory.items()}
            groups = adam.state_dict()["param_groups"]
            adam.load_state_dict({"state": {0: moments}, "param_groups": groups})
        leaf.grad = estimate.gradient.detach().clone()
        adam.step()
        wanted = leaf.detach()
        after = problem.project(wanted)
        error = estimate.standard_error
        return Step(
            theta=after,
            memory=dict(adam.state_dict()["state"][0]),
            cost=cost,
            best=(theta, cost),
            gradient_norm=float(torch.linalg.vector_norm(estimate.gradient.double())),
            error_norm=None if error is None else float(torch.linalg.vector_norm(error.double())),
            held=int((after != wanted).sum()),
        )
