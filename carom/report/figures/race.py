"""The race: cost against rollouts, and the factor of work between the backends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...comparison.race.scoring import TIE
from ...render.style import looks
from ..caption import Caption, listed, not_there

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from ...comparison.race import Race
    from ...comparison.result import ComparisonResult

__all__ = ["curves_caption", "draw_curves"]

_POINTS = 80
_WIDEST = 1000.0


def draw_curves(figure: FigureBase, result: ComparisonResult) -> None:
    """Draw the least cost so far by rollouts, mean and range over starts (left); factors of work (right)."""
    race = result.race
    assert race is not None
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1.0))
    styles = looks(row.name for row in result.comparison.rows)
    at = np.geomspace(1.0, race.budget, _POINTS)
    finals = []
    for entry in race.entries:
        look = styles[entry.name]
        best = np.array([_least(curve.rollouts, curve.cost, at) for curve in entry.curves])
        mean = best.mean(0)
        finals.append(mean)
        left.fill_between(at, best.min(0), best.max(0), color=look.color, alpha=0.13, lw=0, step="post")
        left.step(at, mean, where="post", color=look.color, lw=1.6, dashes=look.dashes or (None, None))
        left.plot(at[-1:], mean[-1:], look.marker, color=look.color, ms=6, mec="white", mew=0.7, zorder=9)
    left.set_xscale("log")
    left.set_xlabel("rollouts spent, a backward pass as 2")
    left.set_ylabel("least cost so far, as it is")
    left.set_title(f"Race from {race.starts} starts")
    _limits(left, finals)
    if race.descends:
        _factors(right, race, styles)
    else:
        right.set_axis_off()
        right.text(0.0, 0.5, "no backend lowered the cost", transform=right.transAxes)


def _least(rollouts: tuple[float, ...], cost: tuple[float, ...], at: np.ndarray) -> np.ndarray:
    best = np.minimum.accumulate(np.array(cost))
    return best[np.searchsorted(np.array(rollouts), at, side="right") - 1]


def _limits(axes: Axes, curves: list[np.ndarray]) -> None:
    """A start of which nothing comes does not flatten the rest."""
    known = np.concatenate([curve[np.isfinite(curve)] for curve in curves]) if curves else np.zeros(1)
    low, high = float(known.min()), float(known.max())
    span = (high - low) or abs(high) or 1.0
    axes.set_ylim(low - 0.06 * span, high + 0.06 * span)


def _factors(axes: Axes, race: Race, styles: dict) -> None:  # type: ignore[type-arg]
    """Work of each backend over that of the best, with its 95 % interval."""
    axes.axvspan(1.0 / TIE, TIE, color="#EEEEEE", lw=0)
    names = []
    for place, entry in enumerate(race.entries):
        look, found = styles[entry.name], entry.relation
        factor, low, high = (1.0, 1.0, 1.0) if found is None else (found.factor, found.low, found.high)
        factor, low, high = (min(max(x, 1.0 / _WIDEST), _WIDEST) for x in (factor, low, high))
        axes.plot([low, high], [place, place], color=look.color, lw=2.2, solid_capstyle="butt")
        axes.plot([factor], [place], look.marker, color=look.color, ms=7, mec="white", mew=0.7)
        names.append(f"{entry.name}\n{entry.arm.text}")
    axes.set_yticks(range(len(names)), names, fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    marks = [m * 10.0**k for k in range(-3, 4) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.set_xlabel("times the rollouts of the best, 95 %")
    axes.set_title("Work for the same cost")
    axes.grid(False, axis="y")


def curves_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    race = result.race
    assert race is not None
    ended = [
        f"{entry.name} stopped {curve.stopped}"
        for entry in race.entries
        for curve in entry.curves
        if curve.stopped and "no more are made" not in curve.stopped
    ]
    return Caption(
        "Race at equal work.",
        f"{race.optimizer} with each gradient from {race.starts} starts around theta, {race.budget:.0f} rollouts each. "
        "Samples a step and rate were chosen for each backend by the same short races. Left the least cost so far, as "
        "it is: lines are means over the starts, bands their range. Right the rollouts that each takes for the same "
        "cost, as a multiple of the best, with 95 % intervals over the starts; within the grey band two are equal. "
        "Core seconds are in results.json, since they change from run to run." + not_there(ended),
        f"Curves of cost against rollouts, and factors of work, for {listed([entry.name for entry in race.entries])}.",
    )
