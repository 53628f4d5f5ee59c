"""Advice: the backend to use at this point, by the rules below.

0. A reference of exactly zero (the noise reaches nothing that changes the cost), or whose own standard error is more
   than half of it, chooses nothing.
1. *Candidates* are the backends whose verdict is "agrees". An exact gradient that the diagnosis calls blind,
   overwhelmed or not finite is none, even where it agrees by chance.
2. Among them the one with the least *work*: mean squared error times rollouts, which does not change with the number
   of samples as long as the error is noise. The error is what the study measured over seeds, if it was made; else the
   backend's own variance; else, for a spread that is no error bar, the squared distance from the reference. An exact
   gradient has none. Equal work: fewer rollouts, then the order of the comparison.
3. Without a candidate: among those that differ by at most 25 degrees in angle, and that the diagnosis does not reject,
   the one of the fewest rollouts, then the nearest, for its *direction* only.
4. Else, among noisy ones, that of the least work, with the number of samples that would settle it.
5. Else none.

Where the choice is not exact, the cheapest backend within 25 degrees is named beside it, if it takes a tenth of the
rollouts or less: to go downhill a direction is enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..gradients.compare import Comparison, ComparisonRow
from ..gradients.diagnosis import DiagnosisVerdict
from .verdicts import Verdict

__all__ = ["Advice", "advise"]

DIRECTION = math.cos(math.radians(25.0))
"""Cosine to the reference above which a gradient is still good to go downhill."""
_CHEAPER = 0.1
_UNSURE = 0.5
_TARGET = 0.1
"""Error relative to the gradient that is to be reached."""
_DISQUALIFIES = ("not finite", "blind", "blind to contact", "overwhelmed by growth")
"""Labels of the diagnosis with which an exact gradient is no candidate."""


@dataclass(frozen=True)
class Advice:
    """Advice: one backend, or none, with reasons."""

    backend: str | None
    basis: str
    """Rule of the choice: agreement, direction, samples or none."""
    headline: str
    """One sentence."""
    reasons: tuple[str, ...]
    """Further sentences."""

    def as_dict(self) -> dict[str, object]:
        """Entry of ``results.json``."""
        return {
            "backend": self.backend,
            "basis": self.basis,
            "headline": self.headline,
            "reasons": list(self.reasons),
        }


def advise(
    comparison: Comparison,
    verdicts: Mapping[str, Verdict],
    *,
    squared_errors: Mapping[str, float] | None = None,
    diagnosis: Mapping[str, DiagnosisVerdict] | None = None,
) -> Advice:
    """The backend to use, by the rules above.

    Args:
        comparison: Reference and rows.
        verdicts: By the row's name.
        squared_errors: Mean squared error of each backend's estimate, as measured over seeds, where it was.
        diagnosis: Verdicts of ``carom.gradients.diagnosis`` by backend, where there are any.
    """
    found, measured = diagnosis or {}, squared_errors or {}
    rows = [row for row in comparison.rows if row.gradient is not None]
    if comparison.reference.norm == 0.0:
        return Advice(
            None,
            "none",
            "The cost is flat here as far as the noise reaches: no backend can be told from another.",
            ("Try a larger scale of the noise, or another theta.",),
        )
    error = comparison.reference.standard_error_norm
    if error and comparison.reference.norm and error > _UNSURE * comparison.reference.norm:
        return Advice(
            None,
            "none",
            "The reference is not known well enough here to choose by it.",
            (
                f"Its own standard error is {error / comparison.reference.norm:.0%} of it: allow more rollouts, or use "
                "a larger scale of the noise.",
                *_against(comparison.rows, None, verdicts, found),
            ),
        )
    work = {row.name: _squared_error(row, comparison.reference, measured) * row.evaluations for row in rows}
    agreeing = [row for row in rows if verdicts[row.name].label == "agrees"]
    candidates = [row for row in agreeing if not _rejected(row, found)]
    if candidates:
        return _agreement(candidates, comparison, verdicts, found, work, measured)
    near = [row for row in rows if verdicts[row.name].label == "differs" and _near(row) and not _rejected(row, found)]
    if near:
        best = min(near, key=lambda row: (row.evaluations, -round(row.cosine or 0.0, 2)))
        return Advice(
            best.name,
            "direction",
            f"Use {best.name} for the direction only: no backend agrees with the reference.",
            (
                f"{_angle(best).capitalize()} the reference, at {_rollouts(best)}.",
                f"Its length means little: {verdicts[best.name].text}.",
                *_against(comparison.rows, best, verdicts, found),
            ),
        )
    noisy = [row for row in rows if verdicts[row.name].label == "noisy"]
    if noisy:
        best = min(noisy, key=lambda row: (work[row.name], row.evaluations))
        need = _needed(work[best.name], comparison.reference)
        more = f"; about {_count(need)} rollouts would bring its error to a tenth of the gradient" if need else ""
        return Advice(
            best.name,
            "samples",
            f"None can be believed yet. Give {best.name} more samples{more}.",
            (f"Now: {verdicts[best.name].text}.", *_against(comparison.rows, best, verdicts, found)),
        )
    return Advice(
        None,
        "none",
        "None of the backends is of use here.",
        (
            *_against(comparison.rows, None, verdicts, found),
            "Try a larger scale of the noise, or other backends.",
        ),
    )


def _agreement(
    candidates: list[ComparisonRow],
    comparison: Comparison,
    verdicts: Mapping[str, Verdict],
    found: Mapping[str, DiagnosisVerdict],
    work: Mapping[str, float],
    measured: Mapping[str, float],
) -> Advice:
    best = min(candidates, key=lambda row: (work[row.name], row.evaluations))
    reasons = [f"It agrees with the reference: {verdicts[best.name].text}."]
    others = [row for row in candidates if row is not best]
    if work[best.name] == 0.0:
        reasons.append(f"It is exact: no noise, at {_rollouts(best)}.")
    elif others:
        second = min(others, key=lambda row: (work[row.name], row.evaluations))
        basis = "as measured over seeds" if best.name in measured else "by its own error"
        reasons.append(
            f"Of the {len(candidates)} that agree it takes the fewest rollouts for the same error ({basis}): "
            f"{second.name} takes {_times(work[second.name], work[best.name])}."
        )
    else:
        reasons.append("No other backend agrees with the reference.")
    need = _needed(work[best.name], comparison.reference)
    if need:
        reasons.append(f"About {_count(need)} rollouts bring its error to a tenth of the gradient.")
    others = [row for row in comparison.rows if row is not best and _near(row) and not _rejected(row, found)]
    cheap = [row for row in others if row.evaluations <= _CHEAPER * best.evaluations]
    if cheap and work[best.name] > 0.0:
        least = min(cheap, key=lambda row: (row.evaluations, -round(row.cosine or 0.0, 2)))
        reasons.append(
            f"To go downhill, {least.name} does as well: {_angle(least)} the reference, at {_rollouts(least)}."
        )
    return Advice(
        best.name, "agreement", f"Use {best.name} here.", (*reasons, *_against(comparison.rows, best, verdicts, found))
    )


def _squared_error(row: ComparisonRow, reference: ComparisonRow, measured: Mapping[str, float]) -> float:
    if row.name in measured:
        return measured[row.name]
    if row.trace_variance is not None and "gradient_spread" not in row.diagnostics:
        return row.trace_variance
    if row.standard_error is None:
        return 0.0
    return sum((g - t) ** 2 for g, t in zip(row.gradient or (), reference.gradient or (), strict=True))


def _needed(work: float, reference: ComparisonRow) -> int | None:
    """Rollouts to an error of a tenth of the gradient, if its error is noise that averages out."""
    if work == 0.0 or not reference.norm:
        return None
    return max(1, math.ceil(work / (_TARGET * reference.norm) ** 2))


def _against(
    rows: Iterable[ComparisonRow],
    best: ComparisonRow | None,
    verdicts: Mapping[str, Verdict],
    found: Mapping[str, DiagnosisVerdict],
) -> tuple[str, ...]:
    """Reasons against each backend that does not agree."""
    said = []
    for row in rows:
        label, text = verdicts[row.name].label, verdicts[row.name].text
        if row is best:
            continue
        if label != "agrees":
            said.append(f"Not {row.name}: {text}.")
        elif _rejected(row, found):
            said.append(f"Not {row.name}, though it agrees: {found[row.name]}.")
    return tuple(said)


def _rejected(row: ComparisonRow, found: Mapping[str, DiagnosisVerdict]) -> bool:
    return row.name in found and found[row.name].label in _DISQUALIFIES


def _near(row: ComparisonRow) -> bool:
    return row.cosine is not None and row.cosine >= DIRECTION


def _angle(row: ComparisonRow) -> str:
    if len(row.gradient or ()) == 1:
        return "it has the sign of"
    return f"it points {math.degrees(math.acos(max(-1.0, min(1.0, row.cosine or 0.0)))):.0f} degrees away from"


def _rollouts(row: ComparisonRow) -> str:
    return "one rollout" if row.evaluations == 1 else f"{row.evaluations} rollouts"


def _times(more: float, less: float) -> str:
    return f"{more / less:.2g} times as many" if less > 0.0 and math.isfinite(more / less) else "more"


def _count(number: int) -> str:
    """Number rounded to two digits, since it is no better known."""
    digits = max(0, len(str(number)) - 2)
    return f"{round(number, -digits):,}"
