"""Gradients as arrows on a picture: the displacement of the way-points along each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...render.style import REFERENCE, Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["coincident", "draw_arrows"]

_CAP = 1.6
"""No arrow is longer than this many times the reference's longest."""


def draw_arrows(
    axes: Axes, points: np.ndarray, moves: Mapping[str, np.ndarray], longest: float, styles: Mapping[str, Look]
) -> None:
    """One arrow per point and backend, on one scale; a mark where a backend is exactly zero everywhere.

    Args:
        axes: In the units of ``points``.
        points: Starts of the arrows, [n, 2].
        moves: Direction and relative size of the arrows [n, 2] by backend; "reference" sets the scale if it is there.
        longest: Length of the reference's longest arrow, in the units of ``points``.
        styles: Looks by backend.
    """
    lengths = {name: float(np.linalg.norm(move, axis=1).max()) for name, move in moves.items()}
    unit = lengths.get("reference") or max(lengths.values(), default=0.0) or 1.0
    for rank, (name, move) in enumerate(moves.items()):
        if not np.isfinite(move).all():
            continue  # its verdict says so
        broad = name == "reference"
        if lengths[name] == 0.0:
            axes.plot(
                points[:, 0], points[:, 1], "s", ms=12, mfc="none", mew=1.8, zorder=8, ls="none",
                color=REFERENCE.color if broad else styles[name].color, label=f"{name}: exactly zero",
            )  # fmt: skip
            continue
        scaled = move / unit * longest
        size = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled = scaled * np.minimum(1.0, _CAP * longest / np.maximum(size, 1e-30))
        axes.update_datalim(points + 1.08 * scaled)
        label = f"{name} (shortened)" if size.max() > _CAP * longest else name
        axes.quiver(
            points[:, 0], points[:, 1], scaled[:, 0], scaled[:, 1], angles="xy", scale_units="xy", scale=1.0,
            color="#9A9A9A" if broad else styles[name].color, zorder=4 + rank, label=label, edgecolor="white",
            units="inches", width=0.085 if broad else max(0.022, 0.044 - 0.007 * rank), linewidth=0.4,
        )  # fmt: skip


def coincident(points: np.ndarray, tolerance: float) -> list[list[int]]:
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
