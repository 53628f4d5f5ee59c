"""A model on the device."""

from __future__ import annotations

from dataclasses import dataclass

import warp as wp

from .hull_arrays import HullArrays

__all__ = ["ModelArrays"]


@dataclass
class ModelArrays:
    """A model on the device. W worlds, B bodies, S shapes, A actuators."""

    # the same in all worlds
    pairs: tuple[wp.array, wp.array]  # vec2i [P]: shapes that may touch, without and with convex meshes
    shape_type: wp.array  # int32 [S]
    shape_body: wp.array  # int32 [S]; -1 static
    shape_pose: wp.array  # transform [S]: pose in the body's frame
    body_mask: wp.array  # spatial [B]: 1 free, 0 locked, per world axis
    body_takes_part: wp.array  # int32 [B]: whether any axis is free
    body_gyroscopic: wp.array  # int32 [B]: whether the torque-free motion is more than constant spin
    shape_softening: (
        wp.array
    )  # vec2 [S]: width of softened contact [m], 0 hard, and its mode; see ``contact/softened.py``
    dof_index: wp.array  # int32 [6 B]: position of each axis among the free ones in the model's order, -1 if locked
    actuator_body: wp.array  # int32 [A]
    actuator_axis: wp.array  # int32 [A]: 0..2 along, 3..5 about the world axes
    actuator_kind: wp.array  # int32 [A]
    # one row a world
    gravity: wp.array  # vec3 [W], m/s^2
    body_mass: wp.array  # [W, B], kg
    body_inertia: wp.array  # mat33 [W, B], kg m^2, body frame, about the centre of mass
    shape_size: wp.array  # vec3 [W, S], m
    shape_friction: wp.array  # [W, S]
    shape_stiffness: wp.array  # [W, S], N/m; negative = derived
    shape_damping: wp.array  # [W, S], N s/m; negative = derived
    shape_restitution: wp.array  # [W, S]
    shape_rolling_resistance: wp.array  # [W, S], m
    shape_torsional_resistance: wp.array  # [W, S], m
    actuator_stiffness: wp.array  # [W, A], N/m or N m/rad
    actuator_damping: wp.array  # [W, A], N s/m or N m s/rad
    other_patches: (
        bool  # whether patches may have corners that are not fixed points on a plane, see ``contact/face_friction.py``
    )
    dofs: int  # free axes of a world; a number, since nothing may be read back while a graph is recorded
    # convex meshes; None where the model has none
    hulls: HullArrays | None = None
