"""Any backend as a torch-differentiable function."""

from __future__ import annotations

from typing import Any

import torch

from ..plain import plain_numbers
from .errors import GradientError
from .interface import Backend, Estimate, Objective
from .noise import derive_seed
from .objective import objective_name

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

    Every call draws a seed of its own from (``seed``, number of the call): an optimizer never meets the same noise
    twice, and the same program run again gives the same numbers. Second derivatives are refused: an estimate of a
    gradient says nothing of its own derivative.
    """
    return Differentiable(objective, backend, seed=seed)


@plain_numbers
class Differentiable:
    """What :func:`differentiable` returns. Also an objective itself, so that it can be wrapped again."""

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

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Value at ``theta``, with the backend's gradient behind it."""
        call_seed = derive_seed(self.seed, "differentiable", self.calls)
        estimate = self.backend.estimate(self.objective, theta, seed=call_seed)
        self.calls += 1
        self.last_estimate = estimate
        if not bool(torch.isfinite(estimate.gradient).all()):
            raise GradientError(
                f"the gradient of {self.name!r} by {type(self.backend).__name__} is not finite: an optimizer "
                "would lose theta to it. See last_estimate.gradient; "
                'Smoothing(order="zeroth") needs no gradient of the objective'
            )
        return _Estimated.apply(theta, estimate.value, estimate.gradient)  # type: ignore[no-any-return]


class _Estimated(torch.autograd.Function):
    """Identity on the value; the estimate's gradient on the way back."""

    @staticmethod
    def forward(ctx: Any, theta: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(theta, gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        theta, gradient = ctx.saved_tensors
        return _FirstOnly.apply(theta, grad_outputs[0], gradient), None, None


class _FirstOnly(torch.autograd.Function):
    """The product of the chain rule, which cannot itself be differentiated."""

    @staticmethod
    def forward(ctx: Any, theta: torch.Tensor, grad_output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        return grad_output.unsqueeze(-1) * gradient

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[None, None, None]:
        raise GradientError(
            "a second derivative was asked of differentiable(): a backend estimates the first derivative only. Drop "
            "create_graph=True, or differentiate the objective itself if torch can"
        )
