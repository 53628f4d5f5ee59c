"""The Hessian of a small world's energy, dense over its free axes. Forward only."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..core import model_arrays
from ..core.precision import precision
from . import scratch

__all__ = ["make"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """``hessian``, and the primal-dual method's ``dual_curvature`` and ``friction_after``, for one contact law."""
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    contact_law, dyn = law.make(dtype, resists, softens), motion.make(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch.make(dtype, Motion).Dense
    hard = not resists and not softens
    Curvature = wp.types.matrix((6, 6), dtype) if resists else mat33

    @wp.func
    def add_block(
        hessian: wp.array2d(dtype=dtype), world: int, dofs: int, dof_index: wp.array(dtype=int),
        body_row: int, axis_row: int, body_column: int, axis_column: int, block: mat33,
    ):  # fmt: skip
        """Add a 3x3 block to the lower triangle."""
        for i in range(3):
            di = dof_index[6 * body_row + axis_row + i]
            if di >= 0:
                for j in range(3):
                    dj = dof_index[6 * body_column + axis_column + j]
                    if dj >= 0 and dj <= di:
                        k = di * dofs + dj
                        hessian[world, k] = hessian[world, k] + block[i, j]

    @wp.func
    def add_contact_blocks(
        hessian: wp.array2d(dtype=dtype), world: int, dofs: int, dof_index: wp.array(dtype=int),
        row: int, column: int, arm_row: vec3, arm_column: vec3, n: vec3, twist: vec3,
        g: Curvature,
    ):  # fmt: skip
        """Add J_row^T G J_column with resistance, J = [1, -[arm]x + twist n^T]; ``g`` carries the sign."""
        m = contact_law.carried(g, arm_row, arm_column, n, twist)
        add_block(hessian, world, dofs, dof_index, row, 0, column, 0, contact_law.block(m, 0, 0))
        if row != column:
            add_block(hessian, world, dofs, dof_index, row, 0, column, 3, contact_law.block(m, 0, 3))
        add_block(hessian, world, dofs, dof_index, row, 3, column, 0, contact_law.block(m, 3, 0))
        add_block(hessian, world, dofs, dof_index, row, 3, column, 3, contact_law.block(m, 3, 3))

    @wp.func
    def add_pair(
        hessian: wp.array2d(dtype=dtype), world: int, dofs: int, dof_index: wp.array(dtype=int), a: int, b: int,
        g: mat33, ag: mat33, bg: mat33, aa: mat33, bb: mat33, ba: mat33,
    ):  # fmt: skip
        """Add what the contacts of a pair without resistance sum up to, with R = [arm]x + n twist^T of a and b.

        ``g`` = G, ``ag`` = Ra G, ``aa`` = Ra G Ra^T, ``bg`` and ``bb`` alike, ``ba`` = Rb G Ra^T.
        """
        if a >= 0:
            add_block(hessian, world, dofs, dof_index, a, 0, a, 0, g)
            add_block(hessian, world, dofs, dof_index, a, 3, a, 0, ag)
            add_block(hessian, world, dofs, dof_index, a, 3, a, 3, aa)
        if b >= 0:
            add_block(hessian, world, dofs, dof_index, b, 0, b, 0, g)
            add_block(hessian, world, dofs, dof_index, b, 3, b, 0, bg)
            add_block(hessian, world, dofs, dof_index, b, 3, b, 3, bb)
        if a >= 0 and b > a:
            add_block(hessian, world, dofs, dof_index, b, 0, a, 0, -g)
            add_block(hessian, world, dofs, dof_index, b, 0, a, 3, -wp.transpose(ag))
            add_block(hessian, world, dofs, dof_index, b, 3, a, 0, -bg)
            add_block(hessian, world, dofs, dof_index, b, 3, a, 3, -ba)
        elif a >= 0 and b >= 0:
            add_block(hessian, world, dofs, dof_index, a, 0, b, 0, -g)
            add_block(hessian, world, dofs, dof_index, a, 0, b, 3, -wp.transpose(bg))
            add_block(hessian, world, dofs, dof_index, a, 3, b, 0, -ag)
            add_block(hessian, world, dofs, dof_index, a, 3, b, 3, -wp.transpose(ba))

    @wp.func
    def dual_curvature(u: Motion, n: vec3, q: Coefficients, w: vec3, eps: dtype):
        """As ``law.curvature`` of hard contact, with friction ``w`` on its way in place of one ut/s."""
        s = contact_law.slip_speed(u, n, eps)
        e = (u - n * wp.dot(n, u)) / s
        g = n - e * q[2]
        across = (wp.outer(e, w) + wp.outer(w, e)) * dtype(0.5)
        rest = wp.identity(n=3, dtype=dtype) - wp.outer(n, n) - across
        return wp.outer(g, g) * q[1] + rest * (contact_law.excess(u, n, q, eps) * q[2] / s)

    @wp.func
    def friction_after(w: vec3, u: Motion, du: Motion, n: vec3, q: Coefficients, eps: dtype):
        """Friction in parts of its limit after the motion of a hard contact changes from ``u`` by ``du``.

        w s = ut to first order, and at most 1.
        """
        result = w
        if contact_law.excess(u, n, q, eps) > dtype(0.0):
            s = contact_law.slip_speed(u, n, eps)
            e = (u - n * wp.dot(n, u)) / s
            d = (du - n * wp.dot(n, du)) / s
            result = e + d - w * wp.dot(e, d)
            result = result / wp.max(wp.length(result), dtype(1.0))
        return result

    @wp.func
    def hessian(
        world: int, bodies: Bodies, actuators: Actuators, contacts: int, rows: Rows, h: dtype, eps: dtype,
        loose: dtype, dual: int, work: Work,
    ):  # fmt: skip
        """Write the lower triangle of the Hessian at the relative velocities ``work.slip`` into ``work.hessian``.

        With ``loose`` above 1, that of a stiction speed as many times as large. With ``dual`` 1, that of the
        primal-dual method of ``line_search.py``, with ``work.friction`` on its way.
        """
        dofs = bodies.dofs
        for k in range(dofs * dofs):
            work.hessian[world, k] = dtype(0.0)
        for body in range(bodies.mass.shape[1]):
            m = bodies.mass[world, body]
            add_block(work.hessian, world, dofs, bodies.dof_index, body, 0, body, 0, wp.identity(n=3, dtype=dtype) * m)
            add_block(work.hessian, world, dofs, bodies.dof_index, body, 3, body, 3, work.inertia[world, body])
        for i in range(actuators.body.shape[0]):
            di = bodies.dof_index[6 * actuators.body[i] + actuators.axis[i]]
            if di >= 0:
                k = di * dofs + di
                work.hessian[world, k] = work.hessian[world, k] + dyn.actuator_curvature(
                    actuators.kind[i], actuators.stiffness[world, i], actuators.damping[world, i], h
                )
        # contacts of a pair follow each other: their sums go into the matrix at once
        last_a = int(-1)
        last_b = int(-1)
        gg = mat33()
        ag = mat33()
        bg = mat33()
        aa = mat33()
        bb = mat33()
        ba = mat33()
        for c in range(contacts):
            n = rows.normal[world, c]
            q = rows.coefficients[world, c]
            u = work.slip[world, c]
            if contact_law.excess(u, n, q, eps) > dtype(0.0):
                if wp.static(resists):
                    q[6] = q[6] * loose
                g = contact_law.curvature(u, n, q, eps * loose)
                if wp.static(hard):
                    if dual == 1:
                        g = dual_curvature(u, n, q, work.friction[world, c], eps * loose)
                a = rows.body_a[world, c]
                b = rows.body_b[world, c]
                ra = rows.arm_a[world, c]
                rb = rows.arm_b[world, c]
                t = rows.twist[world, c]
                if wp.static(resists):
                    if a >= 0:
                        add_contact_blocks(work.hessian, world, dofs, bodies.dof_index, a, a, ra, ra, n, t, g)
                    if b >= 0:
                        add_contact_blocks(work.hessian, world, dofs, bodies.dof_index, b, b, rb, rb, n, t, g)
                    if a >= 0 and b >= 0:
                        if b > a:
                            add_contact_blocks(work.hessian, world, dofs, bodies.dof_index, b, a, rb, ra, n, t, -g)
                        else:
                            add_contact_blocks(work.hessian, world, dofs, bodies.dof_index, a, b, ra, rb, n, t, -g)
                else:
                    if a != last_a or b != last_b:
                        add_pair(work.hessian, world, dofs, bodies.dof_index, last_a, last_b, gg, ag, bg, aa, bb, ba)
                        last_a = a
                        last_b = b
                        gg = mat33()
                        ag = mat33()
                        bg = mat33()
                        aa = mat33()
                        bb = mat33()
                        ba = mat33()
                    beside = wp.outer(n, t)
                    gg += g
                    if b >= 0:
                        on_b = wp.skew(rb) + beside
                        moment_b = on_b * g
                        bg += moment_b
                        bb += moment_b * wp.transpose(on_b)
                        if a >= 0:
                            ba += moment_b * wp.transpose(wp.skew(ra) + beside)
                    if a >= 0:
                        on_a = wp.skew(ra) + beside
                        moment_a = on_a * g
                        ag += moment_a
                        aa += moment_a * wp.transpose(on_a)
        if wp.static(not resists):
            add_pair(work.hessian, world, dofs, bodies.dof_index, last_a, last_b, gg, ag, bg, aa, bb, ba)

    return SimpleNamespace(hessian=hessian, dual_curvature=dual_curvature, friction_after=friction_after)
