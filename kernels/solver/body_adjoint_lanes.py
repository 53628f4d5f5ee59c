"""The adjoint of the bodies' and actuators' power (``adjoint.py``) with several worlds side by side in a register."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for, serves
from ..bodies.motion import ACTUATOR_POSITION, ACTUATOR_VELOCITY
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native.body_adjoint import CODE
from ..native.lanes import WORLDS_AS_LANES, native

__all__ = ["body_adjoint", "make", "serves"]

_HEAD = f"""
    constexpr int POSITION = {int(ACTUATOR_POSITION)}, VELOCITY = {int(ACTUATOR_VELOCITY)};
    const int worlds = body_q_.shape[0], bodies = body_q_.shape[1], actuators = actuators_.body.shape[0];
    const TYPE* mask = (TYPE*)bodies_.mask.data;
"""
_INTS = {
    "actuator_body": "actuators_.body", "actuator_axis": "actuators_.axis", "actuator_kind": "actuators_.kind",
}  # fmt: skip
_SCALARS = {
    "body_mass": "bodies_.mass", "body_inertia": "bodies_.inertia", "gravity": "bodies_.gravity",
    "actuator_stiffness": "actuators_.stiffness", "actuator_damping": "actuators_.damping",
} | {
    name: f"{name}_"
    for name in (
        "body_q", "body_v0", "body_v1", "control", "z", "bar_q", "bar_v0", "bar_control", "bar_gravity", "bar_mass",
        "bar_inertia", "bar_stiffness", "bar_damping",
    )
}  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators

    @wp.func_native(native(dtype, lanes, _HEAD, CODE, ints=_INTS, scalars=_SCALARS))
    def bodies_lanes(
        first: int, bodies_: Bodies, actuators_: Actuators, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), body_v1_: wp.array2d(dtype=spatial), control_: wp.array2d(dtype=dtype),
        z_: wp.array2d(dtype=spatial), h: dtype, bar_q_: wp.array2d(dtype=transform),
        bar_v0_: wp.array2d(dtype=spatial), bar_control_: wp.array2d(dtype=dtype), bar_gravity_: wp.array(dtype=vec3),
        bar_mass_: wp.array2d(dtype=dtype), bar_inertia_: wp.array2d(dtype=mat33),
        bar_stiffness_: wp.array2d(dtype=dtype), bar_damping_: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Add the derivatives of the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def body_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        control: wp.array2d(dtype=dtype), z: wp.array2d(dtype=spatial), h: dtype,
        # added to
        bar_q: wp.array2d(dtype=transform), bar_v0: wp.array2d(dtype=spatial), bar_control: wp.array2d(dtype=dtype),
        bar_gravity: wp.array(dtype=vec3), bar_mass: wp.array2d(dtype=dtype), bar_inertia: wp.array2d(dtype=mat33),
        bar_stiffness: wp.array2d(dtype=dtype), bar_damping: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        bodies_lanes(
            wp.tid() * wp.static(lanes), bodies, actuators, body_q, body_v0, body_v1, control, z, h, bar_q, bar_v0,
            bar_control, bar_gravity, bar_mass, bar_inertia, bar_stiffness, bar_damping,
        )  # fmt: skip

    return SimpleNamespace(kernel=body_kernel)


def body_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, control: wp.array,
    adjoints: Adjoints, *, h: float,
) -> None:  # fmt: skip
    """As ``adjoint.body_adjoint``."""
    m, g = model, adjoints
    worlds = body_q.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[m.bodies, m.actuators, body_q, body_v0, body_v1, control, g.z, h],
        outputs=[
            g.body_q, g.body_v0, g.control, g.gravity, g.body_mass, g.body_inertia, g.actuator_stiffness,
            g.actuator_damping,
        ],
        device=body_q.device,
    )  # fmt: skip
