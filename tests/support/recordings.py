"""Recordings made by hand, with poses that are known in closed form; nothing is simulated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from carom.kernels.core.shape_types import ShapeType
from carom.sim import Recording

__all__ = ["moving_boxes"]


def moving_boxes(
    path: np.ndarray,
    half: Sequence[float] = (0.05, 0.05, 0.05),
    step: float = 0.01,
    force: Sequence[float] = (0.0, 0.0, 10.0),
) -> Recording:
    """Boxes that do not turn, over a ground plane, each with one contact under its centre.

    Args:
        path: Centres [m], [T + 1, worlds, bodies, 3].
        half: Half extents [m].
        step: [s]
        force: Of each contact on its box [N].
    """
    frames, worlds, bodies = path.shape[:3]
    contacts = (frames - 1) * worlds * bodies
    turned = np.broadcast_to([0.0, 0.0, 0.0, 1.0], (frames, worlds, bodies, 4))
    foot = path[:-1].reshape(-1, 3) * [1.0, 1.0, 0.0]
    number = np.tile(np.arange(bodies), (frames - 1) * worlds)
    here = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return Recording(
        step_size=step,
        body_q=np.concatenate([path, turned], axis=-1),
        body_v=np.zeros((frames, worlds, bodies, 6)),
        actuator_force=np.zeros((frames - 1, worlds, 0)),
        contact_start=np.arange((frames - 1) * worlds + 1) * bodies,
        contact_shape=np.stack([np.zeros(contacts, dtype=int), 1 + number], axis=1),
        contact_body=np.stack([np.full(contacts, -1), number], axis=1),
        contact_point=foot,
        contact_normal=np.broadcast_to([0.0, 0.0, 1.0], (contacts, 3)).copy(),
        contact_gap=np.zeros(contacts),
        contact_force=np.broadcast_to(np.asarray(force, dtype=float), (contacts, 3)).copy(),
        contact_torque=np.zeros((contacts, 3)),
        body_names=tuple(f"box{i}" for i in range(bodies)),
        shape_names=("ground", *(f"box{i}" for i in range(bodies))),
        actuator_names=(),
        actuator_body=np.zeros(0, dtype=int),
        actuator_axis=np.zeros(0, dtype=int),
        shape_type=np.array([ShapeType.PLANE, *[ShapeType.BOX] * bodies], dtype=int),
        shape_body=np.arange(-1, bodies),
        shape_pose=np.tile(here, (bodies + 1, 1)),
        shape_size=np.concatenate([np.zeros((1, 3)), np.tile(np.asarray(half, dtype=float), (bodies, 1))])[None],
        shape_mesh=np.full(bodies + 1, -1),
        mesh_start=np.zeros(1, dtype=int),
        mesh_vertices=np.zeros((0, 3)),
    )
