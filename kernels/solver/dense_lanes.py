"""The contact solve of ``dense.py`` with several worlds side by side in a register; hard contact without resistance.

Same method, same arguments, same results to rounding. A world's numbers do not depend on the number of worlds, nor on
those beside it: few worlds go one by one through the same text.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..contact import row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays, solver_report
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..core.solver_report import SolverReport, step_failed
from ..native.dense_solve import CODE
from ..native.lanes import WORLDS_AS_LANES, native
from . import dense, stopping
from .line_search import LINE_SEARCH_EVALUATIONS, LINE_SEARCH_TOLERANCE, SECOND_LEAST, SECOND_MOST
from .scratch import Scratch
from .small_world_inputs import HEAD, INTS, SCALARS

__all__ = ["lanes_for", "make", "serves", "solve"]

FEW_WORLDS = 1
"""Up to which worlds go one by one. A group of eight takes 1.4 times as long as one world (two in double precision)."""

MOST_CONTACTS = 4096
"""Room for contacts up to which the text may be used, since it keeps a group's contacts on the stack."""

ALONE_CONTACTS = 256
"""Room for contacts from which worlds go one by one: half a megabyte of stack in double precision."""


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The solver kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    spatial, transform = p.spatial, p.transform
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Report = row_arrays.make(dtype), solver_report.make(dtype)
    head = f"""
    constexpr TYPE UNIT = {p.epsilon!r}, UNITS = 1 / UNIT, ROUNDING = {stopping.ROUNDING!r} * UNIT;
    constexpr TYPE IMPULSE_ROUNDING = {stopping.IMPULSE_ROUNDING!r};
    constexpr TYPE STALLED = {stopping.STALLED!r}, NEAR = {stopping.NEAR!r};
    constexpr TYPE SLOPE_TOLERANCE = {LINE_SEARCH_TOLERANCE!r}, NEARER = {dense.NEARER!r}, LOOSER = {dense.LOOSER!r};
    constexpr TYPE SECOND_LEAST = {SECOND_LEAST!r}, SECOND_MOST = {SECOND_MOST!r};
    constexpr int EVALUATIONS = {LINE_SEARCH_EVALUATIONS}, PATIENCE = {dense.PATIENCE};
    constexpr int AGAIN_NEARER = {int(dense.AGAIN_NEARER)};
"""
    ints = INTS | {"repeat": "repeat_", "iterations": "report_.iterations"}
    scalars = SCALARS | {"body_v0": "body_v0_", "control": "control_", "residual": "report_.residual"}

    @wp.func_native(native(dtype, lanes, HEAD + head, *CODE, ints=ints, scalars=scalars))
    def solve_lanes(
        first: int, bodies_: Bodies, actuators_: Actuators, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), control_: wp.array2d(dtype=dtype), count_: wp.array(dtype=int),
        rows_: Rows, h: dtype, eps: dtype, tolerance: dtype, max_iterations: int, first_pass: int, further: int,
        repeat_: wp.array(dtype=int), body_v1_: wp.array2d(dtype=spatial), report_: Report,
    ) -> int:  # fmt: skip
        """Solve the worlds from ``first`` on; lanes that failed, a bit each."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def solve_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, tolerance: dtype, max_iterations: int,
        first_pass: int, further: int, repeat: wp.array(dtype=int),
        # state out
        body_v1: wp.array2d(dtype=spatial), report: Report,
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
            first, bodies, actuators, body_q, body_v0, control, count, rows, h, eps, tolerance, max_iterations,
            first_pass, further, repeat, body_v1, report,
        )  # fmt: skip
        for world in range(first, last):
            taken = first_pass
            if first_pass == 0:
                taken = repeat[world]
            if taken != 0:
                if further == 0:
                    report.steps[world] = report.steps[world] + 1
                if (failures & (1 << (world - first))) != 0:
                    step_failed(world, report.steps, report.failed, report.first_failure, report.last_failure)

    return SimpleNamespace(kernel=solve_kernel, solve_worlds=solve_lanes)


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
    """As ``dense.solve``, for worlds of at most 8 free axes; of the same arguments ``scratch`` is not needed."""
    m, r = model, contact_rows
    lanes = lanes_for(r)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(body_q.shape[0] + lanes - 1) // lanes,
        inputs=[
            m.bodies, m.actuators, body_q, body_v0, control, count, r.struct, h, eps, tolerance, max_iterations,
            int(repeat is None), further, repeat,
        ],
        outputs=[body_v1, report.struct],
        device=body_q.device,
    )  # fmt: skip
