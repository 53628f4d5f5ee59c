"""Value and gradient of an estimate as a function that torch can differentiate, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ...first_order import FirstOrder, Limits, Product, refuse_batched
from .errors import GradientError

__all__ = ["LIMITS", "NUMBERS", "Estimated"]

LIMITS = Limits(
    what="an estimated gradient (differentiable(), a fitted surrogate)",
    instead="an estimate says nothing of its own derivative, so take central differences of it with one seed, "
    "backend.estimate(objective, theta, seed=0) on both sides, or differentiate the objective itself if torch can",
    batch="give the rows as one theta [batch, parameters]",
    error=GradientError,
)

NUMBERS = replace(
    LIMITS,
    what="value_and_gradient of a surrogate",
    instead="differentiate the surrogate itself, surrogate(theta), for a first derivative; a second one of a fit says "
    "nothing of the objective's",
)


class Estimated(FirstOrder):
    """Value and gradient that ``compute(theta)`` gives, as a function that torch can differentiate once.

    Inputs: ``compute``, theta ([parameters] or [batch, parameters]). Outputs: value, and the gradient, which carries no
    graph.
    """

    limits = LIMITS

    @staticmethod
    def forward(  # noqa: D102
        compute: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]], theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        value, gradient = compute(theta)
        return value.clone(), gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: D102
        ctx.save_for_backward(inputs[1], output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[None, torch.Tensor]:  # noqa: D102
        refuse_batched(LIMITS, grad_outputs[0])
        (product,) = _Chain.apply(*ctx.saved_tensors, grad_outputs[0])
        return None, product


class _Chain(Product):
    """The product of the chain rule. Inputs: theta, the gradient, the incoming gradient of the value."""

    limits = LIMITS

    @staticmethod
    def forward(theta: torch.Tensor, gradient: torch.Tensor, incoming: torch.Tensor) -> tuple[torch.Tensor]:
        return (incoming.unsqueeze(-1) * gradient,)
