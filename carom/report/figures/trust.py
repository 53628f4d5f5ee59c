"""Trusted step lengths of every backend: of the cost as it is, and of its average."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...gradients.diagnosis.trust import TRUST_LENGTHS
from ...render.style import looks
from ..caption import Caption, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult
    from ...gradients.diagnosis.trust import TrustBand

__all__ = ["draw_trust", "trust_caption", "trust_size"]


def trust_size(result: ComparisonResult) -> tuple[float, float]:
    """Size in inches: a row for each backend."""
    return (9.0, 1.5 + 0.34 * max(2, len(result.trust)))


def draw_trust(figure: FigureBase, result: ComparisonResult) -> None:
    """Draw a bar for each band; a word where there is none."""
    left, right = figure.subplots(1, 2, sharey=True)
    styles = looks(row.name for row in result.comparison.rows)
    for axes, title in ((left, "Cost as it is"), (right, "Averaged cost")):
        axes.set_xscale("log")
        axes.set_xlim(TRUST_LENGTHS[0] / 1.3, TRUST_LENGTHS[-1] * 1.6)
        axes.set_xlabel("length of the step, noise scales")
        axes.set_title(title)
        axes.grid(False, axis="y")
    for place, (name, found) in enumerate(result.trust.items()):
        _band(left, place, found.as_is, styles[name].color)
        _band(right, place, found.averaged, styles[name].color)
    left.set_yticks(range(len(result.trust)), list(result.trust))
    left.set_ylim(len(result.trust) - 0.5, -0.5)


def _band(axes: Axes, place: int, band: TrustBand, color: str) -> None:
    if band.label != "trusted":
        axes.text(TRUST_LENGTHS[0], place, band.text.split(":")[0], va="center", fontsize=8.0, color="#555555")
        return
    low = TRUST_LENGTHS[0] if not band.low else band.low
    high = TRUST_LENGTHS[-1] if band.high is None else band.high
    axes.plot([low, high], [place, place], color=color, lw=7.0, solid_capstyle="butt")
    if band.high is None:
        axes.annotate("", (high * 1.5, place), (high, place), arrowprops={"arrowstyle": "->", "color": color})


def trust_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    return Caption(
        "Trusted step lengths.",
        "Lengths of a step down each gradient for which the predicted decrease is right within 25 %, in noise scales: "
        "left of the cost as it is, right of its average over the noise. A band that ends early says that the cost is "
        "not straight beyond; a band of the average alone says that the cost is rough. Lengths from 1/128 to 32 were "
        "tried; an arrow says that the band goes on.",
        f"Two panels with bars of trusted step lengths by {listed(list(result.trust))}.",
    )
