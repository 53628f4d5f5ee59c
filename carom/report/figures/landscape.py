"""The cost over two parameters as two maps on one scale: as it is, and averaged over noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from ...render.style import looks
from ..caption import Caption
from .arrows import draw_arrows

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["COLORS", "LEVELS", "draw_landscape", "landscape_caption"]

# light, so that arrows stand out; even in lightness, so that grey prints show the same
COLORS = LinearSegmentedColormap.from_list("carom", ["#6F93B8", "#A9C2D6", "#E3E9E6", "#F6E9C9", "#E9CD92"])
LEVELS = 12
_LONGEST = 0.45
"""Length of the reference's longest arrow, relative to the half width of the map."""


def draw_landscape(figure: FigureBase, result: ComparisonResult) -> None:
    """Both maps, contours, and at theta the part of every gradient in the two parameters, downhill."""
    plane = result.landscape
    assert plane is not None
    factor, unit = (100.0, " [cm]") if result.unit == "m" else (1.0, f" [{result.unit}]" if result.unit else "")
    theta = result.theta.double()
    x, y = (float(theta[i]) for i in plane.axes)
    rows = [result.comparison.reference, *result.comparison.rows]
    moves = {
        row.name: -np.array([[row.gradient[i] for i in plane.axes]]) for row in rows if row.gradient is not None
    }  # fmt: skip
    styles = looks(row.name for row in result.comparison.rows)
    left, right = figure.subplots(1, 2, sharey=True)
    low = float(min(plane.hard.min(), plane.smooth.min()))
    high = float(max(plane.hard.max(), plane.smooth.max()))
    if not high > low:
        high = low + 1.0  # a flat cost
    extents = ((plane.hard_x, plane.smooth_x), (plane.hard_y, plane.smooth_y))
    parts = (
        (left, plane.hard_x, plane.hard_y, plane.hard, "Cost as it is"),
        (right, plane.smooth_x, plane.smooth_y, plane.smooth, "Cost averaged over noise"),
    )
    for axes, dx, dy, cost, title in parts:
        at = ((x + dx.numpy()) * factor, (y + dy.numpy()) * factor)
        image = axes.pcolormesh(*at, cost.numpy(), vmin=low, vmax=high, cmap=COLORS, shading="nearest", rasterized=True)
        if float(cost.max()) > float(cost.min()):
            levels = np.linspace(low, high, LEVELS)
            axes.contour(*at, cost.numpy(), levels=levels, colors="#00000055", linewidths=0.6)
        reach = [factor * min(float(ends[0][-1]), float(ends[1][-1])) for ends in extents]
        axes.set_xlim(x * factor - reach[0], x * factor + reach[0])
        axes.set_ylim(y * factor - reach[1], y * factor + reach[1])
        view = min(reach)
        draw_arrows(axes, np.array([[x * factor, y * factor]]), moves, _LONGEST * float(view), styles)
        axes.plot([x * factor], [y * factor], "o", color="black", ms=4, mec="white", mew=0.8, zorder=20)
        axes.set_aspect("equal" if plane.scale[0] == plane.scale[1] else "auto")
        axes.grid(False)
        axes.set_xlabel(f"{result.names[plane.axes[0]]}{unit}")
        axes.set_title(title)
    left.set_ylabel(f"{result.names[plane.axes[1]]}{unit}")
    figure.colorbar(image, cax=right.inset_axes((1.05, 0.0, 0.05, 1.0)), label="cost")


def landscape_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.landscape is not None
    x, y = (result.names[i] for i in result.landscape.axes)
    return Caption(
        "Cost over two parameters.",
        f"Left as it is, right averaged over {result.noise}, in the same colours; contours at the same costs. The "
        "arrows point downhill, on one scale. They should stand square to the contours of the map whose gradient they "
        "are. Steps and plateaus of the left map are what an exact gradient cannot see across.",
        f"Two maps of the cost over {x} and {y}, with an arrow at theta for each backend and the reference.",
    )
