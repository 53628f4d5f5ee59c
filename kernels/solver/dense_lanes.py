"""The contact solve of ``dense.py`` with several worlds side by side in a register; hard contact without resistance.

Same method, same arguments, same results to rounding. A world's numbers do not depend on the number of worlds, nor on
those beside it: few worlds go one by one through the same text.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.motion import ACTUATOR_POSITION, ACTUATOR_VELOCITY
from ..contact.row_arrays import ContactRows
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.solver_report import SolverReport, step_failed
from ..native.dense_solve import CODE
from ..native.lanes import LANES, WORLDS_AS_LANES, native
from . import dense, stopping
from .line_search import LINE_SEARCH_EVALUATIONS, LINE_SEARCH_TOLERANCE
from .scratch import Scratch

__all__ = ["ACTUATORS", "lanes_for", "make", "serves", "solve"]

FEW_WORLDS = 1
"""Up to which worlds go one by one. A group of eight takes 1.4 times as long as one world (two in double precision)."""

MOST_CONTACTS = 4096
"""Room for contacts up to which the text may be used, since it keeps a group's contacts on the stack."""

ALONE_CONTACTS = 256
"""Room for contacts from which worlds go one by one: half a megabyte of stack in double precision."""

ACTUATORS = f"""    constexpr int POSITION = {int(ACTUATOR_POSITION)}, VELOCITY = {int(ACTUATOR_VELOCITY)};
"""
"""Kinds of actuators, for native text."""

_INT = (
    "dof_index",
    "actuator_body",
    "actuator_axis",
    "actuator_kind",
    "count",
    "row_a",
    "row_b",
    "repeat",
    "iterations",
)
_SCALAR = (
    "gravity", "body_mass", "body_inertia", "actuator_stiffness", "actuator_damping", "body_q", "body_v0", "control",
    "normal", "arm_a", "arm_b", "twist", "coefficients", "body_v1", "residual",
)  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The solver kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    vec3, vec4, mat33, spatial, transform = p.vec3, p.vec4, p.mat33, p.spatial, p.transform
    constants = f"""
    constexpr TYPE UNIT = {p.epsilon!r}, UNITS = 1 / UNIT, ROUNDING = {stopping.ROUNDING!r} * UNIT;
    constexpr TYPE IMPULSE_ROUNDING = {stopping.IMPULSE_ROUNDING!r}, IN_SIGHT = {stopping.ROUNDING_IN_SIGHT!r};
    constexpr TYPE SLOPE_TOLERANCE = {LINE_SEARCH_TOLERANCE!r}, NEARER = {dense.NEARER!r}, LOOSER = {dense.LOOSER!r};
    constexpr int EVALUATIONS = {LINE_SEARCH_EVALUATIONS}, PATIENCE = {dense.PATIENCE};
{ACTUATORS}    constexpr int AGAIN_NEARER = {int(dense.AGAIN_NEARER)};
    const int worlds = body_mass_.shape[0];
"""
    code = native(dtype, lanes, constants, *CODE, arrays=dict.fromkeys(_INT, int) | dict.fromkeys(_SCALAR, dtype))

    @wp.func_native(code)
    def solve_lanes(
        first: int, h: dtype, eps: dtype, tolerance: dtype, max_iterations: int, first_pass: int, further: int,
        dof_index_: wp.array(dtype=int), actuator_body_: wp.array(dtype=int), actuator_axis_: wp.array(dtype=int),
        actuator_kind_: wp.array(dtype=int), gravity_: wp.array(dtype=vec3), body_mass_: wp.array2d(dtype=dtype),
        body_inertia_: wp.array2d(dtype=mat33), actuator_stiffness_: wp.array2d(dtype=dtype),
        actuator_damping_: wp.array2d(dtype=dtype), body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), control_: wp.array2d(dtype=dtype), count_: wp.array(dtype=int),
        row_a_: wp.array2d(dtype=int), row_b_: wp.array2d(dtype=int), normal_: wp.array2d(dtype=vec3),
        arm_a_: wp.array2d(dtype=vec3), arm_b_: wp.array2d(dtype=vec3), twist_: wp.array2d(dtype=vec3),
        coefficients_: wp.array2d(dtype=vec4), repeat_: wp.array(dtype=int), body_v1_: wp.array2d(dtype=spatial),
        iterations_: wp.array(dtype=int), residual_: wp.array(dtype=dtype),
    ) -> int:  # fmt: skip
        """Solve the worlds from ``first`` on; lanes that failed, a bit each."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def solve_kernel(
        # model
        dof_index: wp.array(dtype=int), actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int),
        actuator_kind: wp.array(dtype=int), gravity: wp.array(dtype=vec3), body_mass: wp.array2d(dtype=dtype),
        body_inertia: wp.array2d(dtype=mat33), actuator_stiffness: wp.array2d(dtype=dtype),
        actuator_damping: wp.array2d(dtype=dtype),
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3),
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=vec4), h: dtype, eps: dtype,
        tolerance: dtype, max_iterations: int,
        first_pass: int, further: int, repeat: wp.array(dtype=int),
        # state out
        body_v1: wp.array2d(dtype=spatial), iterations: wp.array(dtype=int), steps: wp.array(dtype=int),
        failed: wp.array(dtype=int), first_failure: wp.array(dtype=int), last_failure: wp.array(dtype=int),
        residual: wp.array(dtype=dtype),
    ):  # fmt: skip
        first = wp.tid() * wp.static(lanes)
        last = wp.min(first + wp.static(lanes), count.shape[0])
        if first_pass == 0:
            some = int(0)
            for world in range(first, last):
                if repeat[world] != 0:
                    some = 1
            if some == 0:
                return
        failures = solve_lanes(
            first, h, eps, tolerance, max_iterations, first_pass, further,
            dof_index, actuator_body, actuator_axis, actuator_kind, gravity, body_mass, body_inertia,
            actuator_stiffness, actuator_damping, body_q, body_v0, control, count, row_a, row_b, normal, arm_a, arm_b,
            twist, coefficients, repeat, body_v1, iterations, residual,
        )  # fmt: skip
        for world in range(first, last):
            taken = first_pass
            if first_pass == 0:
                taken = repeat[world]
            if taken != 0:
                if further == 0:
                    steps[world] = steps[world] + 1
                if (failures & (1 << (world - first))) != 0:
                    step_failed(world, steps, failed, first_failure, last_failure)

    return SimpleNamespace(kernel=solve_kernel)


def serves(contact_rows: ContactRows) -> bool:
    """Whether ``solve`` takes such contacts: hard ones without resistance, on a CPU, with room for 4096 at most."""
    capacity = contact_rows.normal.shape[1]
    hard = not contact_rows.resists and not contact_rows.softens
    return hard and not contact_rows.normal.device.is_cuda and capacity <= MOST_CONTACTS


def lanes_for(contact_rows: ContactRows) -> int:
    """Worlds a thread takes."""
    worlds, capacity = contact_rows.normal.shape
    return 1 if worlds <= FEW_WORLDS or capacity > ALONE_CONTACTS else LANES


def solve(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, control: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, body_v1: wp.array, report: SolverReport,
    *, h: float, eps: float, tolerance: float, max_iterations: int, repeat: wp.array | None = None,
    further: int = 0,
) -> None:  # fmt: skip
    """As ``dense.solve``, with the same arguments, of which ``scratch`` is not needed, for worlds of at most 8 free axes."""
    m, r = model, contact_rows
    lanes = lanes_for(r)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(body_q.shape[0] + lanes - 1) // lanes,
        inputs=[
            m.dof_index, m.actuator_body, m.actuator_axis, m.actuator_kind, m.gravity, m.body_mass, m.body_inertia,
            m.actuator_stiffness, m.actuator_damping,
            body_q, body_v0, control, count, r.body_a, r.body_b, r.normal, r.arm_a, r.arm_b, r.twist, r.coefficients,
            h, eps, tolerance, max_iterations, int(repeat is None), further, repeat,
        ],
        outputs=[body_v1, report.iterations, *report.of_steps, report.residual],
        device=body_q.device,
    )  # fmt: skip
