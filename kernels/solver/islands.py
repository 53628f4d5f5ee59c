"""The contact solve of worlds of many bodies: Newton's method island by island, each with a line search of its own.

The energy of a world is the sum of its islands' (``island_graph.py``), so each is minimized by itself: what rests stops
at once, and a hard corner of the scene does not shorten the steps of the rest. The stopping rule of ``stopping.py``
holds per island. One thread a world.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays, solver_report
from ..core.model_arrays import ModelArrays
from ..core.precision import UNROLLED, precision
from ..core.solver_report import SolverReport, step_failed
from . import block_cholesky, contacts_simd, dense, island_graph, island_hessian, line_search, stopping
from . import scratch as scratch_arrays
from .dense import AGAIN_NEARER, NEARER
from .scratch import Scratch
from .search_data import SearchRow

__all__ = ["make", "solve_islands"]

_NORMAL_SPEED = wp.constant(int(SearchRow.NORMAL_SPEED))
_NORMAL_CHANGE = wp.constant(int(SearchRow.NORMAL_CHANGE))

WAKING_SPEED = 0.1
"""A contact is left out at first if it would act only after its closing speed had grown by more than this [m/s]."""


STICKIEST = 0.01
"""Most of the damping that holds a sticking contact in Newton's method, over the lighter mass, times the rounding unit.

More, and the factor of a falling pile loses the masses in rounding, in single precision and at a stiction speed of
1e-5 m/s. A tenth of it doubles the iterations there."""

LESS_STICKING = 0.1
"""Where it does so all the same, contacts hold by this part for some iterations."""


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    dyn, contact_law = motion.make(dtype), law.make(dtype, resists, softens)
    small = dense.make(dtype, resists, softens)
    Coefficients = contact_law.Coefficients
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch_arrays.make(dtype, contact_law.Motion).Islands
    Report = solver_report.make(dtype)
    hessian = island_hessian.make(dtype, resists, softens)
    lin, line = block_cholesky.make(dtype), line_search.make(dtype, resists, softens)
    hard = not resists and not softens  # contact of which eight are handled at a time
    eight = contacts_simd.make(dtype)
    Graph, arrange = island_graph.make().Graph, island_graph.make().arrange
    momentum, stop = small.momentum, stopping.make(dtype, resists, softens)
    mass_norm2 = stop.mass_norm2
    stickiest = STICKIEST / p.epsilon

    @wp.func
    def energy_gradient(
        world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, body_q: wp.array2d(dtype=transform),
        control: wp.array2d(dtype=dtype), rows: Rows, h: dtype, v: wp.array2d(dtype=spatial), work: Work,
    ):  # fmt: skip
        """Write the gradient; returns its squared norm, that of the momentum change, and twice the kinetic energy [J].

        Norms are taken in the inverse of the mass matrix's diagonal. Of contacts that are soft or have resistance, also
        marks those that act, and writes their motion.
        """
        size2 = dtype(0.0)
        speed2 = dtype(0.0)
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            vb = v[world, body]
            m = bodies.mass[world, body]
            jm = work.inertia[world, body]
            f = wp.cw_mul(momentum(m, jm, vb - work.target[world, body]), bodies.mask[body])
            work.gradient[world, body] = f
            size2 += mass_norm2(m, jm, f)
            speed2 += m * wp.dot(dyn.linear(vb), dyn.linear(vb)) + wp.dot(dyn.angular(vb), jm * dyn.angular(vb))
        for i in range(actuators.body.shape[0]):
            body = actuators.body[i]
            if g.label[world, body] == island:
                axis = actuators.axis[i]
                f = work.gradient[world, body]
                f[axis] = f[axis] - bodies.mask[body][axis] * dyn.actuator_impulse(
                    actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis),
                    v[world, body][axis], actuators.stiffness[world, i], actuators.damping[world, i], h,
                )  # fmt: skip
                work.gradient[world, body] = f
        stride = work.slip.shape[1]
        at = int(0)
        for k in range(g.island_edge[world, island], g.island_edge[world, island + 1]):
            e = g.edge_order[world, k]
            bi = g.edge_i[world, e]
            bj = g.edge_j[world, e]
            if wp.static(hard):
                end = at + g.edge_end[world, e] - g.edge_start[world, e]
                total = eight.impulses(work.search_data, world, at, end, stride)
                at = end
                if total[9] != dtype(0.0):
                    push = vec3(total[0], total[1], total[2])
                    moment_i = vec3(total[3], total[4], total[5])
                    work.gradient[world, bi] = work.gradient[world, bi] + wp.cw_mul(
                        dyn.join(push, moment_i), bodies.mask[bi]
                    )
                    if bj >= 0:
                        moment_j = vec3(total[6], total[7], total[8])
                        work.gradient[world, bj] = work.gradient[world, bj] - wp.cw_mul(
                            dyn.join(push, moment_j), bodies.mask[bj]
                        )
            else:
                on_i = spatial()
                on_j = spatial()
                touching = int(0)
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    active = int(line.acts(work.search_data, world, at, stride))
                    g.acts[world, c] = active
                    if active == 1:
                        touching = 1
                        n = rows.normal[world, c]
                        work.slip[world, c] = line.motion(work.search_data, world, at, stride, n)
                        push = line.impulse(work.search_data, world, at, stride, n)
                        ri = rows.arm_a[world, c]
                        rj = rows.arm_b[world, c]
                        if rows.body_a[world, c] != bi:
                            push = -push
                            ri = rows.arm_b[world, c]
                            rj = rows.arm_a[world, c]
                        on_i += contact_law.on_body(push, ri, n, rows.twist[world, c])
                        on_j += contact_law.on_body(push, rj, n, rows.twist[world, c])
                    at += 1
                if touching == 1:
                    work.gradient[world, bi] = work.gradient[world, bi] + wp.cw_mul(on_i, bodies.mask[bi])
                    if bj >= 0:
                        work.gradient[world, bj] = work.gradient[world, bj] - wp.cw_mul(on_j, bodies.mask[bj])
        norm2 = dtype(0.0)
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            norm2 += mass_norm2(bodies.mass[world, body], work.inertia[world, body], work.gradient[world, body])
        return norm2, size2, speed2

    @wp.func
    def impulse_noise(
        world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, body_q: wp.array2d(dtype=transform),
        control: wp.array2d(dtype=dtype), rows: Rows, h: dtype, eps: dtype, close: dtype, v: wp.array2d(dtype=spatial),
        work: Work,
    ):  # fmt: skip
        """Squared norm of the terms whose rounding shows in the gradient [J], before the rounding unit."""
        stride = work.slip.shape[1]
        noise2 = dtype(0.0)
        for i in range(actuators.body.shape[0]):
            body = actuators.body[i]
            axis = actuators.axis[i]
            if g.label[world, body] == island and bodies.mask[body][axis] > dtype(0.0):
                term = dyn.actuator_terms(
                    actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis),
                    v[world, body][axis], actuators.stiffness[world, i], actuators.damping[world, i], h,
                )  # fmt: skip
                noise2 += stop.axis_norm2(bodies.mass[world, body], work.inertia[world, body], axis, term)
        at = int(0)  # slip may be that of the other body, which the noise does not depend on
        for k in range(g.island_edge[world, island], g.island_edge[world, island + 1]):
            e = g.edge_order[world, k]
            for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                if line.acts(work.search_data, world, at, stride):
                    noise2 += stop.contact_noise2(
                        world, rows.body_a[world, c], rows.body_b[world, c], rows.normal[world, c],
                        rows.arm_a[world, c], rows.arm_b[world, c],
                        rows.coefficients[world, c],
                        line.motion(work.search_data, world, at, stride, rows.normal[world, c]), eps,
                        close, bodies.mass, work.inertia, v,
                    )  # fmt: skip
                at += 1
        return noise2

    @wp.func
    def start_slope(world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, h: dtype, work: Work):
        """Slope of the energy along ``direction``, and curvature of its part without contacts [J]."""
        slope = dtype(0.0)
        curve = dtype(0.0)
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            d = work.direction[world, body]
            f = momentum(bodies.mass[world, body], work.inertia[world, body], d)
            slope += wp.dot(d, work.gradient[world, body])
            curve += wp.dot(f, d)
        for i in range(actuators.body.shape[0]):
            body = actuators.body[i]
            if g.label[world, body] == island:
                axis = actuators.axis[i]
                along = work.direction[world, body][axis]
                curve += (
                    along
                    * along
                    * dyn.actuator_curvature(
                        actuators.kind[i], actuators.stiffness[world, i], actuators.damping[world, i], h
                    )
                )
        return slope, curve

    @wp.func
    def put_contacts(
        world: int, island: int, g: Graph, row_a: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), twist: wp.array2d(dtype=vec3),
        coefficients: wp.array2d(dtype=Coefficients),
        v: wp.array2d(dtype=spatial), change: int, stride: int, search_data: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Store an island's contacts at the velocities ``v``, or their ``change`` if v is one; returns their number."""
        at = int(0)
        for k in range(g.island_edge[world, island], g.island_edge[world, island + 1]):
            e = g.edge_order[world, k]
            bi = g.edge_i[world, e]
            bj = g.edge_j[world, e]
            vi = v[world, bi]
            vj = spatial()
            if bj >= 0:
                vj = v[world, bj]
            if wp.static(hard):
                end = at + g.edge_end[world, e] - g.edge_start[world, e]
                first = g.edge_start[world, e] - at
                to = int(_NORMAL_SPEED)
                if change == 1:
                    to = int(_NORMAL_CHANGE)
                else:
                    for k_at in range(at, end):
                        c = first + k_at
                        line.put_law(search_data, world, k_at, stride, coefficients[world, c])
                        if row_a[world, c] == bi:
                            eight.put_arms(
                                search_data, world, k_at, stride, normal[world, c], arm_a[world, c], arm_b[world, c],
                                twist[world, c],
                            )  # fmt: skip
                        else:
                            eight.put_arms(
                                search_data, world, k_at, stride, -normal[world, c], arm_b[world, c], arm_a[world, c],
                                -twist[world, c],
                            )  # fmt: skip
                eight.put_relative(search_data, world, at, end, stride, vi, vj, to)
                at = end
            else:
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    va = vi
                    vb = vj
                    if row_a[world, c] != bi:
                        va = vj
                        vb = vi
                    u = contact_law.between(va, vb, arm_a[world, c], arm_b[world, c], normal[world, c], twist[world, c])
                    if change == 1:
                        line.put_change(search_data, world, at, stride, normal[world, c], u)
                    else:
                        line.put(search_data, world, at, stride, normal[world, c], coefficients[world, c], u)
                    at += 1
        return at

    @wp.func
    def assemble(
        world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, sticks: dtype, h: dtype, eps: dtype,
        work: Work,
    ):  # fmt: skip
        """Write the Hessian of an island, of hard contacts where the last step ended.

        A sticking contact holds by at most ``sticks`` times the lighter mass.
        """
        stride = work.slip.shape[1]
        body_count = bodies.mask.shape[0]
        hessian.assemble_bodies(world, island, g, bodies, actuators, h, work)
        at = int(0)
        for k in range(g.island_edge[world, island], g.island_edge[world, island + 1]):
            e = g.edge_order[world, k]
            bi = g.edge_i[world, e]
            bj = g.edge_j[world, e]
            slot = int(0)
            swapped = int(0)
            mass = bodies.mass[world, bi]
            if bj >= 0:
                mass = wp.min(mass, bodies.mass[world, bj])
                slot = g.slot[world, bi * body_count + bj]
                swapped = int(g.rank[world, bi] > g.rank[world, bj])
            end = at + g.edge_end[world, e] - g.edge_start[world, e]
            eight.add_curvature(
                work.search_data, world, at, end, stride, eps, work.diagonal, work.below, bi, bj, slot, swapped,
                mass * sticks,
            )  # fmt: skip
            at = end
        hessian.lock(world, island, g, bodies, work)

    @wp.kernel(enable_backward=False, module="unique", module_options=UNROLLED)
    def solve_islands_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        g: Graph, count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, tolerance: dtype, max_iterations: int,
        first_pass: int, further: int, repeat: wp.array(dtype=int),
        # scratch
        work: Work,
        # out
        body_v1: wp.array2d(dtype=spatial), report: Report,
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        body_count = body_q.shape[1]
        stride = work.slip.shape[1]
        small.set_up(world, bodies, body_q, body_v0, h, work.inertia, work.target)
        if first_pass != 0:
            for body in range(body_count):
                body_v1[world, body] = wp.cw_mul(body_v0[world, body], bodies.mask[body])
        # contacts that are far from acting sleep: they would join islands and fill the factor for nothing
        for c in range(count[world]):
            q = rows.coefficients[world, c]
            u = contact_law.relative_motion(
                body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
            )  # fmt: skip
            g.awake[world, c] = int(contact_law.excess(u, rows.normal[world, c], q, eps) > -q[1] * dtype(WAKING_SPEED))
        bad = int(0)
        worst = dtype(0.0)
        solving = int(1)
        while solving == 1:
            arrange(world, bodies.takes_part, count[world], rows.body_a, rows.body_b, g)
            most = int(0)
            worst = dtype(0.0)
            for island in range(g.islands[world]):
                contacts = put_contacts(
                    world, island, g, rows.body_a, rows.normal, rows.arm_a, rows.arm_b, rows.twist, rows.coefficients,
                    body_v1, 0, stride, work.search_data,
                )  # fmt: skip
                if contacts == 0 and actuators.body.shape[0] == 0:  # a body that flies: the solution is known
                    for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
                        body = g.order[world, k]
                        body_v1[world, body] = wp.cw_mul(work.target[world, body], bodies.mask[body])
                line.advance(work.search_data, world, stride, contacts, dtype(0.0), eps)
                iteration = int(0)
                sticks = dtype(stickiest)
                converged = int(0)
                before = dtype(wp.inf)
                while converged == 0:
                    norm2, size2, speed2 = energy_gradient(
                        world, island, g, bodies, actuators, body_q, control, rows, h, body_v1, work
                    )
                    norm = wp.sqrt(norm2)
                    size = stop.sufficient(tolerance, size2, speed2)
                    if stop.stalls(norm, before, size):
                        noise2 = impulse_noise(
                            world, island, g, bodies, actuators, body_q, control, rows, h, eps,
                            stop.near(norm, size2), body_v1, work,
                        )  # fmt: skip
                        size += stop.impulses_known(noise2)
                    before = norm
                    # further solves start near, as in dense.py
                    if norm <= size and (further < AGAIN_NEARER or iteration > 0 or norm <= dtype(NEARER) * size):
                        converged = 1
                    elif iteration >= max_iterations or not wp.isfinite(norm):
                        converged = -1
                    else:
                        iteration += 1
                        if wp.static(hard):
                            assemble(world, island, g, bodies, actuators, sticks, h, eps, work)
                        else:
                            hessian.assemble(
                                world, island, g, bodies, actuators, rows, g.acts, h,
                                eps * (dtype(stickiest) / sticks), work,
                            )  # fmt: skip
                        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
                            body = g.order[world, k]
                            work.direction[world, body] = -work.gradient[world, body]
                        lin.factor(world, island, g, body_count, work.diagonal, work.below)
                        lin.solve(world, island, g, work.diagonal, work.below, work.direction)
                        slope_0, curve = start_slope(world, island, g, bodies, actuators, h, work)
                        put_contacts(
                            world, island, g, rows.body_a, rows.normal, rows.arm_a, rows.arm_b, rows.twist,
                            rows.coefficients, work.direction, 1, stride, work.search_data,
                        )  # fmt: skip
                        if slope_0 < dtype(0.0):
                            alpha = line.search(work.search_data, world, stride, contacts, eps, slope_0, curve)
                            for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
                                body = g.order[world, k]
                                body_v1[world, body] = body_v1[world, body] + work.direction[world, body] * alpha
                            line.advance(work.search_data, world, stride, contacts, alpha, eps)
                            sticks = wp.min(dtype(2.0) * sticks, dtype(stickiest))
                        else:  # the factor lost the masses in rounding
                            sticks *= dtype(LESS_STICKING)
                    if converged != 0:
                        most = wp.max(most, iteration)
                        relative = tolerance * norm / (size + dtype(1.0e-30))
                        if not (relative <= worst):
                            worst = relative
                        if converged < 0:
                            bad = 1
            report.iterations[world] = report.iterations[world] + most
            solving = int(0)
            for c in range(count[world]):
                if g.awake[world, c] == 0 and bad == 0:
                    u = contact_law.relative_motion(
                        body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                        rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
                    )  # fmt: skip
                    if contact_law.excess(u, rows.normal[world, c], rows.coefficients[world, c], eps) > dtype(0.0):
                        g.awake[world, c] = 1
                        solving = int(1)

        if further == 0:
            report.steps[world] = report.steps[world] + 1
        if bad == 1:
            step_failed(world, report.steps, report.failed, report.first_failure, report.last_failure)
        if not (worst <= report.residual[world]):
            report.residual[world] = worst

    return SimpleNamespace(kernel=solve_islands_kernel)


def solve_islands(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, control: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, body_v1: wp.array, report: SolverReport,
    *, h: float, eps: float, tolerance: float, max_iterations: int, repeat: wp.array | None = None,
    further: int = 0,
) -> None:  # fmt: skip
    """Velocities after the step; the arguments are those of ``dense.solve``."""
    m, r, s = model, contact_rows, scratch
    assert s.graph is not None
    assert s.blocks is not None
    wp.launch(
        make(dtype, *contact_rows.law).kernel,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.actuators, body_q, body_v0, control, s.graph.struct, count, r.struct, h, eps, tolerance,
            max_iterations, int(repeat is None), further, repeat, s.struct,
        ],
        outputs=[body_v1, report.struct],
        device=body_q.device,
    )  # fmt: skip
