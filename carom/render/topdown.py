"""A recorded scene from above, at any of its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Polygon

from ..sim import Recording, RecordingError
from .colors import DRIVEN, FORCE, GOAL, body_color
from .contact_forces import contact_forces, typical_force
from .outlines import Seen, solids

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["DRIVEN", "GOAL", "TopDown"]

_LIGHT = np.array([-0.35, 0.35, 0.87])
_EDGE = 0.45  # outlines are this dark
_LONGEST = 0.14
"""Length of the longest force arrow, relative to the view."""
_MANY = 50.0
"""Contacts beyond which arrows and dots get smaller."""


class TopDown:
    """A scene on matplotlib axes, in centimetres; ``show(step)`` moves it.

    Lower shapes are drawn first. Faces are shaded by their slope. Planes are not drawn.

    Args:
        axes: Axes to draw on.
        recording: Recording to draw.
        world: World of the recording.
        colors: Colours of bodies by name; by default light ones, and violet for bodies with an actuator.
        goal: Outline of a goal [n, 2], m.
        forces: Whether contacts are marked and their horizontal forces drawn, at one scale for the whole run.
        limits: Region shown: x from, to, y from, to [m]; by default all that the bodies reach in ``steps``.
        steps: The steps that will be shown, for the limits; by default all.
    """

    def __init__(
        self,
        axes: Axes,
        recording: Recording,
        *,
        world: int = 0,
        colors: Mapping[str, str] | None = None,
        goal: np.ndarray | None = None,
        forces: bool = False,
        limits: Sequence[float] | None = None,
        steps: Sequence[int] | None = None,
    ):
        if not 0 <= world < recording.worlds:
            raise RecordingError(f"world {world} is not in the recording: it has worlds 0 to {recording.worlds - 1}")
        self.axes, self.recording, self.world = axes, recording, world
        self._solids = solids(recording, world)
        self._colors = [body_color(recording, solid.body, colors or {}) for solid in self._solids]
        x0, x1, y0, y1 = 100.0 * np.asarray(limits if limits is not None else self._reach(steps, goal))
        axes.set_xlim(x0, x1)
        axes.set_ylim(y0, y1)
        axes.set_aspect("equal")
        axes.grid(False)
        axes.set_xlabel("x [cm]")
        axes.set_ylabel("y [cm]")
        if goal is not None:
            axes.add_patch(Polygon(100.0 * np.asarray(goal), closed=True, fc=GOAL[0], ec="none", zorder=0.5))
        self._over = Polygon(
            np.zeros((1, 2)) if goal is None else 100.0 * np.asarray(goal), fc="none", ec=GOAL[1], lw=1.4
        )
        self._over.set(zorder=2.5, visible=goal is not None)
        axes.add_patch(self._over)
        self._shapes = PolyCollection([], zorder=2.0)
        axes.add_collection(self._shapes, autolim=False)
        self._forces = _ForceArrows(axes, recording, world, (x1 - x0, y1 - y0)) if forces else None

    def show(self, step: int) -> None:
        """Draw the poses at ``times[step]`` and the forces that act from there."""
        seen = [(solid.seen(self._pose(solid.body, step)), color) for solid, color in self._in_world()]
        polygons: list[np.ndarray] = []
        faces: list[Any] = []
        edges: list[Any] = []
        widths: list[float] = []
        for one, color in sorted(seen, key=lambda entry: entry[0].top):
            base = np.array(to_rgb(color))
            for face, slope in zip(one.faces, one.slopes, strict=True):
                shade = (*np.clip(base * (0.62 + 0.38 * max(0.0, float(slope @ _LIGHT)) / _LIGHT[2]), 0.0, 1.0), 1.0)
                polygons.append(100.0 * face)
                faces.append(shade)
                edges.append(shade)  # no seam between triangles
                widths.append(0.5)
            polygons.append(100.0 * one.outline)
            faces.append((*base, 1.0) if not len(one.faces) else (0.0, 0.0, 0.0, 0.0))
            edges.append((*(_EDGE * base), 1.0))
            widths.append(0.9)
        self._shapes.set_verts(polygons)
        self._shapes.set(facecolors=faces, edgecolors=edges, linewidths=widths)
        if self._forces is not None:
            self._forces.show(min(step, self.recording.steps - 1))

    @property
    def moving(self) -> list[Artist]:
        """Artists that ``show`` may have changed or covered, from the lowest to the highest."""
        return [self._shapes, self._over, *(self._forces.artists if self._forces else ())]

    def outlines(self, step: int) -> list[tuple[int, Seen]]:
        """Body (-1 static) and view of every shape at a step."""
        return [(solid.body, solid.seen(self._pose(solid.body, step))) for solid in self._solids]

    def _in_world(self) -> Any:
        return zip(self._solids, self._colors, strict=True)

    def _pose(self, body: int, step: int) -> np.ndarray:
        if body < 0:
            return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        return self.recording.body_q[step, self.world, body].astype(float)  # type: ignore[no-any-return]

    def _reach(self, steps: Sequence[int] | None, goal: np.ndarray | None) -> np.ndarray:
        """Limits of all that is shown, with a margin."""
        shown = range(self.recording.steps + 1) if steps is None else steps
        picked = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), 60)).round().astype(int))
        corners = [one.outline for i in picked for _, one in self.outlines(shown[i])]
        corners += [np.asarray(goal)] if goal is not None else []
        if not corners:
            raise RecordingError("there is nothing to draw: the scene has no shapes but planes")
        every = np.concatenate(corners)
        low, high = every.min(axis=0), every.max(axis=0)
        margin = 0.05 * float((high - low).max())
        return np.array([low[0] - margin, high[0] + margin, low[1] - margin, high[1] + margin])


class _ForceArrows:
    """Contacts as dots, their horizontal forces as arrows, and a key that says how long a force is."""

    def __init__(self, axes: Axes, recording: Recording, world: int, view: tuple[float, float]):
        self._axes, self._recording, self._world = axes, recording, world
        most = float(np.diff(recording.contact_start).max(initial=1))
        # smaller where many would hide the scene
        self._size = float(np.clip(np.sqrt(_MANY / max(most, 1.0)), 0.4, 1.0))
        longest = self._size * _LONGEST * max(view)
        newtons = typical_force(recording, world, axes=2)
        self._per_newton = longest / newtons
        self._dots = axes.plot([], [], "o", color=FORCE, ms=2.2 * self._size, mew=0, zorder=4.0)[0]
        self._arrows = self._quiver(np.zeros((0, 2)), np.zeros((0, 2)))
        key = self._quiver(np.zeros((1, 2)), np.zeros((1, 2)))  # of its own: the arrows come and go
        key.set_visible(False)
        axes.quiverkey(
            key, longest / view[0], 1.035, longest, f"{newtons:g} N: horizontal force of a contact",
            labelpos="E", labelsep=0.08, coordinates="axes", fontproperties={"size": 8.0},
        )  # fmt: skip

    @property
    def artists(self) -> tuple[Artist, ...]:
        return (self._dots, self._arrows)

    def _quiver(self, point: np.ndarray, arrows: np.ndarray) -> Any:
        return self._axes.quiver(
            point[:, 0], point[:, 1], arrows[:, 0], arrows[:, 1], angles="xy", scale_units="xy", scale=1.0,
            color=FORCE, width=0.006 * self._size, headwidth=3.6, headlength=4.2, headaxislength=3.8, minlength=0.5,
            zorder=4.5,
        )  # fmt: skip

    def show(self, step: int) -> None:
        point, force = contact_forces(self._recording, step, self._world)
        point *= 100.0
        self._dots.set_data(point[:, 0], point[:, 1])
        self._arrows.remove()
        self._arrows = self._quiver(point, self._per_newton * force[:, :2])
