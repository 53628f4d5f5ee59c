"""Histograms of single-sample gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...comparison.studies.single_samples import SCORE
from ...render.style import REFERENCE, looks
from ..caption import Caption, listed, not_there

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["draw_single_samples", "single_samples_caption", "single_samples_size"]

_BINS = 41
_CUT = 0.98
"""Share of the samples that sets the width of a panel; the others are counted at its edge."""


def single_samples_size(result: ComparisonResult) -> tuple[float, float]:
    """Inches for as many panels as there are kinds of sample."""
    assert result.studies is not None
    assert result.studies.single_samples is not None
    return (max(5.0, 3.2 * len(result.studies.single_samples.samples)), 3.4)


def draw_single_samples(figure: FigureBase, result: ComparisonResult) -> None:
    """A panel per kind of sample: counts on a logarithmic axis, the mean, the reference, the share of exact zeros."""
    assert result.studies is not None
    found = result.studies.single_samples
    assert found is not None
    styles = {**looks(row.name for row in result.comparison.rows), SCORE: looks(["smoothing"])["smoothing"]}
    unit = f" [1/{result.unit}]" if result.unit else ""
    panels = figure.subplots(1, len(found.samples), squeeze=False)[0]
    for axes, (name, samples) in zip(panels, found.samples.items(), strict=True):
        x = samples.numpy()
        zero = x == 0.0
        low, high = _range(x, found.reference)
        edges = np.linspace(low, high, _BINS + 1)
        axes.hist(x[~zero], edges, color=styles[name].color, alpha=0.75, lw=0)
        if zero.any():
            axes.bar([0.0], [zero.sum()], edges[1] - edges[0], color="none", edgecolor="black", hatch="////", lw=0.8)
            axes.annotate(f"exactly 0: {zero.mean():.0%}", (0.0, zero.sum()), (6, 2), textcoords="offset points")
        axes.axvline(found.reference, color=REFERENCE.color, lw=1.4, dashes=(4, 2), label="reference")
        axes.axvline(float(x.mean()), color=styles[name].color, lw=1.6, label="mean of the samples")
        beyond = int(((x < low) | (x > high)).sum())
        axes.set_yscale("log")
        axes.set_ylim(0.7, 2.2 * max(4, axes.get_ylim()[1]))
        axes.set_xlim(low, high)
        axes.grid(False, axis="x")
        axes.set_xlabel(f"along the reference{unit}")
        out = f", {beyond} beyond the edges" if beyond else ""
        axes.set_title(f"{name}\n{len(x)} samples{out}", fontsize=9.0)
        axes.legend(loc="upper left", fontsize=7.0)
    panels[0].set_ylabel("samples")


def _range(x: np.ndarray, reference: float) -> tuple[float, float]:
    """Range that holds most samples, the reference, and zero where samples are zero."""
    ends = [*np.quantile(x, [1.0 - _CUT, _CUT]), reference, float(x.mean()), *([0.0] if (x == 0.0).any() else [])]
    low, high = float(min(ends)), float(max(ends))
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def single_samples_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.studies is not None
    assert result.studies.single_samples is not None
    found = result.studies.single_samples
    tails = ", ".join(f"{name} {found.kurtosis(name):.2g}" for name, x in found.samples.items() if float(x.std()) > 0.0)
    zeros = ", ".join(f"{name} {found.zero_share(name):.0%}" for name in found.samples)
    return Caption(
        "Single-sample gradients.",
        "The terms of an average over noise: a gradient per perturbed theta, along the direction of the reference. "
        "Zeroth order needs values only; the others are gradients at the perturbed points, whose mean is the "
        "first-order estimate. The counts are on a logarithmic axis. A spike at zero (hatched) is noise that saw no "
        "contact; long "
        "tails make a mean slow and its error bar a guess; a mean off the dashed reference by more than its spread "
        f"allows is a bias, as from jumps. Exactly zero: {zeros}. Kurtosis (3 for a normal distribution): {tails}."
        + not_there(found.notes),
        f"Histograms of single-sample gradients: {listed(list(found.samples))}.",
    )
