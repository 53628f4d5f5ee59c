"""Whether a backend gives the slope of the averaged cost: an interval of its bias, and a verdict that follows from it.

Both sides are independent units: estimates over seeds, and difference gradients of the reference. The bias is
|E g - E r| / |E r| in units of the noise, its interval ``statistics/bias_interval.py``. One margin decides:

- *agrees*: the whole interval is below ``MARGIN``.
- *differs*: the whole interval is above it.
- *cannot tell*: neither, or the units are too few: fewer than three degrees of freedom, or fewer than ten units of the
  reference that differ from its most common one. How many rollouts would settle it is part of the answer.
- *nothing seen*: every unit of the reference is exactly 0. An event rarer than about 3 in all rollouts may be missed:
  this is no agreement, whatever the backend says.
- *not finite*, *failed*: an entry of a gradient is not finite; the backend gave no gradient.

A gradient that is exactly 0 in every seed is told apart in the text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats

from ..statistics.bias_interval import LEVEL, joint_degrees_of_freedom, length_interval, length_of_difference
from ..statistics.units import UnitSummary, summarize
from .slope_reference import SlopeReference

__all__ = ["MARGIN", "SLOPE_LABELS", "SlopeVerdict", "count_text", "failed_slope", "slope_verdict"]

MARGIN = 0.25
"""Relative bias that decides."""

SLOPE_LABELS = ("agrees", "differs", "cannot tell", "nothing seen", "not finite", "failed")
"""All labels."""

_LEAST_FREEDOM, _LEAST_DISTINCT = 3.0, 10
_FLOOR = 0.005  # bias of the differences themselves, of the slope
_WIDER = 4.0  # spread over seeds, over the backend's own variance, at which the latter is not believed
_PRECISION = 4.2  # standard errors of the difference within the margin at which an unbiased backend is told to agree
_TARGET = 0.1
_MOST = 1e7  # rollouts beyond which no number is named


@dataclass(frozen=True)
class SlopeVerdict:
    """Verdict on one backend as the slope of the averaged cost."""

    label: str
    """One of ``SLOPE_LABELS``."""
    text: str
    """The sentence, without a full stop."""
    low: float | None = None
    """Lower bound of the relative bias, at the one-sided level of 99 %."""
    high: float | None = None
    """Upper bound; None where it is not bounded."""
    variance: float | None = None
    """Variance of one estimate over seeds, summed over parameters, over the squared slope; None where unknown."""
    zero: bool = False
    """Whether the gradient is exactly 0 for every seed."""
    exact: bool = False
    """Whether all seeds give the same gradient."""
    rollouts: int = 0
    """Rollouts of one estimate."""
    more: int | None = None
    """About how many further rollouts, of reference and backend together, would settle it; None where that is unknown
    or it is settled."""
    rollouts_to_tenth: float | None = None
    """Rollouts at which the root mean square error is a tenth of the slope, if the backend is told to agree and its
    noise averages out; None where the bias is in the way."""
    well_known: bool = False
    """Whether the bias is certainly below a tenth, so that ``rollouts_to_tenth`` can be quoted."""

    def as_dict(self) -> dict[str, Any]:
        """Entry of ``results.json``."""
        return {
            "label": self.label,
            "text": self.text,
            "bias_low": self.low,
            "bias_high": self.high,
            "relative_variance": self.variance,
            "zero": self.zero,
            "rollouts": self.rollouts,
            "rollouts_to_settle": self.more,
            "rollouts_to_tenth": self.rollouts_to_tenth if self.well_known else None,
        }


def failed_slope(error: str) -> SlopeVerdict:
    """Verdict on a backend that gave no gradient."""
    return SlopeVerdict("failed", f"no gradient: {error}")


def slope_verdict(
    gradients: torch.Tensor,
    reference: SlopeReference,
    *,
    rollouts: int,
    errors: torch.Tensor | None = None,
    level: float = LEVEL,
) -> SlopeVerdict:
    """The verdict on estimates over seeds.

    Args:
        gradients: Estimates [seeds, parameters]; a single one counts as exact.
        reference: Units of the reference.
        rollouts: Rollouts of one estimate.
        errors: Standard errors of the estimates, [seeds, parameters], where the backend gives them. Their mean square
            is the variance of one estimate unless the spread over seeds is more than twice as wide: it is known better.
        level: One-sided level of each bound.
    """
    if not bool(torch.isfinite(gradients).all()):
        bad = int((~torch.isfinite(gradients)).any(1).sum())
        where = "" if len(gradients) == 1 else f" for {bad} of {len(gradients)} seeds"
        return SlopeVerdict("not finite", f"not finite{where}: of no use here", rollouts=rollouts)
    found, truth = summarize(reference.along(gradients)), reference.summary
    zero = not bool(gradients.any())
    known: dict[str, Any] = {"zero": zero, "exact": found.exact, "rollouts": rollouts}
    norm = float(truth.mean.norm())
    if truth.distinct == 0 and norm == 0.0:
        return SlopeVerdict("nothing seen", _nothing_seen(reference, zero), **known)
    length = length_interval(truth, level)
    low, high = _relative(length_of_difference(found, truth, level), length, reference)
    variance = _variance(found, reference, errors) / max(norm, 1e-300) ** 2
    known.update(low=low, high=high if math.isfinite(high) else None, variance=variance)
    few = _too_few(found, truth)
    if few is None and high < MARGIN:
        return _agreement(found, known, low, high)
    if few is None and low > MARGIN:
        return SlopeVerdict("differs", _difference(low, high, zero, found.exact), **known)
    more = _to_settle(found, truth, reference, rollouts, few is not None)
    return SlopeVerdict("cannot tell", _undecided(low, high, few, zero, length[0] > 0.0, more), more=more, **known)


def _variance(found: UnitSummary, reference: SlopeReference, errors: torch.Tensor | None) -> float:
    """Variance of one estimate, summed over directions."""
    spread = found.trace * found.count
    if errors is None or found.exact or not bool(torch.isfinite(errors).all()):
        return spread
    squares = (errors.double().cpu() * reference.scale).square()
    own = float((squares @ reference.directions.square().T).sum(1).mean())
    return own if spread <= _WIDER * own else spread


def _relative(bias: tuple[float, float], length: tuple[float, float], reference: SlopeReference) -> tuple[float, float]:
    """Bounds of the relative bias: the ends that are least and most favourable, and what unseen directions may hide."""
    factor = 1.0
    if not reference.complete:
        count = len(reference.directions)
        factor = math.sqrt(float(stats.f.ppf(LEVEL, count, count)))
    low = bias[0] / length[1] / factor if length[1] > 0.0 else 0.0
    high = bias[1] / length[0] * factor + _FLOOR if length[0] > 0.0 else math.inf
    return max(0.0, low - _FLOOR), high


def _too_few(found: UnitSummary, truth: UnitSummary) -> str | None:
    """Reason why no statement is made; None where there are units enough."""
    if not truth.exact and truth.distinct < _LEAST_DISTINCT:
        return f"only {truth.distinct} of the reference's {truth.count} differences saw the cost change otherwise"
    if not found.exact and found.distinct < min(_LEAST_DISTINCT, found.count // 2):
        return f"only {found.distinct} of its {found.count} estimates saw the cost change otherwise"
    if min(found.degrees_of_freedom, truth.degrees_of_freedom, joint_degrees_of_freedom(found, truth)) < _LEAST_FREEDOM:
        return "a few rare values decide, so that no error bar can be trusted"
    return None


def _agreement(found: UnitSummary, known: dict[str, Any], low: float, high: float) -> SlopeVerdict:
    room = _TARGET**2 - low**2  # of the bias only what is certain
    work = None
    if found.exact and high < _TARGET:  # its bias does not average out, so it has to be known
        work = float(known["rollouts"])
    elif not found.exact and room > 0.0:
        work = max(1.0, known["rollouts"] * known["variance"] / room)
    text = f"agrees: its bias is at most {_percent(high)} of the slope of the averaged cost"
    return SlopeVerdict("agrees", text, rollouts_to_tenth=work, well_known=high < _TARGET, **known)


def _to_settle(
    found: UnitSummary, truth: UnitSummary, reference: SlopeReference, rollouts: int, few: bool
) -> int | None:
    """Further rollouts after which the interval would leave the margin, if the bias is where it seems to be."""
    norm = float(truth.mean.norm())
    spent = reference.rollouts + (0 if found.exact else found.count * rollouts)
    if norm == 0.0 or truth.trace >= norm**2:
        return None
    bias = math.sqrt(max(0.0, float((found.mean - truth.mean).square().sum()) - found.trace - truth.trace)) / norm
    gap = abs(MARGIN - bias) * norm / _PRECISION
    if gap <= 0.01 * norm / _PRECISION:
        return None
    factor = (found.trace + truth.trace) / gap**2
    if few:
        factor = max(factor, 2.0 * _LEAST_DISTINCT / max(truth.distinct, 1))
    more = spent * (factor - 1.0)
    return round(more) if 0.0 < more < _MOST else None


def _difference(low: float, high: float, zero: bool, exact: bool) -> str:
    if zero:
        return (
            "exactly 0, while the averaged cost has a slope: it cannot see it. Use a backend that averages over noise"
        )
    cause = ": it is the slope of the cost as it is" if exact else ""
    return f"differs: off by {_range(low, high)} of the slope of the averaged cost{cause}"


def _undecided(low: float, high: float, few: str | None, zero: bool, sloped: bool, more: int | None) -> str:
    parts = [
        f"cannot tell: {few}" if few else f"cannot tell: off by {_range(low, high)} of the slope, and 25 % decides"
    ]
    if zero:
        parts = ["cannot tell: its gradient is exactly 0, and whether the averaged cost has a slope is not settled"]
    elif not sloped and not few:
        parts = ["cannot tell: the slope of the averaged cost is not told from 0 itself"]
    if more is not None:
        parts.append(f"about {count_text(more)} more rollouts would settle it")
    elif few or not sloped:
        parts.append("use a larger scale of the noise or many more rollouts")
    return "; ".join(parts)


def _nothing_seen(reference: SlopeReference, zero: bool) -> str:
    own = "" if zero else " The backend's own gradient is not 0, and cannot be checked."
    return (
        f"nothing seen: all {reference.rollouts:,} rollouts of the reference cost the same, so anything that the noise "
        f"reaches more than about once in {max(1, reference.rollouts // 3):,} is ruled out. That is no slope of zero: "
        f"use a larger scale of the noise.{own}"
    ).rstrip(".")


def _range(low: float, high: float) -> str:
    if not math.isfinite(high):
        return f"at least {_percent(low)}"
    return f"{_percent(low)} to {_percent(high)}"


def _percent(share: float) -> str:
    if share >= 10.0:
        return f"{share:.2g} times"
    return f"{100.0 * share:.2g} %" if share < 0.095 else f"{100.0 * share:.0f} %"


def count_text(number: float) -> str:
    """A number rounded to two digits, since it is no better known."""
    whole = max(1, round(number))
    digits = max(0, len(str(whole)) - 2)
    return f"{round(whole, -digits):,}"
