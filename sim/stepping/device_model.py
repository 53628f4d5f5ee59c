"""A model copied to a device: fills the arrays of ``kernels/core/model_arrays.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import warp as wp

from ...kernels.collision.pair_table import patch_of_fixed_points, plain_contacts, polyhedral_contacts
from ...kernels.core.model_arrays import ModelArrays
from ...kernels.core.precision import precision
from ...kernels.core.shape_types import ShapeType
from ..devices import warp_dtype
from ..scene.model import Model
from .device_hulls import hull_arrays

__all__ = ["model_arrays"]


def _shared(values: Any, dtype: Any, device: str) -> wp.array:
    return wp.array(values, dtype=dtype, device=device)


def _shapes_of_pairs(model: Model) -> Iterator[tuple[int, int, bool]]:
    """Types of the two shapes of every pair, and whether one of them has rims."""
    for pair in model.pairs:
        a, b = (int(model.shape_type[shape]) for shape in pair)
        meshes = [model.meshes[model.shape_mesh[shape]] for shape in pair if model.shape_mesh[shape] >= 0]
        yield a, b, any(mesh.rim > 0.0 for mesh in meshes)


def model_arrays(model: Model, worlds: int) -> ModelArrays:
    """Arrays of a model for ``worlds`` worlds. The per-world ones are filled later."""
    real, device = warp_dtype(model.dtype), model.device
    p = precision(real)
    free = model.body_free.reshape(-1)
    dof_index = np.where(free, np.cumsum(free) - 1, -1).astype(np.int32)
    # also for a round body: the inertia may be overridden in a rollout, and its gradient needs the terms
    gyroscopic = model.body_free[:, 3:].all(axis=1).astype(np.int32)

    def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
        return wp.zeros(shape, dtype=kind, device=device)

    n, s, a = model.bodies, model.shapes, model.actuators
    scalar = p.scalar
    convex = (model.shape_type[model.pairs] == ShapeType.CONVEX).any(axis=1)
    return ModelArrays(
        pairs=(_shared(model.pairs[~convex], wp.vec2i, device), _shared(model.pairs[convex], wp.vec2i, device)),
        shape_type=_shared(model.shape_type, wp.int32, device),
        shape_body=_shared(model.shape_body, wp.int32, device),
        shape_pose=_shared(model.shape_pose, p.transform, device),
        body_mask=_shared(model.body_free.astype(np.float64), p.spatial, device),
        body_takes_part=_shared(model.body_free.any(axis=1).astype(np.int32), wp.int32, device),
        body_gyroscopic=_shared(gyroscopic, wp.int32, device),
        dof_index=_shared(dof_index, wp.int32, device),
        actuator_body=_shared(model.actuator_body, wp.int32, device),
        actuator_axis=_shared(model.actuator_axis, wp.int32, device),
        actuator_kind=_shared(model.actuator_kind, wp.int32, device),
        shape_softening=zeros((s,), p.vec2),
        gravity=zeros((worlds,), p.vec3), body_mass=zeros((worlds, n), scalar),
        body_inertia=zeros((worlds, n), p.mat33),
        shape_size=zeros((worlds, s), p.vec3), shape_friction=zeros((worlds, s), scalar),
        shape_stiffness=zeros((worlds, s), scalar), shape_damping=zeros((worlds, s), scalar),
        shape_restitution=zeros((worlds, s), scalar),
        shape_rolling_resistance=zeros((worlds, s), scalar), shape_torsional_resistance=zeros((worlds, s), scalar),
        actuator_stiffness=zeros((worlds, a), scalar), actuator_damping=zeros((worlds, a), scalar),
        other_patches=not all(patch_of_fixed_points(*shapes) for shapes in _shapes_of_pairs(model)),
        plain_contacts=all(plain_contacts(*shapes) for shapes in _shapes_of_pairs(model)),
        polyhedral=all(polyhedral_contacts(*shapes) for shapes in _shapes_of_pairs(model)),
        dofs=int(free.sum()), hulls=hull_arrays(model, real) if convex.any() else None,
    )  # fmt: skip
