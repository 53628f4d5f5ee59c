"""Smoothing with the median of k perturbed costs in place of their mean."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import partial

import torch

from ...plain import plain_numbers
from ..core.checks import as_batch, check_count
from ..core.error_bars import spread_bar
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate
from ..statistics.jackknife import group_sizes, jackknife_variance
from .smoothing.estimator import Smoothing
from .smoothing.run import in_calls, rows_at_once

__all__ = ["MedianSmoothing", "mean_median"]

_BLOCK = 2**22  # entries of costs and scores held at once for the jackknife


@plain_numbers
@dataclass(frozen=True)
class MedianSmoothing:
    """Unbiased gradient of F(theta) = E median(f(theta + L w_1), ..., f(theta + L w_k)), w_j independent, k odd.

    The k-sample median of Petersen et al. 2024: a smoothed cost that is robust to outliers. With k = 1 it is
    :class:`Smoothing`; as k grows it tends to the median of f(theta + L w), which has an expectation where the mean has
    none (a quadratic cost under Cauchy noise: any k of at least 5). Prefer it where some samples have a
    cost far above the others (a failed rollout), and the gradient must not be that of the failures. It is another
    function than the mean: on a skewed cost it has another value, and near a jump it is steeper (the jump's transition
    narrows like 1/sqrt(k)).

    *Estimate.* The perturbations are independent, so the score of a set S is the sum of its members':
    grad F = E[median(S) sum_(j in S) L^-T s(w_j)]. Averaged over all k-subsets S of the samples at once (the complete
    U-statistic, of least variance, in closed form from the sorted costs):

        g = sum_j (A_j - k b_j / N) L^-T s(w_j),   A_j = sum over S with j of median(S) / C(N, k)

    where b_j is a baseline: the mean median over the subsets *without* j (``"leave_one_out"``; g is then
    N/(N - k) sum_j (A_j - k U/N) L^-T s(w_j), U the mean over all), f(theta) (``"value"``), or 0 (``"none"``). All
    are unbiased, since E s = 0 and b_j does not depend on w_j. The value is U, unbiased as well.

    The standard error is the delete-a-group jackknife's, ``groups`` - 1 degrees of freedom. Independent samples only:
    no pairs, no low-discrepancy points.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``.
    """

    smoothing: Smoothing = field(default_factory=lambda: Smoothing(antithetic=False))
    """Noise, samples and baseline; order ``"zeroth"``, independent samples, all parameters, ``non_finite="refuse"``."""
    k: int = 5
    """Costs of which the median is taken, odd."""
    groups: int = 32
    """Groups of the jackknife, at most."""

    def __post_init__(self) -> None:
        s = self.smoothing
        if not isinstance(s, Smoothing):
            raise GradientError(f"smoothing is a {type(s).__name__}: give Smoothing(antithetic=False, ...)")
        if s.order != "zeroth" or s.parameters is not None or s.non_finite != "refuse":
            raise GradientError(
                'median smoothing takes Smoothing(order="zeroth") of all parameters, with non_finite="refuse"'
            )
        if s.antithetic or not s.independent or s.replications > 1:
            raise GradientError(
                "median smoothing needs independent samples, as the medians are over all subsets of them: use "
                'Smoothing(antithetic=False, sampling="monte_carlo", replications=1, ...)'
            )
        check_count("k", self.k, 1)
        if self.k % 2 == 0:
            raise GradientError(f"k is {self.k}: give an odd number, of which one is in the middle, e.g. {self.k + 1}")
        check_count("groups", self.groups, 3, " (fewer say nothing of an error)")
        left = s.samples - max(group_sizes(s.samples, min(self.groups, s.samples)))
        if left < self.k + 1:
            raise GradientError(
                f"samples is {s.samples}: medians of {self.k} with a standard error need at least {self.k + 1} samples "
                f"beside each group left out, and there are {left}. Use more samples or a smaller k"
            )

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        started = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, smoothing = len(batch), self.smoothing
        perturbation = smoothing.perturbation(batch, seed=seed)
        samples = perturbation.units
        most = rows_at_once(smoothing.chunk, samples * thetas, batch.shape[1])
        run = partial(evaluate, objective)
        centre = in_calls(run, batch, most).double() if smoothing.baseline == "value" else None
        step = max(1, most // thetas)
        costs, scores = [], []
        for first in range(0, samples, step):
            draw = perturbation.draw(first, min(step, samples - first))
            rows = batch + draw.moves.to(batch)[:, None]  # [samples, T, parameters]
            costs.append(in_calls(run, rows.flatten(0, 1), most).double().view(len(rows), thetas))
            scores.append(draw.scores())
        cost, score = torch.cat(costs), torch.cat(scores)
        value, gradient = (part[0] for part in self._statistic(cost[None], score[None], centre))
        values, gradients = self._without_each_group(cost, score, centre)
        variance = jackknife_variance(gradients)
        return assemble(
            batch,
            single,
            value=value,
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=thetas * (samples + (centre is not None)),
            seconds=time.perf_counter() - started,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": variance.sum(1),
                "value_standard_error": jackknife_variance(values).sqrt(),
            },
            bar=spread_bar(gradient, variance, len(gradients), epsilon=torch.finfo(batch.dtype).eps),
        )

    def _without_each_group(
        self, cost: torch.Tensor, score: torch.Tensor, centre: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [G, T] and gradients [G, T, parameters] without each of G groups of samples in turn."""
        samples, thetas = cost.shape
        sizes = group_sizes(samples, min(self.groups, samples))
        numbers = torch.arange(samples, device=cost.device)
        starts = [sum(sizes[:group]) for group in range(len(sizes))]
        found = []
        together = max(1, _BLOCK // (samples * max(thetas, score.shape[1])))
        for size in sorted(set(sizes), reverse=True):  # the larger groups come first
            low = [start for start, own in zip(starts, sizes, strict=True) if own == size]
            for first in range(0, len(low), together):
                some = torch.tensor(low[first : first + together], dtype=torch.int64, device=cost.device)[:, None]
                left = (numbers < some) | (numbers >= some + size)  # [groups, N]
                places = numbers.expand(left.shape)[left].view(len(some), samples - size)
                found.append(self._statistic(cost[places], score[places], centre))
        return torch.cat([part[0] for part in found]), torch.cat([part[1] for part in found])

    def _statistic(
        self, cost: torch.Tensor, score: torch.Tensor, centre: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [G, T] and gradients [G, T, parameters] from costs [G, N, T] and scores [G, N, parameters]."""
        groups, count, thetas = cost.shape
        # medians move with a constant: about the first cost, equal costs give exactly zero
        shift = cost[:, 0]
        flat = (cost - shift[:, None]).transpose(0, 1).reshape(count, groups * thetas)
        value, shares = (part.view(*part.shape[:-1], groups, thetas) for part in mean_median(flat, self.k))
        if self.smoothing.baseline == "leave_one_out":
            weights = (shares - self.k / count * value) * (count / (count - self.k))
        else:
            weights = shares + self.k / count * (shift if centre is None else shift - centre)
        return value + shift, torch.einsum("ngt,gnp->gtp", weights, score)


def mean_median(costs: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over all k-subsets of their median [T], and the part of it from the subsets with each sample [N, T].

    For costs [N, T], k odd, k <= N, r = (k - 1)/2: the sample of rank i (from 0) is the median of
    C(i, r) C(N - 1 - i, r) subsets. A given sample of lower rank belongs to C(i - 1, r - 1) C(N - 1 - i, r) of them,
    one of higher rank to C(i, r) C(N - 2 - i, r - 1). O(N log N).
    """
    count, r = len(costs), (k - 1) // 2
    ordered, order = costs.sort(0)
    below = torch.arange(count, dtype=torch.float64, device=costs.device)[:, None]
    above = count - 1.0 - below
    all_subsets = _log_binomial(torch.tensor(float(count), dtype=torch.float64, device=costs.device), k)
    own = torch.exp(_log_binomial(below, r) + _log_binomial(above, r) - all_subsets)
    medians = own * ordered
    shares = medians
    if r > 0:
        # of the subsets with this median, the share r / below holds any given lower sample, r / above any higher one
        lower = torch.where(below > 0, medians * r / below.clamp_min(1.0), torch.zeros_like(medians))
        higher = torch.where(above > 0, medians * r / above.clamp_min(1.0), torch.zeros_like(medians))
        shares = medians + (lower.sum(0) - lower.cumsum(0)) + (higher.cumsum(0) - higher)
    return medians.sum(0), torch.empty_like(shares).scatter_(0, order, shares)


def _log_binomial(n: torch.Tensor, k: int) -> torch.Tensor:
    """Logarithm of C(n, k) for n [...], minus infinity where n < k."""
    safe = n.clamp_min(float(k))
    number = torch.lgamma(safe + 1.0) - torch.lgamma(safe - k + 1.0) - math.lgamma(k + 1.0)
    return torch.where(n < k, torch.full_like(number, -torch.inf), number)
