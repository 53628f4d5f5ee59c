"""Every gradient, coordinate by coordinate, with its error bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import REFERENCE, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..comparison import CompareResult

__all__ = ["draw_parameters"]


def draw_parameters(axes: Axes, result: CompareResult, *, legend_columns: int = 4) -> None:
    """One column per parameter: the reference as a bar across it, the backends side by side as points."""
    reference, rows = result.comparison.reference, [r for r in result.comparison.rows if r.gradient is not None]
    at = np.arange(len(result.names))
    target = np.array(reference.gradient)
    error = 2.0 * np.array(reference.standard_error or [0.0] * len(at))
    axes.use_sticky_edges = False  # bars do not end on the frame
    axes.axhline(0.0, color="#999999", lw=0.8)
    axes.bar(at, 2 * error, 0.84, target - error, color="#C8C8C8", alpha=0.7, lw=0, label="reference (±2 s.e.)")
    axes.hlines(target, at - 0.42, at + 0.42, color=REFERENCE.color, lw=1.4)
    styles = looks(row.name for row in rows)
    for index, row in enumerate(rows):
        shift = 0.6 * ((index + 0.5) / len(rows) - 0.5)
        bar = None if row.standard_error is None else 2.0 * np.array(row.standard_error)
        kind = "" if bar is None else " (±2 spread)" if "gradient_spread" in row.diagnostics else " (±2 s.e.)"
        axes.errorbar(
            at + shift, np.array(row.gradient), bar, fmt=styles[row.name].marker, color=styles[row.name].color, ms=5,
            mec="white", mew=0.6, elinewidth=1.3, label=row.name + kind,
        )  # fmt: skip
    axes.set_xticks(at, result.names)
    axes.grid(False, axis="x")
    unit = result.unit
    axes.set_ylabel(f"derivative of the cost{f' [1/{unit}]' if unit else ''}")
    axes.set_title("Gradient by parameter")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=legend_columns)
