"""The scene of a viewer: all recordings, the ground, the light and the first camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..files.run_folder import LoadedRun, unique_labels
from ..kernels.raycast import AMBIENT, LIGHT
from ..render.meshes import body_meshes, plane_poses, scene_bounds
from ..render.style import looks
from .recording_view import RecordingView, Style

if TYPE_CHECKING:
    import viser

__all__ = ["Scene"]

_GAP = 0.25
"""Gap between recordings side by side, relative to the scene."""
_SHRINK = 2e-3
"""Shrinkage of translucent bodies, for each recording a little more than for the last: surfaces never coincide."""
_FULL = np.pi
"""Intensity of a light that shows a surface in its own colour."""
_REACH = 6.0
"""Size of the ground, in sizes of the scene."""


class Scene:
    """Recordings in one scene, overlaid or side by side.

    Args:
        server: Server to draw on.
        runs: Run folders or recordings as ``load_run`` gives them.
    """

    def __init__(self, server: viser.ViserServer, runs: Sequence[LoadedRun]):
        self._server = server
        entries = [(run, entry) for run in runs for entry in run.entries]
        self.titles = unique_labels(runs)
        own = [entry.label for _, entry in entries]
        named = own if len(set(own)) == len(own) else self.titles  # a backend's own colour, where that tells them apart
        self.styles = looks([*(name for _, entry in entries for name in entry.gradients), *named])
        """A look for each backend with a gradient, and for each recording."""
        self.tints = [self.styles[name].color for name in named]
        """A colour for each recording."""
        bounds = np.array([scene_bounds(entry.recording, body_meshes(entry.recording)) for _, entry in entries])
        self._low, self._high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
        self.size = float((self._high - self._low)[:2].max())
        self.views = [
            RecordingView(
                server, f"/runs/{i}", entry, self.titles[i], dict(run.colors), run.goal, self.size, self.styles
            )
            for i, (run, entry) in enumerate(entries)
        ]
        self._surroundings()

    @property
    def duration(self) -> float:
        """Duration of the longest recording [s]."""
        return max(float(view.recording.times[-1]) for view in self.views)

    @property
    def worlds(self) -> int:
        """Largest number of worlds of a recording."""
        return max(view.recording.worlds for view in self.views)

    def arrange(self, side_by_side: bool, front: int, forces: bool, gradients: bool) -> None:
        """Lay the recordings out.

        Args:
            side_by_side: Each in its own place; else one over the other, all but one translucent.
            front: The recording that is solid where they are overlaid; its arrows are the ones shown.
            forces: Whether contact forces are shown.
            gradients: Whether way-points and gradients are.
        """
        width = (1.0 + _GAP) * float(self._high[0] - self._low[0])
        for i, view in enumerate(self.views):
            seen = side_by_side or i == front
            view.restyle(
                Style(
                    ghost=None if seen else self.tints[i],
                    scale=1.0 if seen else 1.0 - _SHRINK * (i + 1),
                    offset=((i - 0.5 * (len(self.views) - 1)) * width, 0.0) if side_by_side else (0.0, 0.0),
                    forces=forces and seen,
                    gradients=gradients and seen,
                    label=side_by_side and len(self.views) > 1,
                )
            )

    def show(self, steps: Sequence[int], world: int) -> None:
        """Draw each recording at its step, all of it in one frame of the client."""
        with self._server.atomic():
            for view, step in zip(self.views, steps, strict=True):
                view.show(step, world)

    def _surroundings(self) -> None:
        scene, server = self._server.scene, self._server
        scene.configure_default_lights(
            enabled=False
        )  # their shadows, and a map of surroundings, are slow without a GPU
        scene.configure_environment_map(None)
        scene.add_light_ambient("/light/everywhere", intensity=_FULL * AMBIENT)
        scene.add_light_directional("/light/sun", intensity=_FULL * (1.0 - AMBIENT), cast_shadow=False, position=LIGHT)
        centre = 0.5 * (self._low + self._high)
        cell = 10.0 ** np.floor(np.log10(self.size / 2.0))
        poses = [plane_poses(view.recording) for view in self.views]
        for i, pose in enumerate(np.unique(np.concatenate(poses), axis=0)):
            flat = bool(pose[5] ** 2 + pose[6] ** 2 > 1.0 - 1e-9)  # turned about z alone
            at = (centre[0] - centre[0] % (10.0 * cell), centre[1] - centre[1] % (10.0 * cell), pose[2])
            scene.add_grid(
                f"/ground/{i}", width=_REACH * self.size, height=_REACH * self.size, cell_size=cell,
                section_size=10.0 * cell, position=at if flat else pose[:3], wxyz=pose[[6, 3, 4, 5]],
                cell_color=(225, 225, 225), section_color=(190, 190, 190), shadow_opacity=0.0,
            )  # fmt: skip
        centre = centre + np.array([0.2 * self.size, 0.0, 0.0])  # the panel is on the right
        server.initial_camera.look_at = centre
        server.initial_camera.position = centre + self.size * np.array([0.0, -1.15, 1.05])
        server.initial_camera.fov = np.radians(50.0)
