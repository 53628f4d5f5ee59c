"""Any backend as a torch-differentiable function."""

from __future__ import annotations

import torch

from ..first_order import eager, refuse_transforms
from ..plain import plain_numbers
from .core.arrays import as_theta
from .core.checked import checked_answer
from .core.errors import GradientError
from .core.estimated import LIMITS, Estimated
from .core.interface import Backend, Estimate, Objective
from .core.objective import objective_name
from .noise.counter_random import derive_seed

__all__ = ["Differentiable", "differentiable"]


@plain_numbers
def differentiable(objective: Objective, backend: Backend, *, seed: int = 0) -> Differentiable:
    """A function of theta ([parameters] -> [] or [batch, parameters] -> [batch]) that torch can differentiate.

    Its value is the backend's (smoothed, fitted or exact) value and its backward pass is the backend's gradient, so
    that ``loss.backward()`` and any torch optimizer work::

        cost = differentiable(task, Smoothing(scale=0.02), seed=0)
        optimizer = torch.optim.Adam([theta], lr=0.01)
        for _ in range(100):
            optimizer.zero_grad()
            cost(theta).backward()
            optimizer.step()

    Every call draws a seed of its own from (``seed``, number of the call): an optimizer never gets the same noise
    twice, and the same program run again gives the same numbers. Second derivatives are refused with a GradientError:
    an estimate of a gradient has no information on its own derivative.
    """
    return Differentiable(objective, backend, seed=seed)


@plain_numbers
class Differentiable:
    """Result of :func:`differentiable`. It is an objective itself, so that it can be wrapped again."""

    def __init__(self, objective: Objective, backend: Backend, *, seed: int = 0) -> None:
        if not callable(objective):
            raise GradientError(
                f"the objective is a {type(objective).__name__}: give a callable [batch, parameters] -> [batch]"
            )
        if isinstance(backend, type) or not isinstance(backend, Backend):
            raise GradientError(f"the backend is {backend!r}: give an instance, e.g. Smoothing(scale=0.02)")
        derive_seed(seed)  # refuses what is not an integer
        self.objective = objective
        self.backend = backend
        self.seed = seed
        self.calls = 0
        self.last_estimate: Estimate | None = None
        self.name = objective_name(objective)

    @eager
    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Value at ``theta``, with the backend's gradient behind it."""
        theta = as_theta(theta)
        refuse_transforms(LIMITS, theta)
        value: torch.Tensor = Estimated.apply(self._estimate, theta)[0]
        return value

    def _estimate(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Value and gradient of one more call."""
        call_seed = derive_seed(self.seed, "differentiable", self.calls)
        # Exceptions pass as they are: torch's checkpoints end a pass by one.
        estimate = checked_answer(self.backend.estimate(self.objective, theta, seed=call_seed), theta)
        self.calls += 1
        self.last_estimate = estimate
        if not bool(torch.isfinite(estimate.gradient).all()):
            raise GradientError(
                f"the gradient of {self.name!r} by {type(self.backend).__name__} is not finite: an optimizer "
                "would lose theta to it. See last_estimate.gradient; "
                'Smoothing(order="zeroth") needs no gradient of the objective'
            )
        return estimate.value, estimate.gradient
