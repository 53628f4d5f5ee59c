"""REINFORCE: the score-function gradient of an expected cost of choices."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..control_variates.terms import BASELINES, Terms, check_baseline, degrees_of_freedom, mean_and_variance
from ..core.arrays import as_theta
from ..core.checks import check_count
from ..core.interface import Estimate
from .choices import CategoricalObjective, check_categories, split_logits
from .sampling import finish, sample_choices

__all__ = ["REINFORCE"]


@plain_numbers
@dataclass(frozen=True)
class REINFORCE:
    """Gradient of E f(b) with respect to the logits of b from costs of sampled choices alone (Williams 1992).

    g = mean of (f(b) - baseline) (onehot(b) - p). Prefer it where nothing is known of f; where a control variate can
    follow the cost, ``RELAX`` has less variance. ``baseline``:

    - ``"leave_one_out"``: the mean of the other samples; unbiased, its standard error is the jackknife's.
    - ``"mean"``: the mean of all samples, the textbook's. It contains f(b) itself, which shrinks the gradient by
      exactly (samples - 1) / samples: *biased*, towards zero, and its standard error does not show it.
    - ``"none"``: nothing. Unbiased; the variance grows with f^2.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``entropy`` of the choice, in nats, summed
    over the factors: near 0 all samples are alike and the gradient vanishes.
    """

    categories: int
    """Categories of each factor."""
    samples: int = 256
    """Rollouts per theta."""
    baseline: str = "leave_one_out"
    """``"leave_one_out"``, ``"mean"`` or ``"none"``."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        check_categories(self.categories)
        check_baseline(self.baseline, (*BASELINES, "mean"))
        check_count("samples", self.samples, 2 if self.baseline == "none" else 3, " (for its standard error)")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: CategoricalObjective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at logits ``theta`` ([factors * categories], or a batch [batch, factors * categories])."""
        start = time.perf_counter()
        theta = as_theta(theta)
        logits, single = split_logits(theta, self.categories)
        drawn = sample_choices(objective, logits, seed, first=0, count=self.samples, chunk=self.chunk)
        kind = "none" if self.baseline == "none" else "leave_one_out"
        terms = Terms(drawn["costs"], drawn["score"])
        gradient, variance = mean_and_variance(terms, kind)
        if self.baseline == "mean":
            shrink = (self.samples - 1) / self.samples
            gradient, variance = gradient * shrink, variance * shrink**2
        return finish(theta, single, logits, drawn["costs"], gradient, variance, degrees_of_freedom(terms, kind), start)
