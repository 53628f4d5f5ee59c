"""One recording in a viser scene: its bodies, forces, way-points and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..render.colors import DRIVEN, FORCE, GOAL, body_color
from ..render.contact_forces import contact_forces, typical_force
from ..render.meshes import body_meshes
from ..render.style import Look

if TYPE_CHECKING:
    import viser

    from ..files.run_folder import RunEntry

__all__ = ["RecordingView", "Style", "rgb"]

_GHOST = 0.35
"""Opacity of a recording behind another."""
_CLEAR = 0.6
"""Opacity of bodies while forces are shown, which would be hidden in them."""
_LONGEST = 0.15
"""Length of an arrow of the typical force, or of the longest gradient, relative to the scene."""
_LEAST = 0.03
"""Forces below this part of the typical one are not drawn."""
_MOVED = 1e-6
"""Poses that differ by less (m, or of a quaternion's entries) are not sent again."""


@dataclass(frozen=True)
class Style:
    """Style in which a recording is shown."""

    ghost: str | None = None
    """The one colour of a translucent recording; None for a solid one in the colours of its bodies."""
    scale: float = 1.0
    """Scale of the bodies: a little less than 1 hides a translucent body in a solid one at the same place."""
    offset: tuple[float, float] = (0.0, 0.0)
    """Position of its origin [m]."""
    forces: bool = True
    gradients: bool = True
    label: bool = False


class RecordingView:
    """One recording, under the node ``name`` of a scene; nothing is sent that did not change.

    Args:
        server: Server to draw on.
        name: Name of its node, such as "/runs/0".
        entry: Recording to draw.
        title: Shown above it where the style asks for a label.
        colors: Colours of bodies by name.
        goal: Outline of a goal [n, 2], m.
        size: Size of the whole scene [m]; arrows are scaled by it.
        styles: Looks by backend.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        name: str,
        entry: RunEntry,
        title: str,
        colors: dict[str, str],
        goal: np.ndarray | None,
        size: float,
        styles: Mapping[str, Look],
    ):
        self.entry, self.recording, self.name = entry, entry.recording, name
        self._scene, self._colors, self._size = server.scene, colors, size
        self._style, self._styles = Style(), styles
        self._world = -1
        self._shown: tuple[int, int] | None = None
        self._meshes: dict[int, Any] = {}
        self._sent = np.zeros((0, 7))
        self._typical = 1.0
        self._frame = self._scene.add_frame(name, show_axes=False)
        self._label = self._scene.add_label(f"{name}/label", title, position=self._above(), visible=False)
        self._goal = None if goal is None else self._outline(goal)
        self._forces = self._arrows("forces", np.zeros((1, 2, 3)), FORCE)
        self._forces.visible = False
        self._gradients = self._gradient_arrows()

    def has_world(self, world: int) -> bool:
        """Whether the recording has this world."""
        return world < self.recording.worlds

    def restyle(self, style: Style) -> None:
        """Show it in another way; the poses stay."""
        before, self._style = self._style, style
        if style.offset != before.offset:
            self._frame.position = (*style.offset, 0.0)
        for body, mesh in self._meshes.items():
            mesh.color, mesh.opacity, mesh.scale = self._color(body), self._opacity(), style.scale
        self._label.visible = style.label
        for handle in self._gradients:
            handle.visible = style.gradients
        if self._goal is not None:
            self._goal.visible = style.ghost is None
        self._shown = None

    def show(self, step: int, world: int) -> None:
        """Draw the poses at ``times[step]`` and the forces that act from there."""
        if (step, world) == self._shown:
            return
        self._frame.visible = self.has_world(world)
        if self.has_world(world):
            if world != self._world:
                self._build(world)
            self._move(self.recording.body_q[step, world].astype(float))
            self._push(min(step, self.recording.steps - 1), world)
        self._shown = (step, world)

    def contact_count(self, step: int, world: int) -> int:
        """Contacts of a step."""
        listed = self.recording.contacts(min(step, self.recording.steps - 1), world)
        return listed.stop - listed.start

    def _build(self, world: int) -> None:
        """Meshes, where the world has others, and the scale of its forces."""
        if not self._meshes or len(self.recording.shape_size) > 1:
            for mesh in body_meshes(self.recording, world):
                self._meshes[mesh.body] = self._scene.add_mesh_simple(
                    f"{self.name}/bodies/{mesh.body}",
                    mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32),
                    color=self._color(mesh.body), opacity=self._opacity(), scale=self._style.scale,
                    cast_shadow=False, receive_shadow=False,
                )  # fmt: skip
            self._sent = np.full((len(self.recording.body_names), 7), np.nan)
        self._typical = typical_force(self.recording, world)
        self._world = world

    def _move(self, poses: np.ndarray) -> None:
        moved = ~(np.abs(poses - self._sent).max(axis=1, initial=0.0) <= _MOVED)
        for body in map(int, np.flatnonzero(moved)):
            if body in self._meshes:
                mesh, pose = self._meshes[body], poses[body]
                mesh.position, mesh.wxyz = pose[:3], pose[[6, 3, 4, 5]]
        self._sent[moved] = poses[moved]

    def _push(self, step: int, world: int) -> None:
        """Forces as arrows from their points."""
        if not self._style.forces:
            self._forces.visible = False
            return
        point, force = contact_forces(self.recording, step, world)
        strong = np.linalg.norm(force, axis=1) > _LEAST * self._typical
        point, arrow = point[strong], force[strong] * (_LONGEST * self._size / self._typical)
        self._forces.visible = bool(len(point))
        if len(point):
            self._forces.points = np.stack([point, point + arrow], axis=1).astype(np.float32)

    def _gradient_arrows(self) -> list[Any]:
        """Pins at the way-points, and on them an arrow downhill for each backend, on one scale."""
        points = self.entry.way_points
        if points is None:
            return []
        lifted = np.column_stack([points, np.full(len(points), self._above()[2])])
        feet = np.column_stack([points, np.zeros(len(points))])
        pins = self._scene.add_line_segments(
            f"{self.name}/way_points", np.stack([feet, lifted], axis=1).astype(np.float32), rgb(DRIVEN),
            thickness=0.004 * self._size,
        )  # fmt: skip
        drawn: list[Any] = [pins]
        longest = max((float(np.linalg.norm(g, axis=1).max()) for g in self.entry.gradients.values()), default=0.0)
        for name, gradient in self.entry.gradients.items():
            ends = lifted.copy()
            ends[:, :2] -= gradient * (_LONGEST * self._size / (longest or 1.0))
            seen = np.linalg.norm(gradient, axis=1) > 1e-3 * longest
            if seen.any():
                arrows = np.stack([lifted, ends], axis=1)[seen]
                drawn.append(self._arrows(f"gradients/{name}", arrows, self._styles[name].color))
        return drawn

    def _arrows(self, what: str, points: np.ndarray, color: str) -> Any:
        return self._scene.add_arrows(
            f"{self.name}/{what}", points.astype(np.float32), linear_rgb(color), shaft_radius=0.004 * self._size,
            head_radius=0.011 * self._size, head_length=0.028 * self._size,
        )  # fmt: skip

    def _outline(self, goal: np.ndarray) -> Any:
        lifted = np.column_stack([goal, np.full(len(goal), 0.001 * self._size)])
        edges = np.stack([lifted, np.roll(lifted, -1, axis=0)], axis=1)
        return self._scene.add_line_segments(
            f"{self.name}/goal", edges.astype(np.float32), rgb(GOAL[1]), thickness=0.006 * self._size
        )

    def _above(self) -> tuple[float, float, float]:
        """A point over what lies in the scene at the start and is not driven."""
        loose = np.setdiff1d(np.arange(len(self.recording.body_names)), self.recording.actuator_body)
        start = self.recording.body_q[0, 0, loose, :3].astype(float)
        if not len(start):
            return (0.0, 0.0, 0.2 * self._size)
        return (*start[:, :2].mean(axis=0), float(start[:, 2].max()) + 0.25 * self._size)

    def _color(self, body: int) -> tuple[int, int, int]:
        if self._style.ghost is not None and body >= 0:
            return rgb(self._style.ghost)
        return rgb(body_color(self.recording, body, self._colors))

    def _opacity(self) -> float | None:
        if self._style.ghost is not None:
            return _GHOST
        return _CLEAR if self._style.forces else None


def linear_rgb(color: str) -> tuple[int, int, int]:
    """Colour in linear light, as viser takes the colours of arrows (the sRGB curve of IEC 61966-2-1)."""
    parts = (c / 255.0 for c in rgb(color))
    red, green, blue = (round(255.0 * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)) for c in parts)
    return red, green, blue


def rgb(color: str) -> tuple[int, int, int]:
    """A colour by name or #RRGGBB as three bytes."""
    from matplotlib.colors import to_rgb

    red, green, blue = (round(255 * part) for part in to_rgb(color))
    return red, green, blue
