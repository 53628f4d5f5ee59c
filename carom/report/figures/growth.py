"""The exact gradient along the rollout: its norm by time step, and the growth of disturbances by horizon."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...gradients.core.optional import optional
from ...render.style import looks
from ..caption import Caption, not_there

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["draw_growth", "growth_caption"]

_SHADES = ("#000000", "#4A4A4A", "#7A7A7A", "#A5A5A5")


def draw_growth(figure: FigureBase, result: ComparisonResult) -> None:
    """Two panels, or one where the other cannot be."""
    assert result.studies is not None
    found = result.studies.diagnosis
    assert found is not None
    norms, spectrum = found.gradient_norm_by_step, found.spectrum
    panels = list(figure.subplots(1, (norms is not None) + (spectrum is not None), squeeze=False)[0])
    if norms is not None:
        axes = panels.pop(0)
        y = norms.numpy()
        step = float(spectrum.horizons[0]) if spectrum is not None else 1.0
        time, unit = _time(result, np.arange(len(y)) * step)
        axes.plot(time, np.where(y > 0.0, y, np.nan), color=looks(["autodiff"])["autodiff"].color, lw=1.3)
        if (y > 0.0).any():
            axes.set_yscale("log")
        else:
            axes.text(0.5, 0.5, "exactly zero in every step", transform=axes.transAxes, ha="center")
        axes.set_xlabel(f"time [{unit}]")
        axes.set_ylabel("|derivative with respect to that step|")
        axes.set_title("Exact gradient by time step")
    if spectrum is not None:
        axes = panels.pop(0)
        time, unit = _time(result, spectrum.horizons.numpy())
        table = spectrum.log_singular_values.numpy() / math.log(10.0)
        for k in range(min(len(_SHADES), table.shape[1])):
            column = table[:, k]
            axes.plot(time, np.where(np.isfinite(column), column, np.nan), color=_SHADES[k], lw=1.2, label=f"{k + 1}.")
        axes.axhline(2.0, color="#D55E00", lw=0.7)
        axes.annotate(
            "growth that overwhelms", (time[-1], 2.0), (0, 3), textcoords="offset points", ha="right", fontsize=7.5
        )
        axes.set_xlabel(f"horizon [{unit}]")
        axes.set_ylabel("log10 of the singular value")
        axes.set_title("Growth of a disturbance of the state")
        axes.legend(title="largest", loc="best", ncols=2)


def _time(result: ComparisonResult, at: np.ndarray) -> tuple[np.ndarray, str]:
    """Seconds for what is simulated; steps for a map."""
    return at, "s" if optional(result.objective, "simulator") is not None else "units of the objective's step"


def growth_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.studies is not None
    assert result.studies.diagnosis is not None
    found = result.studies.diagnosis
    verdicts = "; ".join(f"{name}: {text}" for name, text in found.verdicts.items())
    return Caption(
        "The exact gradient, step by step.",
        "Left the length of the derivative of the cost with respect to what enters at each step: where it climbs "
        "towards the start, early steps are multiplied by all that follows; where it is zero, nothing that is done "
        "there "
        "reaches the cost. Right the leading singular values of the product of the last steps' Jacobians: lines that "
        "rise steadily are chaos, and above the red line (a factor of 100) exact gradients are usually overwhelmed; "
        "lines that fall are a state that forgets. Short horizons mix metres with metres per second: read the ends. "
        f"Verdicts of the diagnosis: {verdicts}." + not_there(found.notes),
        "Curves over time: the norm of the exact gradient by step, and the growth of disturbances by horizon.",
    )
