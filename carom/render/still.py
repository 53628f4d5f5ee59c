"""A scene without a run: a recording made of a model and present poses, for pictures."""

from __future__ import annotations

import numpy as np

from ..sim import Model, Recording

__all__ = ["still"]


def still(model: Model, body_q: np.ndarray, shape_size: np.ndarray | None = None) -> Recording:
    """A recording of no steps and no contacts.

    Args:
        model: The scene.
        body_q: Poses of the bodies, position [m] and quaternion xyzw, [W, B, 7].
        shape_size: Sizes of the shapes [m], [1 or W, S, 3], as in ``Recording``; by default those of the model.
    """
    count, none = len(model.actuator_names), np.zeros((0, 3))
    meshes = [mesh.vertices for mesh in model.meshes]
    sizes = model.shape_size.detach().cpu().numpy() if shape_size is None else shape_size
    return Recording(
        step_size=0.0,
        body_q=body_q[None],
        body_v=np.zeros((1, *body_q.shape[:2], 6)),
        actuator_force=np.zeros((0, len(body_q), count)),
        contact_start=np.zeros(1, dtype=np.int64),
        contact_shape=np.zeros((0, 2), dtype=np.int64),
        contact_body=np.zeros((0, 2), dtype=np.int64),
        contact_point=none,
        contact_normal=none,
        contact_gap=np.zeros(0),
        contact_force=none,
        contact_torque=none,
        body_names=model.body_names,
        shape_names=model.shape_names,
        actuator_names=model.actuator_names,
        actuator_body=np.asarray(model.actuator_body),
        actuator_axis=np.asarray(model.actuator_axis),
        shape_type=np.asarray(model.shape_type),
        shape_body=np.asarray(model.shape_body),
        shape_pose=np.asarray(model.shape_pose),
        shape_size=sizes,
        shape_mesh=np.asarray(model.shape_mesh),
        mesh_start=np.cumsum([0, *map(len, meshes)]),
        mesh_vertices=np.concatenate([np.zeros((0, 3)), *meshes]),
    )
