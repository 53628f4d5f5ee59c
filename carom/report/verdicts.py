"""How far each backend can be believed, in a sentence, by rules that are written down.

The reference is the gradient of the cost averaged over noise, with a standard error of its own. k = 3 standard errors.

1. A backend that failed, or whose gradient is not finite: said as it is.
2. *Blind*: coordinates where the backend is exactly zero and the reference is more than k standard errors from zero.
3. *Nearly blind*: its length along the reference is under a tenth of the reference's, and the difference from
   the reference is significant.
4. Where the backend has no error bar of its own that could be used (an exact gradient, or an ensemble whose spread is no
   confidence bound): *equal* if every coordinate is within k standard errors of the reference, else the size of the difference.
   For an exact gradient a difference is no error: it is the slope of the cost as it is, not of its average.
5. Where it has one: *agrees* if every coordinate is within k combined standard errors (the root of both squared); if the
   error bar is more than half of the reference's length, it agrees only because it is noisy, and that is said. Otherwise *differs*.

Differences below the rounding of the dtype, relative to the reference's length, never count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..gradients.compare import ComparisonRow

__all__ = ["K", "Verdict", "verdict"]

K = 3.0
"""Standard errors that count as significant."""
_NEARLY_BLIND = 0.1
_NOISY = 0.5
_POOR_FIT = 0.5
_SHOWN = 4


@dataclass(frozen=True)
class Verdict:
    """A short label (see ``verdict``) and the sentence."""

    label: str
    """One of failed, not finite, blind, nearly blind, agrees, noisy, differs."""
    text: str
    blind: tuple[int, ...] = ()
    """Coordinates to which the backend is blind."""


def verdict(
    row: ComparisonRow, reference: ComparisonRow, names: Sequence[str], *, rounding: float = 1e-9, k: float = K
) -> Verdict:
    """The verdict on ``row`` by the rules above; ``names`` are those of the parameters."""
    if row.error is not None:
        return Verdict("failed", f"no gradient: {row.error}")
    gradient, target = row.gradient, reference.gradient
    assert gradient is not None and target is not None
    if not all(math.isfinite(g) for g in gradient):
        bad = [i for i, g in enumerate(gradient) if not math.isfinite(g)]
        return Verdict("not finite", f"not finite in {_listed(bad, names)}: of no use here")
    length = math.sqrt(math.fsum(t * t for t in target))
    noise = [rounding * length] * len(target)
    target_error = [math.hypot(a, b) for a, b in zip(reference.standard_error or noise, noise, strict=True)]
    spread_only = "gradient_spread" in row.diagnostics
    own_error = row.standard_error if row.standard_error is not None and not spread_only else None
    both = [math.hypot(a, b) for a, b in zip(target_error, own_error or [0.0] * len(target), strict=True)]
    distances = [abs(g - t) / e if e > 0.0 else math.inf * (g != t) if g != t else 0.0
                 for g, t, e in zip(gradient, target, both, strict=True)]  # fmt: skip
    worst = max(distances)
    blind = tuple(i for i, (g, t, e) in enumerate(zip(gradient, target, target_error, strict=True)) if g == 0.0 and abs(t) > k * e)
    if blind:
        share = "all of it" if len(blind) == len(target) else f"{len(blind)} of {len(target)} coordinates"
        return Verdict("blind", f"blind to {share}: exactly 0 in {_listed(blind, names)}, where the reference is more than {k:g} standard errors from 0", blind)
    along = math.fsum(g * t for g, t in zip(gradient, target, strict=True)) / length**2 if length > 0.0 else None
    if worst > k and along is not None and abs(along) < _NEARLY_BLIND and (row.norm or 0.0) < _NEARLY_BLIND * length:
        return Verdict("nearly blind", f"nearly blind: sees {along:.1%} of the reference's slope along it")
    return _compared(row, worst, length, own_error, spread_only, k)


def _compared(
    row: ComparisonRow, worst: float, length: float, own_error: Sequence[float] | None, spread_only: bool, k: float
) -> Verdict:
    size = _size(row)
    if spread_only:
        fit = row.diagnostics.get("held_out_error")
        poor = isinstance(fit, float) and not fit <= _POOR_FIT
        about = f"fit error on held-out rollouts {fit:.2f} of their spread" if isinstance(fit, float) else "fit not measured"
        if poor:
            return Verdict("noisy", f"{size}; {about}: the fit explains too little to be believed")
        if worst <= k:
            return Verdict("agrees", f"within {k:g} standard errors of the reference; {about}")
        return Verdict("differs", f"{size}, beyond the reference's error; {about}; its spread is no error bar")
    if own_error is None:
        if worst <= k:
            return Verdict("agrees", f"within {k:g} standard errors of the reference in every coordinate")
        return Verdict("differs", f"{size}: the cost as it is slopes otherwise here than its average over the noise")
    if worst > k:
        return Verdict("differs", f"{size}, {worst:.1f} combined standard errors at worst: more than chance")
    share = math.sqrt(math.fsum(e * e for e in own_error)) / length if length > 0.0 else 0.0
    if share > _NOISY:
        return Verdict("noisy", f"no significant difference, but its error bar is {share:.0%} of the gradient: use more samples")
    return Verdict("agrees", f"agrees with the reference within {k:g} combined standard errors; error bar {share:.1%} of the gradient")


def _size(row: ComparisonRow) -> str:
    parts = []
    if row.relative_error is not None:
        parts.append(f"off by {row.relative_error:.1%} of the reference")
    if row.cosine is not None:
        parts.append(f"{math.degrees(math.acos(max(-1.0, min(1.0, row.cosine)))):.0f} degrees away")
    return ", ".join(parts) or "differs"


def _listed(coordinates: Sequence[int], names: Sequence[str]) -> str:
    shown = ", ".join(names[i] for i in coordinates[:_SHOWN])
    return shown + (f" and {len(coordinates) - _SHOWN} more" if len(coordinates) > _SHOWN else "")
