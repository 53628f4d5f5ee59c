"""Figures of a comparison: each panel alone, and all of them in one picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import matplotlib
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ...comparison.figure_kinds import MAIN, kinds, omitted
from ...gradients.core.errors import GradientError
from ...render.style import RC, looks
from ..caption import Caption
from .bodies import bodies_caption, draw_bodies
from .cost_slice import draw_slice, slice_caption
from .gradient_field import draw_gradient_field, gradient_field_caption, gradient_field_size
from .growth import draw_growth, growth_caption
from .landscape import draw_landscape, landscape_caption
from .parameters import draw_parameters, parameters_caption
from .race import curves_caption, draw_curves
from .scene import aspect, draw_scene, is_crowded, scene_caption
from .single_samples import draw_single_samples, single_samples_caption, single_samples_size
from .sweep import draw_sweep, sweep_caption
from .trust import draw_trust, trust_caption, trust_size

if TYPE_CHECKING:
    from ...comparison.result import ComparisonResult

__all__ = ["KINDS", "describe", "draw"]

_WIDTHS = {"scene": 1.2, "slice": 1.0, "landscape": 1.4, "parameters": 1.1}


@dataclass(frozen=True)
class Kind:
    """One kind of figure."""

    panel: Callable[[FigureBase, ComparisonResult], None]
    """Function that draws it into an empty figure."""
    size: Callable[[ComparisonResult], tuple[float, float]]
    """Size in inches."""
    caption: Callable[[ComparisonResult], Caption]
    """Function that writes its caption."""


def _draw_slice(figure: FigureBase, result: ComparisonResult) -> None:
    draw_slice(figure.subplots(), result)


def _draw_parameters(figure: FigureBase, result: ComparisonResult) -> None:
    draw_parameters(figure.subplots(), result)


def _draw_scene(figure: FigureBase, result: ComparisonResult) -> None:
    rows = [result.comparison.reference, *result.comparison.rows]
    gradients = {row.name: row.gradient for row in rows if row.gradient is not None}
    assert result.recording is not None
    styles = looks(row.name for row in result.comparison.rows)
    draw_scene(figure, result.objective, result.recording, result.theta, gradients, styles)


def _sweep(name: str) -> Kind:
    return Kind(
        lambda figure, result: draw_sweep(figure, result, name),
        _size(9.0, 3.6),
        lambda result: sweep_caption(result, name),
    )


def _size(width: float, height: float) -> Callable[[ComparisonResult], tuple[float, float]]:
    return lambda result: (width, height)


def _parameters_size(result: ComparisonResult) -> tuple[float, float]:
    return (8.0 if len(result.names) <= 16 else 12.0, 3.4)


def _scene_size(result: ComparisonResult) -> tuple[float, float]:
    """One panel, or two beside each other as high as the scene needs."""
    assert result.recording is not None
    return (11.0, 4.9 * aspect(result.recording) + 1.5) if is_crowded(result.recording) else (6.2, 5.7)


def _bodies_size(result: ComparisonResult) -> tuple[float, float]:
    assert result.recording is not None
    return (6.6, 1.9 + 5.0 * aspect(result.recording))


KINDS: dict[str, Kind] = {
    "scene": Kind(_draw_scene, _scene_size, scene_caption),
    "bodies": Kind(draw_bodies, _bodies_size, bodies_caption),
    "slice": Kind(_draw_slice, _size(5.6, 4.0), slice_caption),
    "landscape": Kind(draw_landscape, _size(8.4, 4.0), landscape_caption),
    "field": Kind(draw_gradient_field, gradient_field_size, gradient_field_caption),
    "parameters": Kind(_draw_parameters, _parameters_size, parameters_caption),
    "singles": Kind(draw_single_samples, single_samples_size, single_samples_caption),
    "samples": _sweep("samples"),
    "scale": _sweep("scale"),
    "horizon": _sweep("horizon"),
    "stiffness": _sweep("stiffness"),
    "growth": Kind(draw_growth, _size(9.0, 3.4), growth_caption),
    "trust": Kind(draw_trust, trust_size, trust_caption),
    "curves": Kind(draw_curves, _size(10.0, 4.0), curves_caption),
}
"""Kinds by name. A new figure is one entry here, and one in ``comparison/figure_kinds.py``."""


def describe(result: ComparisonResult, kind: str) -> Caption:
    """Caption of the figure of this kind."""
    return KINDS[kind].caption(result)


def draw(result: ComparisonResult, kind: str) -> Figure:
    """The figure of this kind."""
    known = kinds(result)
    if kind not in known:
        reason = omitted(result).get(kind)
        if reason is not None:
            raise GradientError(f"there is no figure {kind!r}: {reason}")
        raise GradientError(f"unknown figure {kind!r}: there are {', '.join(known)}")
    with matplotlib.rc_context(RC):
        if kind == MAIN:
            return _all_in_one(result, known)
        figure = Figure(figsize=KINDS[kind].size(result), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1))
        KINDS[kind].panel(figure, result)
        return figure


def _all_in_one(result: ComparisonResult, known: Sequence[str]) -> Figure:
    """Rows of panels. A scene in one panel has the slice beside it, one in two panels a row of its own."""
    rest = [name for name in ("slice", "landscape", "parameters") if name in known]
    rows: list[tuple[float, list[str]]] = []
    if "scene" in known:
        width, height = _scene_size(result)
        rows.append((height, ["scene"]) if width > 8.0 else (5.3, ["scene", rest.pop(0)]))
    while rest:
        pair, rest = (rest[:2], rest[2:]) if len(rest) != 3 else (rest[1::-1], rest[2:])
        rows.append((3.9 if len(pair) == 2 else 3.1, pair))
    heights = [height for height, _ in rows]
    figure = Figure(figsize=(11.0, sum(heights) + 0.4), layout="constrained")
    parts = cast("Any", figure.subfigures(len(rows), 1, height_ratios=heights, hspace=0.03, squeeze=False))[:, 0]
    for part, (_, names) in zip(parts, rows, strict=True):
        ratios = [_WIDTHS[name] for name in names]
        cells = [part] if len(names) == 1 else part.subfigures(1, 2, width_ratios=ratios)
        for cell, name in zip(cells, names, strict=True):
            _panel(cell, result, name, legend_columns=2 if len(names) > 1 else 4)
    figure.suptitle(f"Gradient of {result.title}", x=0.012, ha="left", fontsize=12.5, fontweight="bold")
    return figure


def _panel(figure: FigureBase, result: ComparisonResult, kind: str, legend_columns: int) -> None:
    if kind == "parameters":  # the one whose legend may be too wide for half a row
        draw_parameters(figure.subplots(), result, legend_columns=legend_columns)
    else:
        KINDS[kind].panel(figure, result)
