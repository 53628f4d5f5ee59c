"""The scene of an objective from above: before and after its rollout, and where each gradient moves its way-points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon

from ...capabilities import goal_outline, scene_of
from ...comparison.way_points import descent
from ...render.style import Look
from ...render.topdown import DRIVEN, GOAL, TopDown
from ...sim import Recording
from ..caption import Caption, listed, shown
from .arrows import coincident, draw_arrows

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["aspect", "draw_scene", "is_crowded", "legend_entry", "scene_caption"]

_FEW = 3
"""Up to this many bodies, start and end of the rollout share one picture."""
_LONGEST = 0.17
"""Length of the reference's longest arrow, relative to the view."""
_SAME_SPOT = 0.002
"""Way-points this close have one arrow [m]."""
_START = "#6A6A6A"


def is_crowded(recording: Recording) -> bool:
    """Whether its picture takes two panels, before and after."""
    return len(recording.body_names) > _FEW


def aspect(recording: Recording) -> float:
    """Height of the scene over its width, about."""
    paths = recording.body_q[..., :2].reshape(-1, 2)
    width, height = np.ptp(paths, axis=0) + 0.05
    return float(np.clip(height / width, 0.3, 1.3))


def draw_scene(
    figure: FigureBase,
    task: Any,
    recording: Recording,
    theta: torch.Tensor,
    gradients: Mapping[str, Sequence[float]],
    styles: Mapping[str, Look],
) -> None:
    """Draw the rollout of ``theta`` [parameters], and the descent directions of ``gradients`` at its way-points."""
    if is_crowded(recording):
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        before, after = (TopDown(axes, recording, **scene_of(task)) for axes in (left, right))
        before.show(0)
        after.show(recording.steps)
        left.set_title("Before, and which way each gradient moves the way-points")
        right.set_title("After")
        handles = _way_points(left, task, theta, gradients, styles) + _goal(task)
    else:
        left = figure.subplots()
        scene = TopDown(left, recording, **scene_of(task))
        scene.show(recording.steps)
        left.set_title("From above: which way each gradient moves the way-points")
        handles = [
            *_start(left, scene, recording),
            *_paths(left, recording),
            *_goal(task),
            *_way_points(left, task, theta, gradients, styles),
        ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=6 if is_crowded(recording) else 3, title_fontsize=8.0,
        title="arrows: downhill, on one scale; a grey one is the reference",
    )  # fmt: skip


def _start(axes: Axes, scene: TopDown, recording: Recording) -> list[Artist]:
    """Dashed outlines of where the bodies began."""
    for body, seen in scene.outlines(0):
        if body >= 0:
            axes.add_patch(
                Polygon(100.0 * seen.outline, closed=True, fc="none", ec=_START, ls="--", lw=1.0, zorder=2.2)
            )
    return [Line2D([], [], color=_START, ls="--", lw=1.0, label="start")]


def _paths(axes: Axes, recording: Recording) -> list[Artist]:
    for body in range(len(recording.body_names)):
        path = 100.0 * recording.body_q[:, 0, body, :2]
        axes.plot(path[:, 0], path[:, 1], color="black", lw=0.8, zorder=3.0)
    return [Line2D([], [], color="black", lw=0.8, label="paths")]


def _goal(task: Any) -> list[Artist]:
    return [] if goal_outline(task) is None else [Patch(fc=GOAL[0], ec=GOAL[1], label="goal")]


def _way_points(
    axes: Axes, task: Any, theta: torch.Tensor, gradients: Mapping[str, Sequence[float]], styles: Mapping[str, Look]
) -> list[Artist]:  # fmt: skip
    """The way-points and the arrows at them; returns what the legend shows."""
    points = 100.0 * task.way_points(theta[None])[0].double().cpu().numpy()
    groups = coincident(points, 100.0 * _SAME_SPOT)
    together = "" if len(groups) == len(points) else " (on one spot: mean arrow)"
    axes.plot(points[:, 0], points[:, 1], "--", color=DRIVEN, lw=1.0, zorder=3.2)
    axes.plot(
        points[:, 0], points[:, 1], "o", color=DRIVEN, ms=5, mec="white", ls="none", zorder=9,
        label=f"way-points{together}",
    )  # fmt: skip
    origins = np.array([points[group].mean(axis=0) for group in groups])
    moves = {}
    for name, gradient in gradients.items():
        move = descent(task, theta, gradient)
        moves[name] = np.array([move[group].mean(axis=0) for group in groups])
    view = max(float(np.ptp(axes.get_xlim())), float(np.ptp(axes.get_ylim())))
    draw_arrows(axes, origins, moves, _LONGEST * view, styles)
    _hold(axes)
    return [legend_entry(handle, label) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)]


def _hold(axes: Axes) -> None:
    """Widen the view to what the arrows reach."""
    (x0, y0), (x1, y1) = axes.dataLim.min, axes.dataLim.max
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    axes.set_xlim(min(left, x0), max(right, x1))
    axes.set_ylim(min(low, y0), max(high, y1))


def legend_entry(handle: Any, label: str) -> Artist:
    """Arrows in the legend look like arrows."""
    if isinstance(handle, Line2D):
        return handle
    color = handle.get_facecolor()[0]
    return Line2D([], [], color=color, lw=0, marker=r"$\longrightarrow$", ms=17, mew=0.4, label=label)


def scene_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.recording is not None
    crowded = is_crowded(result.recording)
    before = "before and after the rollout at theta" if crowded else "at the end of the rollout at theta, start dashed"
    return Caption(
        "Gradients on the scene.",
        f"From above, {before}. At each way-point an arrow per backend says how a small step downhill would move it, "
        "all on one scale; the broad grey one is the reference. Arrows that part from it lead elsewhere; a square is "
        "an exact zero; what is marked shortened would leave the picture.",
        f"The scene from above, with arrows at the way-points for the reference and {listed(shown(result))}.",
    )
