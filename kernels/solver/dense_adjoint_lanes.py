"""The linear solve of ``adjoint.py`` with several worlds side by side; hard contact without resistance."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..contact.row_arrays import ContactRows
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native.dense_adjoint import CODE
from ..native.lanes import WORLDS_AS_LANES, native
from .dense_lanes import ACTUATORS, lanes_for
from .scratch import Scratch

__all__ = ["make", "solve_adjoint"]

_INT = ("dof_index", "actuator_body", "actuator_axis", "actuator_kind", "count", "row_a", "row_b", "active")
_SCALAR = (
    "body_mass", "body_inertia", "actuator_stiffness", "actuator_damping", "body_q", "body_v1", "normal", "arm_a",
    "arm_b", "twist", "coefficients", "bar_v1", "z",
)  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    vec3, vec4, mat33, spatial, transform = p.vec3, p.vec4, p.mat33, p.spatial, p.transform
    constants = f"{ACTUATORS}    const int worlds = body_mass_.shape[0];\n"
    code = native(dtype, lanes, constants, *CODE, arrays=dict.fromkeys(_INT, int) | dict.fromkeys(_SCALAR, dtype))

    @wp.func_native(code)
    def adjoint_lanes(
        first: int, h: dtype, eps: dtype, dof_index_: wp.array(dtype=int), actuator_body_: wp.array(dtype=int),
        actuator_axis_: wp.array(dtype=int), actuator_kind_: wp.array(dtype=int), body_mass_: wp.array2d(dtype=dtype),
        body_inertia_: wp.array2d(dtype=mat33), actuator_stiffness_: wp.array2d(dtype=dtype),
        actuator_damping_: wp.array2d(dtype=dtype), body_q_: wp.array2d(dtype=transform),
        body_v1_: wp.array2d(dtype=spatial), count_: wp.array(dtype=int), row_a_: wp.array2d(dtype=int),
        row_b_: wp.array2d(dtype=int), normal_: wp.array2d(dtype=vec3), arm_a_: wp.array2d(dtype=vec3),
        arm_b_: wp.array2d(dtype=vec3), twist_: wp.array2d(dtype=vec3), coefficients_: wp.array2d(dtype=vec4),
        bar_v1_: wp.array2d(dtype=spatial), z_: wp.array2d(dtype=spatial), active_: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Solve the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def linear_kernel(
        # model
        dof_index: wp.array(dtype=int), actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int),
        actuator_kind: wp.array(dtype=int), body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33),
        actuator_stiffness: wp.array2d(dtype=dtype), actuator_damping: wp.array2d(dtype=dtype),
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3),
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=vec4), h: dtype, eps: dtype,
        bar_v1: wp.array2d(dtype=spatial),
        # out
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int),
    ):  # fmt: skip
        adjoint_lanes(
            wp.tid() * wp.static(lanes), h, eps, dof_index, actuator_body, actuator_axis, actuator_kind, body_mass,
            body_inertia, actuator_stiffness, actuator_damping, body_q, body_v1, count, row_a, row_b, normal, arm_a,
            arm_b, twist, coefficients, bar_v1, z, active,
        )  # fmt: skip

    return SimpleNamespace(kernel=linear_kernel)


def solve_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, adj_v1: wp.array, adjoints: Adjoints, *, h: float,
    eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.solve_adjoint``, with the same arguments, of which ``body_v0`` and ``scratch`` are not needed."""
    m, r = model, contact_rows
    lanes = lanes_for(r)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(body_q.shape[0] + lanes - 1) // lanes,
        inputs=[
            m.dof_index, m.actuator_body, m.actuator_axis, m.actuator_kind, m.body_mass, m.body_inertia,
            m.actuator_stiffness, m.actuator_damping,
            body_q, body_v1, count, r.body_a, r.body_b, r.normal, r.arm_a, r.arm_b, r.twist, r.coefficients, h, eps,
            adj_v1,
        ],
        outputs=[adjoints.z, adjoints.active],
        device=body_q.device,
    )  # fmt: skip
