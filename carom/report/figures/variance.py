"""A study of variance reduction as a figure: a panel per distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.figure import Figure

from ...comparison.variance import NOISE
from ...render.style import RC, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...comparison.variance import VarianceResult, VarianceRow

__all__ = ["draw_variance"]

_COLORS = {"none": "#D55E00", "value": "#E69F00", "leave_one_out": "#0072B2"}
_NAMES = {"none": "no baseline", "value": "f(x) subtracted", "leave_one_out": "leave-one-out"}
_COLUMNS = 3


def draw_variance(study: VarianceResult) -> Figure:
    """Errors of the Jacobian on a logarithmic axis; one mark for all pairs, from which a baseline cancels."""
    with matplotlib.rc_context(RC):
        columns = min(_COLUMNS, len(study.distributions))
        rows = -(-len(study.distributions) // columns)
        figure = Figure(figsize=(max(6.2, 3.6 * columns), 0.9 + 2.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        panels = list(grid.flat)
        for axes, distribution in zip(panels, study.distributions, strict=False):
            _panel(axes, study, distribution)
        for axes in panels[len(study.distributions) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("L2 error of the Jacobian")
        shown = {
            label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4)
        figure.suptitle(
            f"{study.problem}, size {study.settings['size']}, about {study.settings['samples']} samples",
            fontsize=10.0,
        )
    return figure


def _panel(axes: Axes, study: VarianceResult, distribution: str) -> None:
    mine = [row for row in study.rows if row.distribution == distribution]
    samplings = list(dict.fromkeys(row.sampling for row in study.rows))
    for place, (baseline, color) in enumerate(_COLORS.items()):
        _marks(axes, mine, samplings, baseline, False, 0.2 * place - 0.3, (_NAMES[baseline], "o", color))
    _marks(axes, mine, samplings, "leave_one_out", True, 0.3, ("antithetic pairs (baselines cancel)", "D", "#009E73"))
    if distribution == NOISE:
        styles = looks(row.name for row in study.backends)
        for row in study.backends:
            if row.error:
                look = styles[row.name]
                axes.axhline(row.error, color=look.color, dashes=look.dashes or (None, None), lw=1.4, label=row.name)
    axes.set_yscale("log")
    axes.set_xticks(range(len(samplings)), [name.replace("_", " ") for name in samplings], rotation=40, ha="right")
    axes.grid(False, axis="x")
    axes.set_title(distribution)


def _marks(
    axes: Axes,
    rows: Sequence[VarianceRow],
    samplings: Sequence[str],
    baseline: str,
    antithetic: bool,
    shift: float,
    look: tuple[str, str, str],
) -> None:
    some = [row for row in rows if row.baseline == baseline and row.antithetic == antithetic]
    at = [samplings.index(row.sampling) + shift for row in some]
    label, marker, color = look
    axes.plot(at, [row.error for row in some], ls="", marker=marker, color=color, ms=5, label=label)
