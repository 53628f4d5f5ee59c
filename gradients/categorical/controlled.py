"""The estimator that REBAR and RELAX share; they differ in the control variate only."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..control_variates.rounds import Samples, estimate_in_rounds
from ..control_variates.state import ControlVariateState
from ..control_variates.terms import Terms
from ..control_variates.training import VarianceTraining
from ..core.errors import GradientError
from ..core.interface import Estimate
from .choices import CategoricalObjective
from .gumbel import conditional_gumbels, draw_gumbels
from .sampling import finish, sample_choices

__all__ = ["Control", "Settings", "controlled_estimate", "weights_at"]

Control = Callable[[torch.Tensor, Sequence[torch.Tensor]], torch.Tensor]
"""c [thetas, points] at z [thetas, points, factors, categories], with parameters."""


@dataclass(frozen=True)
class Settings:
    """Options of the estimator, as the backends have them."""

    samples: int
    baseline: str
    training: VarianceTraining
    chunk: int | None
    trainable: bool


def weights_at(z: torch.Tensor, log_temperature: torch.Tensor) -> torch.Tensor:
    """softmax(z / temperature) of z [thetas, points, factors, categories], with each theta's temperature [thetas]."""
    return (z / log_temperature.exp()[:, None, None, None]).softmax(-1)


def controlled_estimate(
    objective: CategoricalObjective,
    theta: torch.Tensor,
    logits: torch.Tensor,
    single: bool,
    control: Control,
    settings: Settings,
    state: ControlVariateState,
    *,
    carried: bool,
    seed: int,
    measures: Callable[[Sequence[torch.Tensor]], dict[str, torch.Tensor]],
) -> Estimate:
    """Mean of g = (f(b) - c(z')) dlog p(b) + dc(z) - dc(z'), derivatives with respect to the logits.

    z, z' and b as in ``gumbel``. E[dc(z')|b], taken over the law of z' given b, is d E[c|b], and so
    E[c(z') dlog p(b) + dc(z')] = sum_b d(p(b) E[c|b]) = d E c = E dc(z): what is added has mean zero for every c.
    ``measures`` gives diagnostics from the parameters at the end.
    """
    start = time.perf_counter()
    _, factors, categories = logits.shape

    def draw(first: int, count: int) -> Samples:
        drawn = sample_choices(objective, logits, seed, first=first, count=count, chunk=settings.chunk)
        others = draw_gumbels(seed, "given choices", first=first, count=count, factors=factors, categories=categories)
        return {**drawn, "others": others.to(logits.device)[None]}

    def terms_of(samples: Samples, parameters: Sequence[torch.Tensor], graph: bool) -> Terms:
        costs = samples["costs"]
        count = costs.shape[1]
        with torch.enable_grad():
            leaf = logits[:, None].expand(-1, count, -1, -1).clone().requires_grad_()
            log_p = leaf.log_softmax(-1)
            free = log_p + samples["gumbels"]
            given = conditional_gumbels(log_p, samples["choices"], samples["others"])
            at_free, at_given = control(torch.cat([free, given], 1), parameters).split(count, 1)
            difference = (at_free - at_given).sum()
            if not difference.requires_grad:
                raise GradientError(
                    "torch.autograd does not reach z through the control variate: write it in torch operations, "
                    "without detach(), numpy or argmax"
                )
            (path,) = torch.autograd.grad(difference, leaf, create_graph=graph)
        if not graph:
            at_given, path = at_given.detach(), path.detach()
            if not (bool(torch.isfinite(at_given).all()) and bool(torch.isfinite(path).all())):
                raise GradientError(
                    "the control variate or its derivative is not finite at some z: it must be finite wherever the "
                    "noise can reach"
                )
        return Terms(costs - at_given, samples["score"], path.flatten(2))

    moments = estimate_in_rounds(
        draw,
        terms_of,
        samples=settings.samples,
        baseline=settings.baseline,
        training=settings.training,
        state=state,
        carried=carried,
        trainable=settings.trainable,
    )
    extra = {"variance_ratio": moments.variance_ratio, **measures(state.parameters)}
    return finish(
        theta, single, logits, moments.costs, moments.gradient, moments.variance, moments.degrees, start, extra
    )
