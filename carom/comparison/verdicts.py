"""Verdicts: a label and a sentence on each backend, by the rules below.

The reference is the gradient of the cost averaged over noise, with a standard error of its own. k is 3 for
one parameter and grows with their number, so that chance alone is as rare for all together (1 in 370). In this order:

1. *failed*, *not finite*: the backend gave no gradient, or one that is not finite.
2. *blind*: exactly zero in coordinates where the reference is more than k standard errors from zero.
3. *nearly blind*: shorter than a tenth of the reference, and significantly different from it.
4. *noisy*, where the comparison means little: fewer than 60 rollouts saw the cost change (the error bar is then
   itself a guess), a fit that explains less than half of the variance of held-out rollouts, or no significant
   difference only because the error bar is more than a third of the reference's length.
5. *agrees*: every coordinate is within k combined standard errors of the reference (the root of the sum of both
   squared), or the whole is within a hundredth of its length.
6. *differs*: none of these.

A backend without an error bar counts with none: an exact gradient, or an ensemble, whose spread is no confidence
bound. For an exact gradient a difference is no error: it is the slope of the cost as it is, not of its average.
Differences below the rounding of the dtype never count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..gradients.compare import ComparisonRow
from ..gradients.statistics.significance import critical_z

__all__ = ["K", "Verdict", "verdict"]

K = 3.0
"""Standard errors that count as significant in one parameter."""
_NEARLY_BLIND = 0.1
_NOISY = 1.0 / 3.0
_CLOSE = 0.01
_FEW = 60
_SHOWN = 4


@dataclass(frozen=True)
class Verdict:
    """A label and a sentence."""

    label: str
    """Label: failed, not finite, blind, nearly blind, noisy, agrees or differs."""
    text: str
    blind: tuple[int, ...] = ()
    """Coordinates to which the backend is blind."""


def verdict(
    row: ComparisonRow, reference: ComparisonRow, names: Sequence[str], *, rounding: float = 1e-9, k: float = K
) -> Verdict:
    """The verdict on ``row`` by the rules above.

    Args:
        row: The backend's answer.
        reference: The reference of the comparison.
        names: Names of the parameters.
        rounding: Relative difference that never counts.
        k: Standard errors that count as significant in one parameter.
    """
    if row.error is not None:
        return Verdict("failed", f"no gradient: {row.error}")
    gradient, target = row.gradient or (), reference.gradient or ()
    k = critical_z(len(target), k)
    infinite = [i for i, g in enumerate(gradient) if not math.isfinite(g)]
    if infinite:
        return Verdict("not finite", f"not finite in {_listed(infinite, names)}: of no use here")
    length = math.hypot(*target)
    floor = max(rounding * length, 1e-300)
    target_error = [math.hypot(e, floor) for e in reference.standard_error or [0.0] * len(target)]
    own_error = None if "gradient_spread" in row.diagnostics else row.standard_error
    both = [math.hypot(a, b) for a, b in zip(target_error, own_error or [0.0] * len(target), strict=True)]
    worst = max(abs(g - t) / e for g, t, e in zip(gradient, target, both, strict=True))
    missed = [abs(t) > k * e and g == 0.0 for g, t, e in zip(gradient, target, target_error, strict=True)]
    if any(missed):
        blind = tuple(i for i, miss in enumerate(missed) if miss)
        zero = sum(g == 0.0 for g in gradient)
        share = "in every parameter" if zero == len(gradient) else f"in {zero} of {len(gradient)} parameters"
        text = f"blind: exactly 0 {share}, though the reference is more than {k:.2g} standard errors from 0 in "
        return Verdict("blind", text + _listed(blind, names), blind)
    size = math.hypot(*gradient)
    if worst > k and size < _NEARLY_BLIND * length:
        return Verdict("nearly blind", f"nearly blind: {size / length:.1%} as long as the reference")
    doubt = _doubt(row, own_error, length, worst, k)
    if doubt:
        return Verdict("noisy", f"{_distance(row)}; {doubt}")
    if length == 0.0 and size == 0.0:
        return Verdict(
            "agrees", "exactly 0, as is the reference: the noise does not reach anything that changes the cost"
        )
    if worst <= k:
        bar = f"; its error bar is {math.hypot(*own_error) / length:.1%} of it" if own_error and length else ""
        return Verdict("agrees", f"within {k:.2g} standard errors of the reference in every parameter{bar}{_fit(row)}")
    if row.relative_error is not None and row.relative_error < _CLOSE:
        return Verdict("agrees", f"within {100.0 * row.relative_error:.2g} % of the reference{_fit(row)}")
    return Verdict("differs", _distance(row) + _why(row, own_error, worst))


def _doubt(row: ComparisonRow, own_error: Sequence[float] | None, length: float, worst: float, k: float) -> str:
    """Reason why a comparison with this row means little; empty where it means enough."""
    quiet = row.diagnostics.get("zero_share")
    if own_error and isinstance(quiet, float) and length > 0.0 and (1.0 - quiet) * row.evaluations < _FEW:
        seen = round((1.0 - quiet) * row.evaluations)
        return f"only {seen} of its {row.evaluations} rollouts saw the cost change, so its error bar is a guess too"
    explained = row.diagnostics.get("held_out_r2")
    if isinstance(explained, float) and explained < 0.5:
        return f"its fit explains {max(0.0, explained):.0%} of the variance of held-out rollouts: too little to rely on"
    if own_error and worst <= k and math.hypot(*own_error) > _NOISY * length:
        share = f"{math.hypot(*own_error) / length:.0%} of the reference" if length else "larger than the reference"
        return f"no more than chance, but its error bar is {share}: use more samples"
    return ""


def _why(row: ComparisonRow, own_error: Sequence[float] | None, worst: float) -> str:
    if own_error:
        return f": {worst:.1f} combined standard errors in the worst parameter, more than chance"
    if "gradient_spread" in row.diagnostics:
        return f": more than the reference's error{_fit(row)}"
    if "width" in row.diagnostics:
        return (
            ": the slope with contact forces that act before the shapes touch, which need not be that of the average "
            "over noise"
        )
    return ": the slope of the cost as it is, which need not be that of its average over the noise"


def _fit(row: ComparisonRow) -> str:
    explained = row.diagnostics.get("held_out_r2")
    return (
        f"; its fit explains {explained:.0%} of the variance of held-out rollouts"
        if isinstance(explained, float)
        else ""
    )


def _distance(row: ComparisonRow) -> str:
    parts = []
    if row.relative_error is not None:
        far = row.relative_error >= 10.0
        parts.append(
            f"off by {row.relative_error:.3g} times the reference"
            if far
            else f"off by {row.relative_error:.0%} of the reference"
        )
    if row.cosine is not None and len(row.gradient or ()) > 1:
        parts.append(f"{math.degrees(math.acos(max(-1.0, min(1.0, row.cosine)))):.0f} degrees away")
    return ", ".join(parts) or "the reference is zero and it is not"


def _listed(coordinates: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(names[i] for i in coordinates[:_SHOWN])
    return shown + (f" and {len(coordinates) - _SHOWN} more" if len(coordinates) > _SHOWN else "")
