"""Samples of a gradient that is a score term plus a path term, their mean and its error.

With f a cost, c a control variate and s the score, -d log p(sample) / d noise or d log p(choice) / d logits,

    g = r s + d,    r = f - c,    d = what c contributes in expectation, differentiated pathwise             (1)

is unbiased when E[d] = E[c s] (score) for each fixed c. A baseline b that does not depend on the sample's own noise may
be subtracted from r, because E s = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..core.checks import suggest
from ..core.error_bars import of_samples
from ..core.errors import GradientError

__all__ = ["BASELINES", "Terms", "check_baseline", "contributions", "degrees_of_freedom", "mean_and_variance"]

BASELINES = ("leave_one_out", "none")


class Terms(NamedTuple):
    """Terms of the samples; the first two dimensions are [thetas, samples], float64."""

    residual: torch.Tensor
    """r = f - c, shape [thetas, samples]."""
    score: torch.Tensor
    """s, shape [thetas or 1, samples, parameters]."""
    path: torch.Tensor | None = None
    """d, shape [thetas, samples, parameters]; None for zero."""

    def pick(self, samples: torch.Tensor) -> Terms:
        """The terms of some samples (a mask or indices)."""
        path = None if self.path is None else self.path[:, samples]
        return Terms(self.residual[:, samples], self.score[:, samples], path)


def check_baseline(baseline: object, known: tuple[str, ...] = BASELINES) -> None:
    """Refuse an unknown baseline."""
    if baseline not in known:
        raise GradientError(suggest("baseline", baseline, known))


def contributions(terms: Terms, baseline: str) -> torch.Tensor:
    """Independent contributions u, [thetas, samples, parameters], whose variance over n is the variance of the mean.

    With the leave-one-out baseline these are the jackknife's: leaving sample k out of sum (r - mean r) s / (n - 1)
    changes it by -n z_k / ((n - 1)(n - 2)) plus a constant, z_k = (r_k - mean r)(s_k - mean s).
    """
    residual, score, path = terms
    if baseline == "leave_one_out":
        samples = residual.shape[1]
        residual = (residual - residual.mean(1, keepdim=True)) * (samples / (samples - 2))
        score = score - score.mean(1, keepdim=True)
    parts = residual.unsqueeze(-1) * score
    return parts if path is None else parts + path


def mean_and_variance(terms: Terms, baseline: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The estimate and the variance of it, both [thetas, parameters]."""
    residual, score, path = terms
    samples = residual.shape[1]
    if baseline == "leave_one_out":
        shifted = residual - residual[:, :1]  # exact zeros for a constant
        centred = shifted - shifted.mean(1, keepdim=True)
        gradient = (centred.unsqueeze(-1) * score).sum(1) / (samples - 1)
        terms = Terms(shifted, score, path)
    else:
        gradient = (residual.unsqueeze(-1) * score).mean(1)
    if path is not None:
        gradient = gradient + path.mean(1)
    return gradient, contributions(terms, baseline).var(1) / samples


def degrees_of_freedom(terms: Terms, baseline: str) -> torch.Tensor:
    """Degrees of freedom of that variance by the skewness of the contributions, [thetas, parameters]."""
    return of_samples(contributions(terms, baseline))
