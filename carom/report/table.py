"""A comparison as a table for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from ..gradients.compare import Comparison, ComparisonRow
from ..gradients.diagnosis.slope import SlopeVerdict

__all__ = ["HEADS", "comparison_caption", "comparison_table", "no_bar", "row_texts", "verdict_lines"]

HEADS = ("value", "|grad|", "cosine", "rel.err", "std.err", "var", "rollouts", "sec")
"""Columns after the backend's name."""

_STYLES = {"agrees": "green", "differs": "yellow", "cannot tell": "cyan", "nothing seen": "cyan"}


def comparison_table(comparison: Comparison, *, title: str, noise: str) -> Table:
    """One row per backend, the reference first.

    Args:
        comparison: Comparison to show.
        title: Title of the table.
        noise: Description of the noise over which the reference averages.
    """
    caption = comparison_caption(comparison, noise)
    table = Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        collapse_padding=True,
    )  # fmt: skip
    table.add_column("backend", no_wrap=True)
    for name in HEADS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(comparison.reference.name, *row_texts(comparison.reference, compared=False))
    table.add_section()
    for row in comparison.rows:
        table.add_row(row.name, *row_texts(row))
    return table


def verdict_lines(verdicts: Mapping[str, SlopeVerdict]) -> list[Text]:
    """One line per backend with its verdict."""
    width = max((len(name) for name in verdicts), default=0)
    return [
        Text.assemble((name.ljust(width), "bold"), "  ", (found.text, _STYLES.get(found.label, "red")))
        for name, found in verdicts.items()
    ]


def comparison_caption(comparison: Comparison, noise: str) -> str:
    """Explanation of the columns and of the reference."""
    reference = comparison.reference
    error, own = reference.standard_error_norm, ""
    if error is not None and reference.norm:
        own = f"; its own standard error is {error / reference.norm:.1%} of it"
    return (
        f"reference: central differences of the cost averaged over {noise}, {reference.evaluations} rollouts, the same "
        f"noise on both sides{own}. autodiff is the slope of the cost as it is, softened that of the cost with "
        "contact forces that act before the shapes touch: other quantities, and where they differ, neither need be "
        "wrong. cosine and "
        "rel.err: against the reference. var: variance of the estimate, summed over "
        f"parameters; std.err: its root.{_without_bars(comparison)}"
    )


def _without_bars(comparison: Comparison) -> str:
    """A sentence for each row that has no error bar, or not in every parameter."""
    return "".join(
        f" {row.name}: {'no error bar' if no_bar(row) else 'not every parameter has an error bar'}, as "
        f"{row.no_error_bar}."
        for row in (comparison.reference, *comparison.rows)
        if row.no_error_bar is not None
    )


def no_bar(row: ComparisonRow) -> bool:
    """Whether the samples say too little for an error bar in any parameter; False of exact numbers."""
    return row.no_error_bar is not None and not any(math.isfinite(half) for half in row.error_bar or ())


def row_texts(row: ComparisonRow, *, compared: bool = True) -> tuple[str, ...]:
    """Texts under ``HEADS``; ``compared`` is whether the row is held against the reference."""
    if row.error is not None:
        return ("-",) * len(HEADS)
    return (
        _number(row.value, 4),
        _number(row.norm, 4),
        f"{row.cosine:.3f}" if compared and row.cosine is not None else "-",
        _percent(row.relative_error) if compared and row.relative_error is not None else "-",
        "-" if no_bar(row) else _number(row.standard_error_norm, 2),
        "-" if no_bar(row) else _number(row.trace_variance, 2),
        str(row.evaluations),
        f"{row.seconds:.2f}",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 10.0 else f"{share:.3g} x"


def _number(number: float | None, digits: int) -> str:
    if number is None:
        return "-"
    # the exponent of a small number would cost more room than its digits are worth
    return f"{number:.{digits}g}" if number == 0.0 or abs(number) >= 1e-2 else f"{number:.{min(digits, 2)}g}"
