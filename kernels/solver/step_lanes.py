"""A first pass over a step in one kernel: contacts, rows, solve, weights of changing slip, and motion.

The functions are those of the kernels that do so one after another, so the numbers are the same to the bit. A launch
costs as much as a third of such a kernel's work on a single world. For groups of eight worlds there is nothing to gain.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import integrate_lanes
from ..collision import broad_phase, detect_lanes, features
from ..collision.broad_phase import NearArrays
from ..collision.features import Features
from ..contact import row_arrays, rows_lanes, slip_weights_lanes
from ..contact.row_arrays import ContactRows
from ..core import model_arrays, solver_report
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.solver_report import SolverReport, step_failed
from ..native.lanes import WORLDS_AS_LANES
from . import dense_lanes

__all__ = ["FEW_WORLDS", "make", "serves", "step"]

FEW_WORLDS = 1
"""Up to which a step goes this way."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernel for one precision, a world a thread."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Actuators = arrays.Bodies, arrays.Shapes, arrays.Surfaces, arrays.Actuators
    Rows, Report = row_arrays.make(dtype), solver_report.make(dtype)
    NearPairs, FeatureTable = broad_phase.make_struct(dtype), features.make(dtype)
    detect_worlds = detect_lanes.make(dtype).detect_worlds
    rows_of_worlds = rows_lanes.make(dtype).rows_of_worlds
    solve_worlds = dense_lanes.make(dtype).solve_worlds
    weigh_worlds = slip_weights_lanes.make(dtype).weigh_worlds
    move_worlds = integrate_lanes.make(dtype).move_worlds

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def step_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces, actuators: Actuators, gravity: wp.array(dtype=vec3),
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_v: wp.array2d(dtype=spatial), start: wp.array2d(dtype=spatial),
        control: wp.array2d(dtype=dtype),
        # options
        margin: dtype, look_ahead: wp.array(dtype=dtype), even: int, h: dtype, eps: dtype, tolerance: dtype,
        max_iterations: int, weighs: int, nothing: wp.array(dtype=int),
        # in and out
        near: NearPairs, table: FeatureTable, rows: Rows, report: Report,
        # out
        solved: wp.array2d(dtype=spatial), weights: wp.array2d(dtype=dtype), staged: wp.array(dtype=int),
        anywhere: wp.array(dtype=int), taken: wp.array(dtype=int), body_q1: wp.array2d(dtype=transform),
        body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world = wp.tid()
        detect_worlds(world, shapes, gravity, body_v, body_v, margin, look_ahead, h, near, table)
        rows_of_worlds(world, bodies, shapes, surfaces, body_q, start, table, even, h, eps, 1, nothing, rows)
        failures = solve_worlds(
            world, bodies, actuators, body_q, start, control, table.count, rows, h, eps, tolerance, max_iterations, 1,
            0, nothing, solved, report,
        )  # fmt: skip
        report.steps[world] = report.steps[world] + 1
        if failures != 0:
            step_failed(world, report.steps, report.failed, report.first_failure, report.last_failure)
        if weighs != 0:
            weigh_worlds(
                world, bodies, start, solved, table.count, rows, h, eps, 1, nothing, weights, staged, anywhere, taken
            )
        move_worlds(world, body_gyroscopic, body_inertia, body_q, solved, solved, h, body_q1, body_v1)

    return SimpleNamespace(kernel=step_kernel)


def serves(model: ModelArrays, near: NearArrays, rows: ContactRows) -> bool:
    """Whether a batch of worlds takes its steps this way: few worlds, whose kernels all know them side by side."""
    worlds = model.body_mass.shape[0]
    if worlds > FEW_WORLDS or model.hulls is not None or not rows_lanes.serves(model, rows):
        return False
    return dense_lanes.serves(rows) and detect_lanes.serves(model.shapes, near)


def step(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v: wp.array, start: wp.array, control: wp.array,
    near: NearArrays, found: Features, rows: ContactRows, slips: Any, taken: wp.array, report: SolverReport,
    solved: wp.array, body_q1: wp.array, body_v1: wp.array,
    *, margin: float, look_ahead: wp.array, even: bool, h: float, eps: float, tolerance: float, max_iterations: int,
) -> None:  # fmt: skip
    """List contacts, prepare rows, solve, weigh and move, where ``near.shape_q`` says that the shapes are.

    Arguments are those of ``collision.driver.detect``, ``contact_rows.prepare``, ``dense.solve``, ``slip.weigh`` and
    ``integrate.integrate``; without ``slips`` nothing is weighed.
    """
    m, s = model, slips
    weighed = [None, None, None] if s is None else [s.weight, s.staged, s.any]
    wp.launch(
        make(dtype).kernel,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.shapes, m.surfaces, m.actuators, m.gravity, m.body_gyroscopic, m.body_inertia, body_q, body_v,
            start, control, margin, look_ahead, int(even), h, eps, tolerance, max_iterations, int(s is not None), None,
        ],
        outputs=[
            near.structs[0], found.struct, rows.struct, report.struct, solved, *weighed, taken, body_q1, body_v1,
        ],
        device=body_q.device,
    )  # fmt: skip
