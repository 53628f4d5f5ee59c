"""Descents with each backend: cost against rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...render.style import looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["draw_curves"]


def draw_curves(figure: FigureBase, result: ComparisonResult) -> None:
    """Draw the cost by rollouts (left) and optimizer steps (right): least cost so far as a line, each step as a dot."""
    assert result.studies is not None
    styles = looks(row.name for row in result.comparison.rows)
    left, right = figure.subplots(1, 2, sharey=True)
    for name, curve in result.studies.curves.items():
        look, cost = styles[name], np.array(curve.cost)
        best = np.minimum.accumulate(cost)
        spent, steps = np.maximum(np.array(curve.rollouts), 1), np.arange(len(cost))
        for axes, at in ((left, spent), (right, steps)):
            axes.step(
                at, best, where="post", color=look.color, lw=1.6, dashes=look.dashes or (None, None),
                label=f"{name}: {best[-1]:.3g}",
            )  # fmt: skip
            axes.plot(at, cost, look.marker, color=look.color, ms=2.6, mew=0, alpha=0.6)
            axes.plot(at[-1:], best[-1:], look.marker, color=look.color, ms=6, mec="white", mew=0.7, zorder=9)
    _limits(left, [np.array(curve.cost) for curve in result.studies.curves.values()])
    left.set_xscale("log")
    left.set_xlabel("rollouts spent on gradients, a backward pass as 2 (0 drawn at 1)")
    left.set_ylabel("cost as it is")
    left.set_title("Cost by rollouts")
    right.set_xlabel("steps of Adam")
    right.set_title("Cost by steps")
    right.legend(title="least cost", loc="best")


def _limits(axes: Axes, costs: list[np.ndarray]) -> None:
    """A descent that goes up leaves the picture rather than flatten the others."""
    start = max(float(cost[0]) for cost in costs)
    low = min(float(cost.min()) for cost in costs)
    span = (start - low) or abs(start) or 1.0
    axes.set_ylim(low - 0.08 * span, start + 0.6 * span)
