"""The contact solve: Newton's method with an exact line search on the convex energy of a step, one thread a world."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays, solver_report
from ..core.model_arrays import ModelArrays
from ..core.precision import FUSED, precision
from ..core.solver_report import SolverReport, step_failed
from . import dense_algebra, dense_hessian, stopping
from . import scratch as scratch_arrays
from .line_search import LINE_SEARCH_EVALUATIONS, LINE_SEARCH_TOLERANCE, SECOND_LEAST, SECOND_MOST
from .scratch import Scratch

__all__ = ["AGAIN_NEARER", "NEARER", "make", "solve"]

PATIENCE = 12
"""Iterations after which hard contacts' friction is solved for as well, see ``dense_hessian.py``."""

LOOSER = 30.0
"""Factor on the stiction speed in the Hessian where the factor lost the masses in rounding; halved after each step."""


AGAIN_NEARER = wp.constant(2)
"""A further solve with other rows, see ``contact/slip.py``."""

NEARER = 0.01
"""Part of the gradient's norm allowed up to which such a solve may do without an iteration."""


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The forward solver kernel for one precision and contact law, and ``set_up``, which its adjoint shares."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    dyn, contact_law = motion.make(dtype), law.make(dtype, resists, softens)
    hessians, lin = dense_hessian.make(dtype, resists, softens), dense_algebra.make(dtype)
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch_arrays.make(dtype, contact_law.Motion).Dense
    Report = solver_report.make(dtype)
    stop = stopping.make(dtype, resists, softens)
    hard = not resists and not softens

    @wp.func
    def set_up(
        world: int, bodies: Bodies, body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), h: dtype,
        inertia: wp.array2d(dtype=mat33), target: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """World inertia and free velocity of every body."""
        for body in range(body_q.shape[1]):
            rotation = wp.transform_get_rotation(body_q[world, body])
            inertia[world, body] = dyn.world_inertia(rotation, bodies.inertia[world, body])
            target[world, body] = dyn.free_velocity(body_v0[world, body], bodies.mask[body], bodies.gravity[world], h)

    @wp.func
    def momentum(m: dtype, inertia: mat33, v: spatial):
        return dyn.join(dyn.linear(v) * m, inertia * dyn.angular(v))

    @wp.kernel(enable_backward=False, module="unique", module_options=FUSED)
    def solve_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, tolerance: dtype, max_iterations: int,
        first_pass: int, further: int, repeat: wp.array(dtype=int),
        # scratch
        work: Work,
        # out
        body_v1: wp.array2d(dtype=spatial), report: Report,
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        zero = dtype(0.0)
        body_count = body_q.shape[1]
        contacts = count[world]
        set_up(world, bodies, body_q, body_v0, h, work.inertia, work.target)
        if first_pass != 0:
            for body in range(body_count):
                body_v1[world, body] = wp.cw_mul(body_v0[world, body], bodies.mask[body])
        for c in range(contacts):
            work.slip[world, c] = contact_law.relative_motion(
                body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
            )  # fmt: skip

        iteration = int(0)
        converged = int(0)
        before = dtype(wp.inf)
        relative = dtype(0.0)
        loose = dtype(1.0)
        while converged == 0:
            # gradient of the energy, and the size of the terms that balance in it
            size2 = zero
            speed2 = zero
            for body in range(body_count):
                v = body_v1[world, body]
                m = bodies.mass[world, body]
                jm = work.inertia[world, body]
                f = wp.cw_mul(momentum(m, jm, v - work.target[world, body]), bodies.mask[body])
                work.gradient[world, body] = f
                size2 += stop.mass_norm2(m, jm, f)
                speed2 += m * wp.dot(dyn.linear(v), dyn.linear(v)) + wp.dot(dyn.angular(v), jm * dyn.angular(v))
            for i in range(actuators.body.shape[0]):
                body = actuators.body[i]
                axis = actuators.axis[i]
                if bodies.dof_index[6 * body + axis] >= 0:
                    f = work.gradient[world, body]
                    x = dyn.coordinate(body_q[world, body], axis)
                    w = body_v1[world, body][axis]
                    kp = actuators.stiffness[world, i]
                    kd = actuators.damping[world, i]
                    f[axis] = f[axis] - dyn.actuator_impulse(actuators.kind[i], control[world, i], x, w, kp, kd, h)
                    work.gradient[world, body] = f
            for c in range(contacts):
                n = rows.normal[world, c]
                q = rows.coefficients[world, c]
                push = contact_law.impulse(work.slip[world, c], n, q, eps)
                if contact_law.normal_part(push, n) > zero:
                    a = rows.body_a[world, c]
                    b = rows.body_b[world, c]
                    if b >= 0:
                        work.gradient[world, b] = work.gradient[world, b] - wp.cw_mul(
                            contact_law.on_body(push, rows.arm_b[world, c], n, rows.twist[world, c]), bodies.mask[b]
                        )
                    if a >= 0:
                        work.gradient[world, a] = work.gradient[world, a] + wp.cw_mul(
                            contact_law.on_body(push, rows.arm_a[world, c], n, rows.twist[world, c]), bodies.mask[a]
                        )
            norm2 = zero
            for body in range(body_count):
                norm2 += stop.mass_norm2(
                    bodies.mass[world, body], work.inertia[world, body], work.gradient[world, body]
                )
            norm = wp.sqrt(norm2)
            size = stop.sufficient(tolerance, size2, speed2)
            if stop.stalls(norm, before, size):
                close = stop.near(norm, size2)
                noise2 = zero
                for i in range(actuators.body.shape[0]):
                    body = actuators.body[i]
                    axis = actuators.axis[i]
                    if bodies.dof_index[6 * body + axis] >= 0:
                        term = dyn.actuator_terms(
                            actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis),
                            body_v1[world, body][axis], actuators.stiffness[world, i], actuators.damping[world, i], h,
                        )  # fmt: skip
                        noise2 += stop.axis_norm2(bodies.mass[world, body], work.inertia[world, body], axis, term)
                for c in range(contacts):
                    noise2 += stop.contact_noise2(
                        world, rows.body_a[world, c], rows.body_b[world, c], rows.normal[world, c],
                        rows.arm_a[world, c], rows.arm_b[world, c],
                        rows.coefficients[world, c], work.slip[world, c], eps, close, bodies.mass, work.inertia,
                        body_v1,
                    )  # fmt: skip
                size += stop.impulses_known(noise2)
            before = norm
            relative = tolerance * norm / (size + dtype(1.0e-30))
            # such a solve starts so near that the rounding left would be the same in all steps: 0.2 % of friction
            if norm <= size and (further < AGAIN_NEARER or iteration > 0 or norm <= dtype(NEARER) * size):
                converged = 1
            elif iteration >= max_iterations or not wp.isfinite(norm):
                converged = -1
            else:
                iteration += 1
                dual = int(0)
                if wp.static(hard):
                    if iteration > PATIENCE:
                        dual = int(1)
                        if iteration == PATIENCE + 1:
                            for c in range(contacts):
                                work.friction[world, c] = vec3()
                hessians.hessian(world, bodies, actuators, contacts, rows, h, eps, loose, dual, work)
                lin.gather(work.gradient, bodies.dof_index, world, dtype(-1.0), work.vector)
                lin.solve(work.hessian, work.vector, world, bodies.dofs)
                lin.spread(work.vector, bodies.dof_index, world, work.direction)

                # slope of the energy along the direction: linear part, then contacts
                slope_0 = zero
                linear = zero
                curve = zero
                for body in range(body_count):
                    d = work.direction[world, body]
                    f = momentum(bodies.mass[world, body], work.inertia[world, body], d)
                    slope_0 += wp.dot(d, work.gradient[world, body])
                    linear += wp.dot(f, body_v1[world, body] - work.target[world, body])
                    curve += wp.dot(f, d)
                if slope_0 < zero:
                    for i in range(actuators.body.shape[0]):
                        body = actuators.body[i]
                        axis = actuators.axis[i]
                        along = work.direction[world, body][axis]
                        linear -= along * dyn.actuator_impulse(
                            actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis),
                            body_v1[world, body][axis], actuators.stiffness[world, i], actuators.damping[world, i], h,
                        )  # fmt: skip
                        curve += (
                            along
                            * along
                            * dyn.actuator_curvature(
                                actuators.kind[i], actuators.stiffness[world, i], actuators.damping[world, i], h
                            )
                        )
                    for c in range(contacts):
                        work.slip_change[world, c] = contact_law.relative_motion(
                            work.direction, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                            rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
                        )  # fmt: skip
                    alpha = dtype(1.0)
                    low = zero
                    high = dtype(-1.0)  # none yet
                    evaluation = int(0)
                    searching = int(1)
                    while searching == 1:
                        slope = linear + alpha * curve
                        bend = curve
                        for c in range(contacts):
                            n = rows.normal[world, c]
                            q = rows.coefficients[world, c]
                            du = work.slip_change[world, c]
                            u = work.slip[world, c] + du * alpha
                            push = contact_law.impulse(u, n, q, eps)
                            if contact_law.normal_part(push, n) > zero:
                                slope -= wp.dot(push, du)
                                if evaluation > 0:
                                    bend += wp.dot(du, contact_law.curvature(u, n, q, eps) * du)
                        evaluation += 1
                        if wp.abs(slope) <= dtype(LINE_SEARCH_TOLERANCE) * wp.abs(slope_0):
                            searching = 0
                        elif evaluation >= LINE_SEARCH_EVALUATIONS:
                            searching = 0
                        else:
                            if slope < zero:
                                low = alpha
                            else:
                                high = alpha
                            trial = alpha - slope / bend
                            if evaluation == 1:  # no curvature there yet: secant with the slope at zero
                                trial = alpha * slope_0 / (slope_0 - slope)
                                if slope < zero:
                                    trial = wp.min(wp.max(trial, dtype(SECOND_LEAST)), dtype(SECOND_MOST))
                            if high < zero:
                                if trial <= low:
                                    trial = low * dtype(2.0)
                            elif trial <= low or trial >= high:
                                trial = dtype(0.5) * (low + high)
                            alpha = trial
                    for body in range(body_count):
                        body_v1[world, body] = body_v1[world, body] + work.direction[world, body] * alpha
                    for c in range(contacts):
                        if wp.static(hard):
                            if dual == 1:
                                work.friction[world, c] = hessians.friction_after(
                                    work.friction[world, c], work.slip[world, c], work.slip_change[world, c] * alpha,
                                    rows.normal[world, c], rows.coefficients[world, c], eps,
                                )  # fmt: skip
                        work.slip[world, c] = work.slip[world, c] + work.slip_change[world, c] * alpha
                    loose = wp.max(dtype(0.5) * loose, dtype(1.0))
                else:  # the factor lost the masses in rounding
                    loose *= dtype(LOOSER)

        report.iterations[world] = report.iterations[world] + iteration
        if further == 0:
            report.steps[world] = report.steps[world] + 1
        if converged < 0:
            step_failed(world, report.steps, report.failed, report.first_failure, report.last_failure)
        if not (relative <= report.residual[world]):
            report.residual[world] = relative

    return SimpleNamespace(
        kernel=solve_kernel, set_up=set_up, momentum=momentum,
    )  # fmt: skip


def solve(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, control: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, body_v1: wp.array, report: SolverReport,
    *, h: float, eps: float, tolerance: float, max_iterations: int, repeat: wp.array | None = None,
    further: int = 0,
) -> None:  # fmt: skip
    """Velocities after the step, the unique minimizer of its energy; W worlds, B bodies, A actuators.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: Arrays of the model.
        body_q: Poses at the start of the step, transform [W, B].
        body_v0: Velocities at the start of the step, [W, B].
        control: Targets or forces of the actuators, [W, A].
        count: Number of contacts, [W].
        contact_rows: Contact rows at the start of the step.
        scratch: Working memory.
        body_v1: Output, velocities [W, B].
        report: Output, counts added to and residual raised.
        h: Step [s].
        eps: Stiction tolerance [m/s].
        tolerance: Norm of the energy's gradient relative to that of the momentum change at which to stop.
        max_iterations: Newton iterations after which a world counts as failed.
        repeat: Marks the worlds to solve once more, from ``body_v1`` on, [W]; by default all are solved from
            ``body_v0`` on.
        further: Whether the report has counted this step already (1), in a solve before this one; ``AGAIN_NEARER``:
            and the solve starts at the result of that one, with other rows.
    """
    m, r, s = model, contact_rows, scratch
    wp.launch(
        make(dtype, contact_rows.resists, contact_rows.softens).kernel,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.actuators, body_q, body_v0, control, count, r.struct, h, eps, tolerance, max_iterations,
            int(repeat is None), further, repeat, s.struct,
        ],
        outputs=[body_v1, report.struct],
        device=body_q.device,
    )  # fmt: skip
