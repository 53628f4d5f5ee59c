"""Figures of a comparison: each panel alone, and all of them in one picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..gradients.errors import GradientError
from .parameters_figure import draw_parameters
from .push_scene import draw_push
from .slice_figure import draw_slice
from .style import RC

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..comparison import CompareResult

__all__ = ["SCENES", "draw", "kinds", "save_figure"]

Scene = Callable[..., None]
SCENES: dict[str, Scene] = {"push": draw_push}
"""Drawings of scenes by the name of their task, called with (axes, objective, theta, gradients)."""

_SIZES = {"slice": (5.6, 4.0), "parameters": (8.0, 3.4), "scene": (6.2, 5.7)}


def kinds(objective: object) -> tuple[str, ...]:
    """The kinds of figure that there are for an objective."""
    return ("compare", "slice", "parameters", *(("scene",) if _scene(objective) else ()))


def draw(result: CompareResult, kind: str) -> Figure:
    """The figure of this kind."""
    known = kinds(result.objective)
    if kind not in known:
        raise GradientError(f"unknown figure {kind!r}: there are {', '.join(known)}")
    with matplotlib.rc_context(RC):
        if kind == "compare":
            return _all_in_one(result)
        figure = Figure(figsize=_SIZES[kind], layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1))
        _panel(figure.add_subplot(), result, kind)
        return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``path``.png and ``path``.svg; the same figure gives the same bytes."""
    with matplotlib.rc_context(RC):
        figure.savefig(path.with_name(path.name + ".png"), dpi=160, metadata={"Software": None})
        figure.savefig(path.with_name(path.name + ".svg"), metadata={"Date": None})


def _all_in_one(result: CompareResult) -> Figure:
    if _scene(result.objective) is None:
        figure = Figure(figsize=(11.0, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        _panel(left, result, "slice")
        draw_parameters(right, result, legend_columns=2)
    else:
        figure = Figure(figsize=(11.0, 8.2), layout="constrained")
        upper, lower = cast("Any", figure.subfigures(2, 1, height_ratios=[1.85, 1.0], hspace=0.04))
        left, right = upper.subplots(1, 2, width_ratios=[1.2, 1.0])
        _panel(left, result, "scene")
        _panel(right, result, "slice")
        _panel(lower.subplots(), result, "parameters")
    figure.suptitle(f"Gradient of {result.title}", x=0.012, ha="left", fontsize=12.5, fontweight="bold")
    return figure


def _panel(axes: Axes, result: CompareResult, kind: str) -> None:
    if kind == "slice":
        draw_slice(axes, result)
    elif kind == "parameters":
        draw_parameters(axes, result)
    else:
        rows = [result.comparison.reference, *result.comparison.rows]
        gradients: dict[str, Any] = {row.name: row.gradient for row in rows if row.gradient is not None}
        scene = _scene(result.objective)
        assert scene is not None
        scene(axes, result.theta, gradients)


def _scene(objective: Any) -> Scene | None:
    """The drawing of the objective's scene: its own ``draw``, else the one registered under its name."""
    own = getattr(objective, "draw", None)
    if callable(own):
        return own  # type: ignore[no-any-return]
    found = SCENES.get(getattr(objective, "name", ""))
    return None if found is None else lambda axes, theta, gradients: found(axes, objective, theta, gradients)
