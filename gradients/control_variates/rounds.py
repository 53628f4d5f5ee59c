"""An estimate in rounds, with a control variate that learns between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from ..core.error_bars import joined
from .state import ControlVariateState
from .terms import Terms, contributions, degrees_of_freedom, mean_and_variance
from .training import VarianceTraining, fit

__all__ = ["Moments", "Samples", "estimate_in_rounds"]

Samples = Mapping[str, torch.Tensor]
"""Data kept of the samples, each entry [thetas or 1, samples, ...]; "costs" and "score" are among them."""


class Moments(NamedTuple):
    """The estimate over all samples; float64."""

    gradient: torch.Tensor
    """[thetas, parameters]"""
    variance: torch.Tensor
    """Variance of the gradient, [thetas, parameters]."""
    degrees: torch.Tensor
    """Degrees of freedom of that variance, [thetas, parameters]."""
    costs: torch.Tensor
    """[thetas, samples]"""
    variance_ratio: torch.Tensor
    """Variance of a sample with the last round's control variate over that without, [thetas]; nan if that is 0."""


def estimate_in_rounds(
    draw: Callable[[int, int], Samples],
    terms_of: Callable[[Samples, Sequence[torch.Tensor], bool], Terms],
    *,
    samples: int,
    baseline: str,
    training: VarianceTraining,
    state: ControlVariateState,
    carried: bool,
    trainable: bool = True,
) -> Moments:
    """Mean of the rounds' estimates, weighted by their samples.

    ``draw(first, count)`` evaluates new samples; ``terms_of(samples, parameters, graph)`` gives their terms. With
    ``carried`` the control variate is trained after the last round too.
    """
    sizes = training.sizes(samples) if trainable else [samples]
    gathered: dict[str, torch.Tensor] = {}
    gradient: torch.Tensor | float = 0.0
    variances: list[torch.Tensor] = []
    degrees: list[torch.Tensor | None] = []
    first = 0
    for size in sizes:
        new = draw(first, size)
        terms = terms_of(new, state.parameters, False)
        mean, mean_variance = mean_and_variance(terms, baseline)
        gradient = gradient + mean * (size / samples)
        variances.append(mean_variance * (size / samples) ** 2)
        degrees.append(degrees_of_freedom(terms, baseline))
        first += size
        gathered = {name: torch.cat([gathered[name], part], 1) if gathered else part for name, part in new.items()}
        if trainable and training.steps and (carried or first < samples):
            _train(gathered, terms_of, state, training, baseline)
    with_variate = contributions(terms, baseline).var(1).sum(-1)
    plain = contributions(Terms(new["costs"], new["score"]), baseline).var(1).sum(-1)
    ratio = torch.where(plain > 0, with_variate / plain, torch.nan)
    assert isinstance(gradient, torch.Tensor)
    together = joined(variances, degrees)
    assert together is not None
    return Moments(gradient, torch.stack(variances).sum(0), together, gathered["costs"], ratio)


def _train(
    gathered: Samples,
    terms_of: Callable[[Samples, Sequence[torch.Tensor], bool], Terms],
    state: ControlVariateState,
    training: VarianceTraining,
    baseline: str,
) -> None:
    if state.spread is None:
        spread = gathered["costs"].std(1)
        if not bool((spread > 0).any()):
            return  # a cost that never changes leaves nothing to learn, and no unit to learn it in
        state.spread = torch.where(spread > 0, spread, 1.0)
    samples = gathered["costs"].shape[1]
    fit(lambda parameters, graph: terms_of(gathered, parameters, graph), samples, state, training, baseline)
