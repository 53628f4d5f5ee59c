"""Arrays of a model as kernels take them; ``sim/stepping/device_model.py`` fills them."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from .hull_arrays import HullArrays
from .precision import precision
from .struct_arguments import filled

__all__ = ["ModelArrays", "make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The structs ``Bodies``, ``Shapes``, ``Surfaces`` and ``Actuators``: a model's arrays as arguments of kernels."""
    p = precision(dtype)

    @wp.struct
    class Bodies:
        """Bodies and gravity; fields as in ``ModelArrays``."""

        mask: wp.array(dtype=p.spatial)
        takes_part: wp.array(dtype=int)
        dofs: int
        dof_index: wp.array(dtype=int)
        mass: wp.array2d(dtype=dtype)
        inertia: wp.array2d(dtype=p.mat33)
        gravity: wp.array(dtype=p.vec3)

    @wp.struct
    class Shapes:
        """Shapes and the bodies they are fixed to; fields as in ``ModelArrays``."""

        kind: wp.array(dtype=int)
        body: wp.array(dtype=int)
        pose: wp.array(dtype=p.transform)
        size: wp.array2d(dtype=p.vec3)

    @wp.struct
    class Surfaces:
        """How shapes touch; fields as in ``ModelArrays``, by shape."""

        friction: wp.array2d(dtype=dtype)
        stiffness: wp.array2d(dtype=dtype)
        damping: wp.array2d(dtype=dtype)
        restitution: wp.array2d(dtype=dtype)
        rolling_resistance: wp.array2d(dtype=dtype)
        torsional_resistance: wp.array2d(dtype=dtype)
        softening: wp.array(dtype=p.vec2)

    @wp.struct
    class Actuators:
        """Actuators; fields as in ``ModelArrays``."""

        body: wp.array(dtype=int)
        axis: wp.array(dtype=int)
        kind: wp.array(dtype=int)
        stiffness: wp.array2d(dtype=dtype)
        damping: wp.array2d(dtype=dtype)

    return SimpleNamespace(Bodies=Bodies, Shapes=Shapes, Surfaces=Surfaces, Actuators=Actuators)


@dataclass(frozen=True)
class ModelArrays:
    """Arrays of a model. W worlds, B bodies, S shapes, A actuators.

    Frozen, since the structs ``bodies``, ``shapes``, ``surfaces`` and ``actuators``, which kernels are given, are
    filled with its arrays once. What the arrays hold may change.
    """

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
    plain_contacts: bool  # whether all pairs have ``plain_contacts``, see ``collision/pair_table.py``
    polyhedral: bool  # whether all pairs have ``polyhedral_contacts``, see there
    dofs: int  # free axes of a world; a number, since nothing may be read back while a graph is recorded
    # convex meshes; None where the model has none
    hulls: HullArrays | None = None

    @functools.cached_property
    def bodies(self) -> Any:
        """The struct ``Bodies``."""
        return filled(
            make(self.body_mass.dtype).Bodies, mask=self.body_mask, takes_part=self.body_takes_part,
            dofs=self.dofs, dof_index=self.dof_index, mass=self.body_mass, inertia=self.body_inertia,
            gravity=self.gravity,
        )  # fmt: skip

    @functools.cached_property
    def shapes(self) -> Any:
        """The struct ``Shapes``."""
        return filled(
            make(self.body_mass.dtype).Shapes, kind=self.shape_type, body=self.shape_body, pose=self.shape_pose,
            size=self.shape_size,
        )  # fmt: skip

    @functools.cached_property
    def surfaces(self) -> Any:
        """The struct ``Surfaces``."""
        return filled(
            make(self.body_mass.dtype).Surfaces, friction=self.shape_friction, stiffness=self.shape_stiffness,
            damping=self.shape_damping, restitution=self.shape_restitution,
            rolling_resistance=self.shape_rolling_resistance, torsional_resistance=self.shape_torsional_resistance,
            softening=self.shape_softening,
        )  # fmt: skip

    @functools.cached_property
    def actuators(self) -> Any:
        """The struct ``Actuators``."""
        return filled(
            make(self.body_mass.dtype).Actuators, body=self.actuator_body, axis=self.actuator_axis,
            kind=self.actuator_kind, stiffness=self.actuator_stiffness, damping=self.actuator_damping,
        )  # fmt: skip
