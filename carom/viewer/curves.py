"""Curves of optimizations as a chart with a cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import viser

__all__ = ["CurveChart", "at_effort", "chart_data", "plain", "square"]

_CURSOR = "#111111"


def at_effort(curve: np.ndarray, rollouts: float) -> float:
    """Cost [n, 2: rollouts, cost] after so many rollouts, linear in between; nan before the first."""
    if rollouts < curve[0, 0]:
        return float("nan")
    return float(np.interp(rollouts, curve[:, 0], curve[:, 1]))


def chart_data(curves: Sequence[np.ndarray], cursor: float) -> tuple[np.ndarray, ...]:
    """Rollouts, the cursor as an upright line, and the costs over them; a curve is nan outside of its own rollouts."""
    own = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    width = 1e-6 * max(float(own[-1]), 1.0)
    x = np.unique(np.concatenate([own, [cursor, cursor + width]]))
    low, high = cost_range(curves)
    line = np.full(len(x), np.nan)
    line[np.searchsorted(x, cursor)], line[np.searchsorted(x, cursor + width)] = low, high
    costs = [np.interp(x, curve[:, 0], curve[:, 1], left=np.nan, right=np.nan) for curve in curves]
    return (x, line, *costs)


def cost_range(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """Range from the lowest to the highest cost, with a margin."""
    every = np.concatenate([curve[:, 1] for curve in curves])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


class CurveChart:
    """Chart, slider of the cursor, and the costs there.

    Args:
        server: Server whose panel gets chart and slider.
        names: Names of the curves.
        tints: Colours of the curves.
        curves: Rollouts and cost, [n, 2] each.
    """

    def __init__(
        self, server: viser.ViserServer, names: Sequence[str], tints: Sequence[str], curves: Sequence[np.ndarray]
    ):
        self._names, self._tints, self._curves = names, tints, curves
        end = max(float(curve[-1, 0]) for curve in curves)
        low, high = cost_range(curves)
        series: list[Any] = [{"label": "rollouts"}, {"label": "cursor", "stroke": _CURSOR, "width": 1}]
        series += [{"label": name, "stroke": tint, "width": 2} for name, tint in zip(names, tints, strict=True)]
        self.chart = server.gui.add_uplot(
            chart_data(curves, end), tuple(series), title="Cost against rollouts spent", aspect=1.4,
            scales={"x": {"time": False}, "y": {"range": (low, high)}}, legend={"show": False}, padding=(10, 24, 0, 0),
        )  # fmt: skip
        self.cursor = server.gui.add_slider("Rollouts", 0.0, end, max(end / 1000.0, 1.0), end)
        self._costs = server.gui.add_markdown(self._listed(end))

    def move(self, rollouts: float) -> None:
        """Put the cursor there."""
        self.chart.data = chart_data(self._curves, rollouts)
        self._costs.content = self._listed(rollouts)

    def _listed(self, rollouts: float) -> str:
        costs = [at_effort(curve, rollouts) for curve in self._curves]
        rows = [
            f"{square(tint)} {plain(name)}: {'-' if np.isnan(cost) else f'{cost:.4g}'}"
            for name, tint, cost in zip(self._names, self._tints, costs, strict=True)
        ]
        return "  \n".join(rows)


def square(color: str) -> str:
    """A mark in a colour, for Markdown."""
    return f"<span style='color:{color}'>&#9632;</span>"


def plain(text: str) -> str:
    """Text with all markup of Markdown and HTML escaped."""
    return "".join(c if c.isalnum() or c in " .,:()+-" else f"&#{ord(c)};" for c in text)
