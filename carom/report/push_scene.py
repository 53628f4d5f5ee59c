"""A push from above: box, pusher, way-points, and where each gradient would move them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.patches import Circle, Polygon

from .style import REFERENCE, looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_push"]

_LONGEST = 0.045
"""Length of the reference's longest arrow [m]."""
_CAP = 1.6
"""No arrow is longer than this many times that."""


def draw_push(axes: Axes, task: Any, theta: torch.Tensor, gradients: Mapping[str, Sequence[float]]) -> None:
    """Draw the rollout of ``theta`` [parameters] and the descent directions of ``gradients`` at its way-points.

    ``gradients["reference"]`` sets the scale of the arrows, where it is there.
    """
    path = task.rollout(theta[None]).body_q[:, 0].double().cpu().numpy()  # [T + 1, bodies, 7]
    half = task.box_half_extents
    box, pusher = path[:, 0], path[:, 1]
    _box(axes, box[0, :2], _yaw(box[0]), half, fc="none", ec="#7A7A7A", ls="--", label="box at the start")
    _box(axes, np.array(task.goal[:2]), task.goal[2], half, fc="#F7EFC2", ec="#B59B00", lw=1.4, label="goal")
    _box(axes, box[-1, :2], _yaw(box[-1]), half, fc="#00000018", ec="black", lw=1.4, label="box at the end")
    axes.plot(box[:, 0] * 100, box[:, 1] * 100, color="black", lw=0.8)
    axes.plot(pusher[:, 0] * 100, pusher[:, 1] * 100, color="#7A4FA3", lw=1.2, label="pusher's path")
    for at, filled in ((pusher[0, :2], False), (pusher[-1, :2], True)):
        axes.add_patch(
            Circle(tuple(at * 100), task.pusher_radius * 100, fc="#7A4FA340" if filled else "none", ec="#7A4FA3")
        )
    points = task.way_points(theta[None])[0].double().cpu().numpy()
    groups = _coincident(points, task.pusher_radius / 10)
    together = "" if len(groups) == len(points) else " (on one spot: mean arrow)"
    axes.plot(
        points[:, 0] * 100, points[:, 1] * 100, "o", color="#7A4FA3", ms=5, mec="white", zorder=9,
        label=f"way-points{together}",
    )  # fmt: skip
    _arrows(axes, task, theta, points, groups, gradients)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.04)
    axes.autoscale_view()
    axes.set_xlabel("x [cm]")
    axes.set_ylabel("y [cm]")
    axes.set_title("From above: which way each gradient moves the way-points")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, title_fontsize=8.0,
        title="arrows: downhill, on one scale; the reference's longest is 4.5 cm",
    )  # fmt: skip


def _arrows(
    axes: Axes, task: Any, theta: torch.Tensor, points: np.ndarray, groups: list[list[int]],
    gradients: Mapping[str, Sequence[float]],
) -> None:  # fmt: skip
    """One arrow per way-point (or group of them that lie on one spot) and backend; a mark where it is exactly zero."""
    origins = np.array([points[group].mean(axis=0) for group in groups])
    moves = {}
    for name, gradient in gradients.items():
        move = _descent(task, theta, gradient)
        moves[name] = np.array([move[group].mean(axis=0) for group in groups])
    lengths = {name: float(np.linalg.norm(move, axis=1).max()) for name, move in moves.items()}
    unit = lengths.get("reference") or max(lengths.values(), default=0.0) or 1.0
    styles = looks(name for name in moves if name != "reference")
    for rank, (name, move) in enumerate(moves.items()):
        scaled = move / unit * _LONGEST
        size = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled *= np.minimum(1.0, _CAP * _LONGEST / np.maximum(size, 1e-30))
        if lengths[name] == 0.0:
            axes.plot(
                origins[:, 0] * 100, origins[:, 1] * 100, "s", ms=12, mfc="none", mew=1.8, zorder=8, ls="none",
                color=REFERENCE.color if name == "reference" else styles[name].color, label=f"{name}: exactly zero",
            )  # fmt: skip
            continue
        axes.update_datalim((origins + 1.08 * scaled) * 100)
        broad = name == "reference"
        label = f"{name} (shortened)" if size.max() > _CAP * _LONGEST else name
        axes.quiver(
            origins[:, 0] * 100, origins[:, 1] * 100, scaled[:, 0] * 100, scaled[:, 1] * 100, angles="xy",
            scale_units="xy", scale=1.0, color="#9A9A9A" if broad else styles[name].color, zorder=4 + rank,
            width=0.016 if broad else 0.0075 - 0.0012 * rank, label=label,
        )  # fmt: skip


def _coincident(points: np.ndarray, tolerance: float) -> list[list[int]]:
    """Indices of points, those on one spot together."""
    groups: list[list[int]] = []
    for index, point in enumerate(points):
        for group in groups:
            if np.linalg.norm(points[group[0]] - point) < tolerance:
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def _descent(task: Any, theta: torch.Tensor, gradient: Sequence[float]) -> np.ndarray:
    """How way-points move for a small step against the gradient, per unit of step [points, 2]."""
    theta, slope = theta.double(), torch.tensor(gradient, dtype=torch.float64)
    step = 1e-6 / max(float(slope.norm()), 1e-300)
    moved = task.way_points((theta - step * slope)[None])[0] - task.way_points(theta[None])[0]
    return (moved / step).cpu().numpy()  # type: ignore[no-any-return]


def _box(axes: Axes, at: np.ndarray, yaw: float, half: Sequence[float], **style: Any) -> None:
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(half[:2])
    axes.add_patch(Polygon((corners @ turn.T + at) * 100, closed=True, **style))
    axes.update_datalim((corners @ turn.T + at) * 100)
    tip = at + turn @ np.array([half[0], 0.0])
    axes.plot([at[0] * 100, tip[0] * 100], [at[1] * 100, tip[1] * 100], color=style["ec"], lw=0.9)


def _yaw(q: np.ndarray) -> float:
    x, y, z, w = q[3:]
    return float(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
