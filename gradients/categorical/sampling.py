"""Parts that the sampling backends of choices share: draws with their costs and scores, and the finished estimate."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch

from ..core.error_bars import judged
from ..core.interface import Estimate
from ..core.objective import assemble
from .choices import CategoricalObjective, evaluate_choices
from .gumbel import draw_gumbels

__all__ = ["finish", "sample_choices"]


def sample_choices(
    objective: CategoricalObjective, logits: torch.Tensor, seed: int, *, first: int, count: int, chunk: int | None
) -> dict[str, torch.Tensor]:
    """Choices at logits [thetas, factors, categories], by Gumbel noise that the thetas share.

    ``gumbels`` [1, count, factors, categories], ``choices`` [thetas, count, factors], ``costs`` [thetas, count], and
    ``score`` [thetas, count, factors * categories], the derivative of log p(choice) with respect to the logits.
    """
    thetas, factors, categories = logits.shape
    gumbels = draw_gumbels(seed, "choices", first=first, count=count, factors=factors, categories=categories)
    gumbels = gumbels.to(logits.device)
    choices = (logits[:, None] + gumbels).argmax(-1)
    costs = evaluate_choices(objective, choices.flatten(0, 1), chunk).view(thetas, count)
    score = torch.nn.functional.one_hot(choices, categories) - logits.softmax(-1)[:, None]
    return {"gumbels": gumbels[None], "choices": choices, "costs": costs, "score": score.flatten(2)}


def finish(
    theta: torch.Tensor,
    single: bool,
    logits: torch.Tensor,
    costs: torch.Tensor,
    gradient: torch.Tensor,
    variance: torch.Tensor,
    degrees: torch.Tensor,
    start: float,
    extra: Mapping[str, torch.Tensor] | None = None,
) -> Estimate:
    """The estimate of costs [thetas, samples] and a gradient with its variance and the degrees of freedom of that.

    The last three are [thetas, factors * categories].
    """
    log_p = logits.log_softmax(-1)
    return assemble(
        theta,
        single,
        value=costs.mean(1),
        gradient=gradient,
        standard_error=variance.clamp_min(0.0).sqrt(),
        evaluations=costs.numel(),
        seconds=time.perf_counter() - start,
        diagnostics={
            "finite": torch.isfinite(gradient).all(1),
            "trace_variance": variance.sum(1),
            "value_standard_error": costs.std(1) / costs.shape[1] ** 0.5,
            "entropy": -(log_p.exp() * log_p).sum((1, 2)),
            **(extra or {}),
        },
        bar=judged(gradient, variance, degrees, costs.shape[1], epsilon=torch.finfo(theta.dtype).eps),
    )
