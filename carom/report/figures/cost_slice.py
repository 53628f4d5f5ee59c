"""The cost along a slice, with every backend's slope as a tangent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...render.style import CURVE, REFERENCE, looks
from ..caption import Caption, listed, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...comparison.result import ComparisonResult

__all__ = ["draw_slice", "slice_caption"]


def draw_slice(axes: Axes, result: ComparisonResult) -> None:
    """Hard and smoothed cost along the reference's descent direction, and each backend's tangent at theta."""
    line, rows = result.slice, result.comparison.rows
    centimetres = result.unit == "m"
    factor, unit = (100.0, "cm") if centimetres else (1.0, result.unit)
    axes.plot(line.hard_at * factor, line.hard, color=CURVE, lw=1.3, label="cost as it is")
    axes.fill_between(
        line.smooth_at * factor, line.smooth - 2 * line.smooth_error, line.smooth + 2 * line.smooth_error,
        color="#C8C8C8", alpha=0.6, lw=0,
    )  # fmt: skip
    axes.plot(
        line.smooth_at * factor, line.smooth, color=REFERENCE.color, lw=1.6, dashes=(4, 2),
        label="cost averaged over noise (±2 s.e.)",
    )  # fmt: skip
    reach = 1.1 * line.noise_scale
    styles = looks(row.name for row in rows)
    for index, row in enumerate(rows):
        if row.gradient is None or row.value is None:
            continue
        slope = float(torch.tensor(row.gradient, dtype=torch.float64, device="cpu") @ line.direction)
        look = styles[row.name]
        at = torch.tensor([-reach, reach], dtype=torch.float64, device="cpu")
        axes.plot(
            at * factor, row.value + slope * at, color=look.color, zorder=4 + index,
            lw=max(1.6, 4.2 - 1.1 * index), solid_capstyle="round",
            dashes=look.dashes or (None, None), label=f"slope by {row.name}",
        )  # fmt: skip
        axes.plot(
            [0.0],
            [row.value],
            look.marker,
            color=look.color,
            ms=max(5, 10 - 2 * index),
            mec="white",
            mew=0.8,
            zorder=20 + index,
        )
    shown = torch.cat([line.hard, line.smooth - 2 * line.smooth_error, line.smooth + 2 * line.smooth_error])
    low, high = float(shown.min()), float(shown.max())
    margin = 0.25 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)  # a slope that is far too steep leaves the picture, not the costs
    axes.set_xlabel(f"distance from theta{f' [{unit}]' if unit else ''}")
    axes.set_ylabel("cost")
    axes.set_title(f"Cost {line.direction_name}")
    axes.legend(loc="best")


def slice_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    return Caption(
        "Cost along a line.",
        f"The cost {result.slice.direction_name}, theta in the middle. Grey: as it is. Dashed black: averaged over "
        f"{result.noise}, with two standard errors. A line through theta is the slope that a backend gives; a right "
        "one touches the curve whose gradient it is: the dashed one for backends that average, the grey one for exact "
        "gradients. A grey curve that is rough at a finer scale than the noise makes exact slopes useless.",
        f"Curves of the hard and the smoothed cost along a line, and {len(shown(result))} straight lines: the slopes "
        f"by {listed(shown(result))}.",
    )
