"""The bodies at the end of the rollout, and how a step along each gradient would move them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Circle

from ...capabilities import scene_of
from ...render.style import looks
from ...render.topdown import TopDown
from ..caption import Caption, listed
from .arrows import draw_arrows
from .scene import legend_entry

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from ...comparison.result import ComparisonResult

__all__ = ["bodies_caption", "draw_bodies"]

_LONGEST = 0.16
"""Length of the reference's longest arrow, relative to the view."""


def draw_bodies(figure: FigureBase, result: ComparisonResult) -> None:
    """Draw the bodies from above, with arrows of displacement on one scale and circles of displacement by chance."""
    assert result.studies is not None
    assert result.recording is not None
    found = result.studies.downhill_steps
    assert found is not None
    axes = figure.subplots()
    scene = TopDown(axes, result.recording, **scene_of(result.objective))
    scene.show(result.recording.steps)
    points = 100.0 * result.recording.body_q[-1, 0, :, :2].astype(float)
    view = max(float(np.ptp(axes.get_xlim())), float(np.ptp(axes.get_ylim())))
    longest = _LONGEST * view
    draw_arrows(axes, points, found.moves, longest, looks(row.name for row in result.comparison.rows))
    usual = max(float(np.linalg.norm(move, axis=1).max()) for move in found.moves.values()) or 1.0
    reference = found.moves.get("reference")
    unit = float(np.linalg.norm(reference, axis=1).max()) if reference is not None else usual
    for point, radius in zip(points, found.chance / (unit or 1.0) * longest, strict=True):
        axes.add_patch(Circle(tuple(point), min(radius, 1.6 * longest), fill=False, ec="#777777", ls=":", lw=0.8))
    handles = [legend_entry(handle, label) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=4, title_fontsize=8.0,
        title=f"the reference's longest arrow is {1000.0 * unit:.2g} mm",
    )  # fmt: skip
    axes.set_title("Where a step downhill moves the bodies")


def bodies_caption(result: ComparisonResult) -> Caption:
    """Caption of the figure."""
    assert result.studies is not None
    assert result.studies.downhill_steps is not None
    return Caption(
        "Displacement of the bodies by a step downhill.",
        "At each body, where it ends: the arrow says how much farther it would end after a step of one noise scale "
        "down each gradient, from rollouts of their own, all on one scale. Dotted circles: how far steps of that "
        "length "
        "in random directions move it. Arrows inside the circles of a pile are chance; arrows towards the goal that "
        "leave them are what a gradient is for.",
        f"The bodies from above at the end, with arrows of displacement by "
        f"{listed(list(result.studies.downhill_steps.moves))}.",
    )
