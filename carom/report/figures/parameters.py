"""Every gradient, coordinate by coordinate, with its error bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...render.style import REFERENCE, looks
from ..caption import Caption, listed, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...comparison.result import ComparisonResult
    from ...gradients.compare import ComparisonRow

__all__ = ["draw_parameters", "parameters_caption"]

_FAR = 8.0
"""A backend with a derivative this many times the reference's largest does not set the scale."""


_MANY = 16
"""Parameters beyond which not all are named and marks are small."""


def draw_parameters(axes: Axes, result: ComparisonResult, *, legend_columns: int = 4) -> None:
    """One column per parameter: the reference as a bar across it, the backends side by side as points."""
    reference, rows = result.comparison.reference, [r for r in result.comparison.rows if r.gradient is not None]
    at = np.arange(len(result.names))
    target = np.array(reference.gradient)
    bars = _bars(reference)
    error = np.zeros(len(at)) if bars is None else bars
    many = len(at) > _MANY
    axes.use_sticky_edges = False  # bars do not end on the frame
    axes.axhline(0.0, color="#999999", lw=0.8)
    axes.bar(at, 2 * error, 0.84, target - error, color="#C8C8C8", alpha=0.7, lw=0, label="reference (95 %)")
    axes.hlines(target, at - 0.42, at + 0.42, color=REFERENCE.color, lw=1.4)
    styles = looks(row.name for row in result.comparison.rows)
    limit = _limit(target, error, [np.array(row.gradient) for row in rows])
    for index, row in enumerate(rows):
        shift = 0.6 * ((index + 0.5) / len(rows) - 0.5)
        bar = _bars(row)
        kind = " (95 %)" if bar is not None else "" if row.no_error_bar is None else " (no error bar)"
        drawn = axes.errorbar(
            at + shift, np.array(row.gradient), bar, fmt=styles[row.name].marker, color=styles[row.name].color,
            ms=3.2 if many else 5, mec="white", mew=0.3 if many else 0.6, elinewidth=1.3, label=row.name + kind,
        )  # fmt: skip
        if many:  # bars of so many would hide the points
            for line in drawn.lines[2]:
                line.set(linewidth=0.6, alpha=0.35)
        _beyond(axes, at + shift, np.array(row.gradient), limit, styles[row.name].color, numbers=not many)
    if limit is not None:
        axes.set_ylim(-limit, limit)
    elif many:
        points = np.concatenate([target - error, target + error, *(np.array(row.gradient) for row in rows)])
        reach = 1.15 * float(np.abs(points[np.isfinite(points)]).max(initial=0.0))
        axes.set_ylim(-reach or -1.0, reach or 1.0)
    named = at[:: -(-len(at) // _MANY)]
    axes.set_xticks(named, [result.names[i] for i in named])
    axes.grid(False, axis="x")
    unit = result.unit
    axes.set_ylabel(f"derivative of the cost{f' [1/{unit}]' if unit else ''}")
    axes.set_title("Gradient by parameter")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=legend_columns)


def _bars(row: ComparisonRow) -> np.ndarray | None:
    """Half the 95 % interval of each parameter, 0 where there is none; None where no parameter has one."""
    if row.error_bar is None:
        return None
    half = np.array(row.error_bar)
    return np.where(np.isfinite(half), half, 0.0) if np.isfinite(half).any() else None


def _limit(target: np.ndarray, error: np.ndarray, gradients: list[np.ndarray]) -> float | None:
    """Half of the height shown where a backend is so far off that nothing else could be read; else None."""
    usual = float((np.abs(target) + error).max())
    near = [size for size in (float(np.abs(g).max()) for g in gradients) if size <= _FAR * usual]
    return 1.3 * max([usual, *near]) if len(near) < len(gradients) and usual > 0.0 else None


def _beyond(
    axes: Axes, at: np.ndarray, gradient: np.ndarray, limit: float | None, color: str, *, numbers: bool
) -> None:
    """A triangle at the edge, and the number, for each point that is out of the picture."""
    for x, value in zip(at, gradient, strict=True):
        if limit is not None and abs(value) > limit:
            edge, up = np.sign(value) * 0.94 * limit, value > 0.0
            axes.plot([x], [edge], "^" if up else "v", color=color, ms=6 if numbers else 3)
            if not numbers:
                continue
            axes.annotate(
                f"{value:.3g}", (x, edge), (6, 0), textcoords="offset points", va="center", fontsize=8.0, color=color
            )


def parameters_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    return Caption(
        "Gradient by parameter.",
        "Black line and grey band: the reference and its 95 % interval. Marks: the backends, with theirs "
        "where they have one. A mark whose bar misses the grey band differs by more than chance; a mark "
        "at exactly zero where the band is not is blind. Numbers at the edge are out of the picture.",
        f"Derivatives with respect to {len(result.names)} parameters by {listed(shown(result))}, with error bars.",
    )
