"""Score of a descent: the mean logarithm of the work to reach a cost, over all costs between start and least.

With c0 the cost at the start, c* the least that any arm met from there, and c(w) the least that an arm met for w
rollouts, L = ln w0 + the integral of (c(w) - c*) / (c0 - c*) over ln w from w0 to the budget. It is the mean over all
levels of cost of the logarithm of the rollouts that the arm takes to reach the level, so that exp(L_a - L_b) reads
"a takes so many times the rollouts of b".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy import stats

__all__ = ["TIE", "Relation", "log_work", "relation"]

TIE = 1.5
"""Factor of work within which two are equal."""

_LEAST_WORK = 3.0
_CHANGE = 1e-9


def log_work(
    curves: Mapping[object, tuple[Sequence[float], Sequence[float]]], budget: float, least: float = _LEAST_WORK
) -> dict[object, float] | None:
    """L of each arm from one start; None where no arm lowered the cost.

    Args:
        curves: By arm, the work spent and the least cost met until then; both begin with the start.
        budget: Work until which all ran.
        least: Work w0 at which the levels begin.
    """
    start = next(iter(curves.values()))[1][0]
    low = min(best[-1] for _, best in curves.values())
    if not (math.isfinite(start) and start - low > _CHANGE * max(abs(start), abs(low), 1e-300)):
        return None
    found = {}
    for arm, (work, best) in curves.items():
        ends = [min(max(end, least), budget) for end in (*work[1:], budget)]
        begins = [least, *ends[:-1]]
        area = sum(
            (cost - low) / (start - low) * math.log(end / begin)
            for cost, begin, end in zip(best, begins, ends, strict=True)
        )
        found[arm] = math.log(least) + area
    return found


@dataclass(frozen=True)
class Relation:
    """One backend against the best, paired over the starts."""

    label: str
    """worse (certainly beyond a factor of 1.5), slower (certainly beyond 1), equal (certainly within 1.5), or
    not told apart."""
    low: float
    """Lower end of the factor of work, 95 % from both sides."""
    factor: float
    high: float
    more_starts: int | None = None
    """About how many further starts would tell, where they are not told apart."""


def relation(work: Sequence[float], best: Sequence[float], level: float = 0.95) -> Relation:
    """Relation of the log works of one backend to those of the best, start by start, by Student's paired t."""
    difference = torch.tensor(work, dtype=torch.float64, device="cpu") - torch.tensor(
        best, dtype=torch.float64, device="cpu"
    )
    count = len(difference)
    mean = float(difference.mean())
    error = float(difference.std()) / math.sqrt(count) if count > 1 else math.inf
    half = float(stats.t.ppf(0.5 + level / 2.0, max(count - 1, 1))) * error
    low, high, tie = mean - half, mean + half, math.log(TIE)
    label = "worse" if low > tie else "equal" if high < tie else "slower" if low > 0.0 else "not told apart"
    more = None
    if label == "not told apart" and math.isfinite(half) and half > 0.0:
        gap = max(abs(mean), abs(tie - mean)) / half  # one of the two bounds has to move by this
        more = max(1, math.ceil(count * (1.0 / max(gap, 0.2) ** 2 - 1.0)))
    return Relation(label, _exp(low), _exp(mean), _exp(high), more)


def _exp(x: float) -> float:
    return math.exp(min(700.0, x))
