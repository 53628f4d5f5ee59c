"""A comparison as plain text of 80 columns, for terminals, logs and screen readers."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from .table import no_bar

if TYPE_CHECKING:
    from ..comparison.result import ComparisonResult

__all__ = ["WIDTH", "render_text"]

WIDTH = 80


def render_text(result: ComparisonResult) -> str:
    """The advice, the verdicts, the race and the bands; lines of at most 80 characters."""
    advice = result.advice
    lines = [*_filled(f"Gradient of {result.title}"), "", *_filled(advice.headline), ""]
    for reason in advice.reasons:
        lines += _filled(reason, "- ")
    reference = result.comparison.reference
    lines += ["", "SLOPE OF THE AVERAGED COST"]
    error, own = reference.standard_error_norm, ""
    if error is not None and reference.norm:
        own = f", with a standard error of {error / reference.norm:.1%} of it"
    lines += _filled(
        f"Reference: {result.slopes.reference.rollouts} rollouts over {result.noise}; its length is "
        f"{reference.norm or 0.0:.4g}{own}."
    )
    width = max((len(row.name) for row in result.comparison.rows), default=0)
    for row in result.comparison.rows:
        found = result.verdicts[row.name]
        norm = "-" if row.norm is None else f"{row.norm:.3g}"
        cosine = "-" if row.cosine is None else f"{row.cosine:.3f}"
        lines.append(f"{_short(row.name, width)}  |grad| {norm:>9}  cosine {cosine:>6}  {row.evaluations:>7} rollouts")
        lines += _filled(f"{found.text}.", "    ")
        if row.no_error_bar is not None:
            lines += _filled(
                f"{'No' if no_bar(row) else 'Not every parameter has an'} error bar: {row.no_error_bar}.", "    "
            )
    if result.race is not None:
        race = result.race
        lines += ["", f"RACE ({race.optimizer}, {race.starts} starts, {race.budget:.0f} rollouts each)"]
        for entry in race.entries:
            relation = entry.relation
            said = "best" if relation is None else f"{relation.factor:.2g} times the rollouts ({relation.label})"
            if not race.descends:
                said = "did not lower the cost"
            least = sum(curve.least for curve in entry.curves) / len(entry.curves)
            lines += _filled(f"{entry.name}: {said}; least cost {least:.4g}; {entry.arm.text}", "", "    ")
        for name, reason in race.failed.items():
            lines += _filled(f"{name}: {reason}", "", "    ")
    lines += ["", "TRUSTED STEP LENGTHS"]
    for name, trust in result.trust.items():
        lines += _filled(f"{name}: as it is {trust.as_is.text}; averaged {trust.averaged.text}", "", "    ")
    return "\n".join(lines) + "\n"


def _short(name: str, width: int) -> str:
    return name.ljust(width) if width <= 24 else name[:24].ljust(24)


def _filled(text: str, first: str = "", then: str | None = None) -> list[str]:
    indent = " " * len(first) if then is None else then
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=True)
