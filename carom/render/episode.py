"""Pictures of the present states of closed-loop tasks, for ``render`` of the gymnasium environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..capabilities import body_colors, goal_outline
from ..envs.control import ControlState, ControlTask
from ..gradients.core.optional import has_methods, optional
from ..sim import Model, Recording
from .camera import Camera, looking_at
from .chart import bars
from .colors import body_color
from .contact_forces import round_scale
from .meshes import placed, plane_poses, surface
from .outlines import solids
from .painter import Painter
from .still import still

__all__ = ["EpisodePicture"]

_ASPECT = 0.7
"""Height of a picture over its width."""
_ABOVE = (0.0, -0.5, 0.866)
"""Direction to the camera: the table is seen under 60 degrees, so that goals are not hidden."""


class EpisodePicture:
    """Pictures of the worlds of a task, from one camera for all episodes.

    Bodies, table and goal, where the task's states have bodies. Where an action is a whole rollout of an objective that
    simulates bodies (``billiards``): the end of the rollout of the present parameters, and the paths of its bodies.
    Else the parameters as bars, in units of the task's scale, and their cost.

    Args:
        task: Task to draw.
        width: Width of the pictures [pixels].
    """

    def __init__(self, task: ControlTask, width: int):
        self.task, self.width, self.height = task, width, round(_ASPECT * width)
        self._colors = body_colors(task.objective) or {}
        self._painter: Painter | None = None
        self._seen: np.ndarray | None = None
        self._sizes: np.ndarray | None = None

    @torch.no_grad()
    def __call__(self, state: ControlState, world: int) -> np.ndarray:
        """One world, uint8 [height, width, 3]."""
        objective: Any = self.task.objective
        if state.bodies.body_q.shape[1]:
            poses = state.bodies.body_q[world].double().cpu().numpy()
            goal = self.task.goal_outline(state, world)
            bounds = self.task.picture_bounds()
            scene = self._scene(objective.simulator.model, poses, state.parameters, world)
            return self._painted(scene, poses, goal, bounds, []).picture(poses, goal)
        if has_methods(objective, "rollout") and optional(objective, "simulator") is not None:
            return self._rollout(objective, state.command[world])
        return self._chart(objective, state, world)

    def _scene(self, model: Model, poses: np.ndarray, parameters: Mapping[str, torch.Tensor], world: int) -> Recording:
        sizes = parameters.get("shape_size")
        own = None if sizes is None else sizes[world : world + 1].cpu().numpy()
        return still(model, poses[None], own)

    def _rollout(self, objective: Any, theta: torch.Tensor) -> np.ndarray:
        """The end of a rollout."""
        poses = objective.rollout(theta[None]).body_q[:, 0].double().cpu().numpy()
        scene = still(objective.simulator.model, poses[-1:])
        goal = goal_outline(objective)
        moved = np.linalg.norm(poses[-1, :, :3] - poses[0, :, :3], axis=1) > 0.0
        painter = self._painted(scene, poses[-1], goal, None, list(poses))
        return painter.picture(poses[-1], goal, [poses[:, body, :3] for body in np.flatnonzero(moved)])

    def _painted(
        self,
        scene: Recording,
        poses: np.ndarray,
        goal: np.ndarray | None,
        bounds: np.ndarray | None,
        path: list[np.ndarray],
    ) -> Painter:
        """The painter, made anew where a goal is out of sight or the world has other sizes than the last one drawn."""
        sizes = scene.shape_size[0]
        new = self._painter is None or self._sizes is None or not np.array_equal(sizes, self._sizes)
        edge = np.zeros((0, 2)) if goal is None else goal
        seen = self._seen
        if not new and seen is not None and bool(((edge >= seen[0, :2]) & (edge <= seen[1, :2])).all()):
            return self._painter  # type: ignore[return-value]
        found = solids(scene)
        level = plane_poses(scene)
        level = level[level[:, 5] ** 2 + level[:, 6] ** 2 > 1.0 - 1e-9]  # turned about z alone
        start = [self._vertices(found, one) for one in (path[:: max(1, len(path) // 20)] or [poses])]
        corners = np.concatenate(start)
        low = float(level[:, 2].max()) if len(level) else float(corners[:, 2].min())
        if bounds is None:
            bounds = np.array([corners.min(axis=0), corners.max(axis=0)]) if seen is None else seen
        both = np.concatenate([bounds[:, :2], edge])
        bounds = np.array([[*both.min(axis=0), low], [*both.max(axis=0), bounds[1, 2]]])
        size = float(np.linalg.norm(bounds[1] - bounds[0]))
        camera: Camera = looking_at(bounds, self.width, self.height, direction=_ABOVE)
        colors = [body_color(scene, solid.body, self._colors) for solid in found]
        self._painter, self._seen, self._sizes = (
            Painter(found, colors, camera, low, round_scale(size / 8)),
            bounds,
            sizes,
        )
        return self._painter

    def _vertices(self, found: list[Any], poses: np.ndarray) -> np.ndarray:
        parts = []
        for solid in found:
            vertices, _ = surface(solid)
            parts.append(vertices if solid.body < 0 else placed(vertices, poses[solid.body]))
        return np.concatenate(parts)

    def _chart(self, objective: Any, state: ControlState, world: int) -> np.ndarray:
        values = self.task.observe(state)[world].double().cpu().numpy()
        cost = float(objective(state.command[world : world + 1])[0])
        time, horizon = int(state.time[world]), self.task.horizon
        scale = getattr(self.task, "scale", 1.0)
        return bars(
            values, 3.0, f"{objective.name}: cost {cost:.4g} after {time} of {horizon} actions",
            f"{len(values)} change{'s' * (len(values) > 1)} from the start; lines at 3 x {scale:g}",
            self.width, self.height,
        )  # fmt: skip
