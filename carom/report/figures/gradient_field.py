"""Descent directions of each backend over the map of two parameters: a panel per backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...render.style import looks
from ..caption import Caption, listed, not_there
from .landscape import COLORS, LEVELS

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["draw_gradient_field", "gradient_field_caption", "gradient_field_size"]

_COLUMNS = 3
_LONGEST = 0.9
"""Length of the longest arrow, as a share of the distance between two arrows."""


def gradient_field_size(result: ComparisonResult) -> tuple[float, float]:
    """Inches for as many panels as there are backends."""
    assert result.studies is not None
    assert result.studies.gradient_field is not None
    count = max(1, len(result.studies.gradient_field.gradients))
    columns = _columns(count)
    return (1.0 + 3.1 * columns, 0.7 + 3.0 * math.ceil(count / columns))


def draw_gradient_field(figure: FigureBase, result: ComparisonResult) -> None:
    """The hard cost as it is where a backend has no error bar, averaged where it has one; arrows downhill."""
    assert result.studies is not None
    found, plane = result.studies.gradient_field, result.landscape
    assert found is not None
    assert plane is not None
    factor, unit = (100.0, " [cm]") if result.unit == "m" else (1.0, f" [{result.unit}]" if result.unit else "")
    x, y = (float(result.theta[i]) for i in found.axes)
    columns = _columns(max(1, len(found.gradients)))
    rows = math.ceil(max(1, len(found.gradients)) / columns)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(grid.flat)
    styles = looks(row.name for row in result.comparison.rows)
    sampled = {row.name for row in result.comparison.rows if row.standard_error is not None}
    low = float(min(plane.hard.min(), plane.smooth.min()))
    high = float(max(plane.hard.max(), plane.smooth.max()))
    high = high if high > low else low + 1.0
    at = np.meshgrid((x + found.dx.numpy()) * factor, (y + found.dy.numpy()) * factor)
    gap = [factor * float(part[1] - part[0]) if len(part) > 1 else 1.0 for part in (found.dx, found.dy)]
    for axes, (name, gradient) in zip(panels, found.gradients.items(), strict=False):
        smooth = name in sampled
        dx, dy, cost = (
            (plane.smooth_x, plane.smooth_y, plane.smooth) if smooth else (plane.hard_x, plane.hard_y, plane.hard)
        )
        over = ((x + dx.numpy()) * factor, (y + dy.numpy()) * factor)
        axes.pcolormesh(*over, cost.numpy(), vmin=low, vmax=high, cmap=COLORS, shading="nearest", rasterized=True)
        if float(cost.max()) > float(cost.min()):
            axes.contour(*over, cost.numpy(), levels=np.linspace(low, high, LEVELS), colors="#00000044", linewidths=0.5)
        # every arrow of a panel on one scale: that of its median, so that a few wild ones do not hide the others
        move = -gradient.numpy()
        size = np.linalg.norm(move, axis=2, keepdims=True)
        usual = float(np.median(size[size > 0.0])) if (size > 0.0).any() else 1.0
        share = np.minimum(0.6 * size / usual, _LONGEST)
        with np.errstate(invalid="ignore"):
            shown = np.where(size > 0.0, move / size, 0.0) * share * np.array(gap)
        axes.quiver(
            *at, shown[..., 0], shown[..., 1], angles="xy", scale_units="xy", scale=1.0, pivot="mid",
            color=styles[name].color, edgecolor="white", linewidth=0.4, units="inches", width=0.035, zorder=5,
        )  # fmt: skip
        still = size[..., 0] == 0.0
        axes.plot(at[0][still], at[1][still], "s", ms=4, mfc="none", mec=styles[name].color, ls="none", zorder=5)
        axes.plot([x * factor], [y * factor], "o", color="black", ms=3.5, mec="white", mew=0.7, zorder=9)
        reach = [0.5 * part * (len(found.dx)) for part in gap]
        axes.set_xlim(x * factor - reach[0], x * factor + reach[0])
        axes.set_ylim(y * factor - reach[1], y * factor + reach[1])
        axes.set_aspect("equal" if plane.scale[0] == plane.scale[1] else "auto")
        axes.grid(False)
        axes.set_title(f"{name}, over the {'averaged' if smooth else 'hard'} cost")
    for axes in panels[len(found.gradients) :]:
        axes.set_visible(False)
    for index, axes in enumerate(panels[: len(found.gradients)]):
        if index + columns >= len(found.gradients):
            axes.set_xlabel(f"{result.names[found.axes[0]]}{unit}")
            axes.xaxis.set_tick_params(labelbottom=True)
    for row in grid:
        row[0].set_ylabel(f"{result.names[found.axes[1]]}{unit}")


def _columns(count: int) -> int:
    return 2 if count == 4 else min(_COLUMNS, count)


def gradient_field_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.studies is not None
    assert result.studies.gradient_field is not None
    found = result.studies.gradient_field
    each = ", ".join(f"{name} {count}" for name, count in found.evaluations.items())
    return Caption(
        "Descent directions over the plane.",
        "One panel a backend: where it would go from each place, over the cost whose gradient it is, hard for exact "
        f"gradients and averaged for those that sample. Rollouts of one arrow: {each}. Arrows square to the contours "
        "are right; a panel whose arrows disagree with their neighbours shows noise or roughness; squares are exact "
        "zeros, places that a descent never leaves. Lengths are relative to the median of a panel and cut off at the "
        "distance between two arrows." + not_there(found.notes),
        f"Maps of the cost with arrows of descent, a panel each for {listed(list(found.gradients))}.",
    )
