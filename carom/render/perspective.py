"""A recorded scene in perspective, drawn by casting rays: with no window and no graphics library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from ..kernels.raycast import cast_picture
from ..sim import Recording, RecordingError
from .camera import Camera, looking_at
from .colors import FORCE, GOAL, body_color
from .contact_forces import contact_forces, round_scale, typical_force
from .meshes import body_meshes, placed, plane_poses, scene_bounds
from .outlines import rotate

__all__ = ["Perspective", "perspective_frames"]

_DPI = 100
_TITLE = 28
"""Height of the line above the picture [pixels]."""
_ASPECT = 0.68
"""Height of a picture over its width."""
_LONGEST = 0.15
"""Length of an arrow of the typical force, relative to the scene."""
_LEAST = 0.03
"""Forces below this part of the typical one are not drawn."""


class Perspective:
    """One world of a recording as pictures without text.

    Args:
        recording: Recording to draw.
        world: World of the recording.
        width: Width of the pictures [pixels].
        colors: Colours of bodies by name.
        goal: Outline of a goal [n, 2], m.
        camera: Camera; by default from the front and above, so that all of the run is seen.
        device: Device of the computation.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        world: int = 0,
        width: int = 480,
        colors: Mapping[str, str] | None = None,
        goal: np.ndarray | None = None,
        camera: Camera | None = None,
        device: str = "cpu",
    ):
        if not 0 <= world < recording.worlds:
            raise RecordingError(f"world {world} is not in the recording: it has worlds 0 to {recording.worlds - 1}")
        self.recording, self.world, self._device = recording, world, device
        self._meshes = body_meshes(recording, world)
        if not self._meshes:
            raise RecordingError("there is nothing to draw: the scene has no shapes but planes")
        bounds = scene_bounds(recording, self._meshes, world)
        self.size = float(np.linalg.norm(bounds[1] - bounds[0]))
        """Diagonal of all that the bodies reach [m]."""
        self.camera = camera or looking_at(bounds, width, round(_ASPECT * width))
        self._normals = [_vertex_normals(mesh.vertices, mesh.faces) for mesh in self._meshes]
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in self._meshes)])
        self._faces = np.concatenate([mesh.faces + at for mesh, at in zip(self._meshes, starts[:-1], strict=True)])
        paint = [to_rgb(body_color(recording, mesh.body, colors or {})) for mesh in self._meshes]
        self._paint = np.repeat(np.array(paint), [len(mesh.faces) for mesh in self._meshes], axis=0)
        self._ground = self._level(bounds, goal)

    def picture(self, step: int) -> np.ndarray:
        """The poses at ``times[step]``, uint8 [height, width, 3]."""
        poses = [self._pose(mesh.body, step) for mesh in self._meshes]
        vertices = [placed(mesh.vertices, pose) for mesh, pose in zip(self._meshes, poses, strict=True)]
        normals = [rotate(pose[3:], normal) for normal, pose in zip(self._normals, poses, strict=True)]
        drawn = cast_picture(
            np.concatenate(vertices), np.concatenate(normals), self._faces, self._paint, self.camera.rays(),
            self._ground, self.camera.width, self.camera.height, self._device,
        )  # fmt: skip
        return np.clip(255.0 * drawn + 0.5, 0.0, 255.0).astype(np.uint8)  # type: ignore[no-any-return]

    def _pose(self, body: int, step: int) -> np.ndarray:
        if body < 0:
            return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        return self.recording.body_q[step, self.world, body].astype(float)  # type: ignore[no-any-return]

    def _level(self, bounds: np.ndarray, goal: np.ndarray | None) -> dict[str, Any] | None:
        """The highest level plane of the scene as the ground."""
        poses = plane_poses(self.recording)
        level = poses[poses[:, 5] ** 2 + poses[:, 6] ** 2 > 1.0 - 1e-9]  # turned about z alone
        if not len(level):
            return None
        return {
            "height": float(level[:, 2].max()), "cell": round_scale(self.size / 8.0),
            "centre": bounds.mean(axis=0)[:2], "reach": 2.0 * self.size,
            "goal": np.zeros((0, 2)) if goal is None else np.asarray(goal),
            "goal_face": to_rgb(GOAL[0]), "goal_edge": to_rgb(GOAL[1]),
        }  # fmt: skip


def perspective_frames(
    recording: Recording,
    steps: Sequence[int],
    *,
    size: int,
    title: str = "",
    forces: bool = True,
    world: int = 0,
    colors: Mapping[str, str] | None = None,
    goal: np.ndarray | None = None,
    device: str = "cpu",
) -> Iterator[Image.Image]:
    """One picture a step, with the time and, drawn over the bodies, the contact forces."""
    scene = Perspective(recording, world=world, width=size, colors=colors, goal=goal, device=device)
    width, height = scene.camera.width, scene.camera.height
    figure = Figure(figsize=(width / _DPI, (height + _TITLE) / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, height / (height + _TITLE)))
    axes.set_axis_off()
    shown = axes.imshow(scene.picture(steps[0]), interpolation="none", aspect="auto")
    axes.set_autoscale_on(False)
    clock = figure.text(1.0 - 8 / width, 1.0 - 8 / (height + _TITLE), "", ha="right", va="top", fontsize=9.0)
    newtons = typical_force(recording, world)
    longest = _LONGEST * scene.size
    key = f"arrows: contact forces, {100.0 * longest:.2g} cm for {newtons:g} N" if forces else ""
    heading = figure.text(
        8 / width, 1.0 - 8 / (height + _TITLE), title, ha="left", va="top", fontsize=10.0, fontweight="bold"
    )
    offset = 16 + heading.get_window_extent(canvas.get_renderer()).width if title else 8.0
    figure.text(offset / width, 1.0 - 9 / (height + _TITLE), key, ha="left", va="top", fontsize=8.0)
    for step in steps:
        shown.set_data(scene.picture(step))
        clock.set_text(f"t = {recording.times[step]:.2f} s")
        arrows = None
        if forces:
            point, force = contact_forces(recording, min(step, recording.steps - 1), world)
            strong = np.linalg.norm(force, axis=1) > _LEAST * newtons
            start = scene.camera.project(point[strong])
            move = scene.camera.project(point[strong] + force[strong] * (longest / newtons)) - start
            arrows = axes.quiver(
                start[:, 0], start[:, 1], move[:, 0], move[:, 1], angles="xy", scale_units="xy", scale=1.0, color=FORCE,
                units="dots", width=1.8, headwidth=3.6, headlength=4.2, headaxislength=3.8, minlength=0.5,
            )  # fmt: skip
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
        if arrows is not None:
            arrows.remove()


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Means over the faces at each vertex, by their areas; flat where no faces share it."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    total = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(total, faces[:, i], np.cross(b - a, c - a))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)  # type: ignore[no-any-return]
