"""Bias and variance of each backend while one condition changes, with the expected laws as thin lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...render.style import looks
from ..caption import Caption, listed, not_there

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult
    from ...comparison.studies.sweep import Law, Sweep

__all__ = ["draw_sweep", "sweep_caption"]


def draw_sweep(figure: FigureBase, result: ComparisonResult, name: str) -> None:
    """Two panels: bias, and variance, both relative to the true gradient's length."""
    assert result.studies is not None
    found = result.studies.sweeps[name]
    left, right = figure.subplots(1, 2)
    right.set_yscale("log")
    styles = looks(row.name for row in result.comparison.rows)
    x = np.array(found.values) * (100.0 if found.unit == "m" else 1.0)
    norms = np.array([norm if norm > 0.0 else math.nan for norm in found.norms])
    floor = np.array(found.truth_errors) / norms
    if np.isfinite(floor).any() and (floor > 0.0).any():
        left.fill_between(x, 1e-30, floor, color="#C8C8C8", alpha=0.6, lw=0, label="standard error of the reference")
    seen: list[float] = []
    heights: list[np.ndarray] = []
    for rank, (backend, row) in enumerate(found.points.items()):
        look = styles[backend]
        at = np.array([point is not None for point in row])
        bias = np.array([point.bias for point in row if point is not None]) / norms[at]
        noise = np.array([point.noise for point in row if point is not None]) / norms[at]
        seen += [value for value in bias if math.isfinite(value) and value > 0.0]
        style = {"color": look.color, "marker": look.marker, "ms": max(4, 8 - rank), "mec": "white", "mew": 0.6}
        left.errorbar(
            x[at], bias, np.stack([np.minimum(noise, 0.99 * bias), noise]), **style,
            dashes=look.dashes or (None, None), lw=1.3, elinewidth=0.8, label=backend,
        )  # fmt: skip
        variance = np.array([point.variance if point is not None else math.nan for point in row]) / norms**2
        if (variance > 0.0).any():
            freedom = np.array([point.repeats - 1 if point is not None else 1 for point in row]) * len(result.names)
            spread = variance * np.sqrt(2.0 / np.maximum(freedom, 1))
            right.errorbar(
                x, variance, np.stack([np.minimum(spread, 0.9 * variance), spread]), **style, ls="none", elinewidth=0.8,
                label=_measured(backend, found),
            )  # fmt: skip
            heights.append(variance)
            if found.law is not None and found.law.each:
                _line(right, x, variance, found.law, color=look.color)
    if found.law is not None and not found.law.each and heights:
        limits = right.get_ylim()
        _line(right, x, heights[0], found.law, color="#7A7A7A", label=f"as {found.law.formula}")
        right.set_ylim(limits[0] / 3.0, limits[1] * 3.0)
    if seen:
        left.set_ylim(0.4 * min(seen), 3.0 * max(seen))
    label = found.label + (f" [{'cm' if found.unit == 'm' else found.unit}]" if found.unit else "")
    for axes, what in ((left, "bias / |gradient|"), (right, "variance / |gradient|$^2$")):
        _logarithmic(axes, x)
        axes.set_xlabel(label)
        axes.set_ylabel(what)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="best")
    left.set_title(f"Bias by {found.label}")
    right.set_title(f"Variance of one estimate by {found.label}")
    if not right.get_legend_handles_labels()[1]:
        right.text(0.5, 0.5, "no backend has a variance here", transform=right.transAxes, ha="center")


def _measured(backend: str, found: Sweep) -> str:
    slope = found.slope(backend)
    return backend if slope is None or found.law is None else f"{backend} (power {slope:.1f})"


def _line(axes: Axes, x: np.ndarray, variance: np.ndarray, law: Law, **style: Any) -> None:
    """The law through the middle of the points, in logarithms."""
    good = np.isfinite(variance) & (variance > 0.0)
    middle, height = np.log(x[good]).mean(), np.log(variance[good]).mean()
    axes.plot(x, np.exp(height + law.power * (np.log(x) - middle)), lw=0.7, zorder=1, **style)


def _logarithmic(axes: Axes, x: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(x, [f"{value:.3g}" for value in x])
    axes.minorticks_off()


_BIAS = (
    "Left the distance of the mean over seeds from the right gradient; bars are what chance adds, so that a bar that "
    "reaches down means that no bias was seen. Right the variance of one estimate; its bars are one standard error. "
    "Backends without noise have no variance. Both are relative to the length of the right gradient. "
)

_TEXTS = {
    "samples": (
        "Bias and variance by samples.",
        "The thin lines fall as 1/samples, the law of independent samples; the power that was found is in the legend. "
        "A fit to the samples may fall otherwise.",
    ),
    "scale": (
        "Bias and variance by noise scale.",
        "All are held against the reference at its own scale, so a bias to either side is the price of averaging over "
        "another neighbourhood. The thin line falls as 1/scale^2, the law of the zeroth order where the cost is rough "
        "or jumps within the noise; where it is smooth at that scale, antithetic pairs make the variance level, and "
        "where curvature counts it rises.",
    ),
    "horizon": (
        "Bias and variance by horizon.",
        "The cost is taken after so many steps, with a reference for each. There is no general law: where disturbances "
        "grow, averages of exact gradients get a variance that grows exponentially, and the zeroth order does not.",
    ),
    "stiffness": (
        "Bias and variance by contact stiffness.",
        "The same task with contacts of another stiffness, with a reference for each. The thin line rises as "
        "stiffness^2, the law of averaged exact gradients through an explicit spring; level points mean that implicit "
        "contact, or values alone, do not depend on it.",
    ),
}
"""Title and explanation by the quantity that is varied."""


def sweep_caption(result: ComparisonResult, name: str) -> Caption:
    """Caption of the figure over the quantity ``name``."""
    assert result.studies is not None
    title, text = _TEXTS[name]
    found = result.studies.sweeps[name]
    seeds = max((p.repeats for row in found.points.values() for p in row if p is not None), default=0)
    return Caption(
        title,
        f"{_BIAS}{text} Measured over {seeds} seeds.{not_there(found.notes)}",
        f"Two panels over {found.label} from {found.values[0]:.3g} to {found.values[-1]:.3g}: bias and variance of "
        f"{listed(list(found.points))}.",
    )
