"""The Hessian of an island's energy, in blocks of a body each.

The blocks are 6x6, one for each body and each pair of bodies that touch or that elimination joins
(``island_graph.py``). Rows and columns of locked axes are those of the identity. Forward only.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..core import model_arrays
from ..core.precision import precision
from . import block_products, island_graph, scratch

__all__ = ["make"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """``assemble`` and its parts for one precision and contact law."""
    p = precision(dtype)
    vec3, mat33, spatial = p.vec3, p.mat33, p.spatial
    mat66 = wp.types.matrix((6, 6), dtype)
    contact_law, dyn = law.make(dtype, resists, softens), motion.make(dtype)
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch.make(dtype, contact_law.Motion).Islands
    mat68 = block_products.make(dtype).block
    Graph = island_graph.make().Graph

    @wp.func
    def join(upper_left: mat33, upper_right: mat33, lower_left: mat33, lower_right: mat33):
        m = mat68()
        for i in range(3):
            for j in range(3):
                m[i, j] = upper_left[i, j]
                m[i, j + 3] = upper_right[i, j]
                m[i + 3, j] = lower_left[i, j]
                m[i + 3, j + 3] = lower_right[i, j]
        return m

    @wp.func
    def padded(m: mat66):
        result = mat68()
        for i in range(6):
            for j in range(6):
                result[i, j] = m[i, j]
        return result

    @wp.func
    def crossed(m: mat33, x: vec3):
        """m [x]x: each row's cross product with x."""
        return wp.matrix_from_rows(wp.cross(m[0], x), wp.cross(m[1], x), wp.cross(m[2], x))

    @wp.func
    def crossing(x: vec3, m: mat33):
        """[x]x m."""
        return wp.matrix_from_rows(m[2] * x[1] - m[1] * x[2], m[0] * x[2] - m[2] * x[0], m[1] * x[0] - m[0] * x[1])

    @wp.func
    def masked(m: mat68, row_mask: spatial, column_mask: spatial):
        for i in range(6):
            for j in range(6):
                m[i, j] = m[i, j] * row_mask[i] * column_mask[j]
        return m

    @wp.func
    def assemble_bodies(world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, h: dtype, work: Work):
        """Write the Hessian of an island without contacts."""
        zero = mat33()
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            unit = wp.identity(n=3, dtype=dtype)
            work.diagonal[world, body] = join(unit * bodies.mass[world, body], zero, zero, work.inertia[world, body])
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                work.below[world, s] = mat68()
        for i in range(actuators.body.shape[0]):
            body = actuators.body[i]
            if g.label[world, body] == island:
                axis = actuators.axis[i]
                m = work.diagonal[world, body]
                m[axis, axis] = m[axis, axis] + dyn.actuator_curvature(
                    actuators.kind[i], actuators.stiffness[world, i], actuators.damping[world, i], h
                )
                work.diagonal[world, body] = m

    @wp.func
    def lock(world: int, island: int, g: Graph, bodies: Bodies, work: Work):
        """Make the rows and columns of locked axes those of the identity."""
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            mask = bodies.mask[body]
            if wp.min(mask) == dtype(0.0):
                m = masked(work.diagonal[world, body], mask, mask)
                for i in range(6):
                    m[i, i] = m[i, i] + (dtype(1.0) - mask[i])
                work.diagonal[world, body] = m
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = bodies.mask[g.below[world, s]]
                if wp.min(mask) == dtype(0.0) or wp.min(other) == dtype(0.0):
                    work.below[world, s] = masked(work.below[world, s], mask, other)

    @wp.func
    def assemble(
        world: int, island: int, g: Graph, bodies: Bodies, actuators: Actuators, rows: Rows,
        active: wp.array2d(dtype=int), h: dtype, eps: dtype, work: Work,
    ):  # fmt: skip
        """Write the Hessian of an island at the relative velocities ``work.slip`` of the ``active`` contacts."""
        body_count = bodies.mask.shape[0]
        assemble_bodies(world, island, g, bodies, actuators, h, work)
        for k in range(g.island_edge[world, island], g.island_edge[world, island + 1]):
            e = g.edge_order[world, k]
            bi = g.edge_i[world, e]
            bj = g.edge_j[world, e]
            if wp.static(resists):
                # sums over the contacts of J^T G J
                sum6_ii = mat66()
                sum6_jj = mat66()
                sum6_ij = mat66()
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    if active[world, c] == 1:
                        c6 = contact_law.curvature(
                            work.slip[world, c], rows.normal[world, c], rows.coefficients[world, c], eps
                        )
                        n = rows.normal[world, c]
                        t = rows.twist[world, c]
                        ri = rows.arm_a[world, c]
                        rj = rows.arm_b[world, c]
                        if rows.body_a[world, c] != bi:
                            ri = rows.arm_b[world, c]
                            rj = rows.arm_a[world, c]
                        sum6_ii += contact_law.carried(c6, ri, ri, n, t)
                        if bj >= 0:
                            sum6_jj += contact_law.carried(c6, rj, rj, n, t)
                            sum6_ij += contact_law.carried(c6, ri, rj, n, t)
                work.diagonal[world, bi] = work.diagonal[world, bi] + padded(sum6_ii)
                if bj >= 0:
                    work.diagonal[world, bj] = work.diagonal[world, bj] + padded(sum6_jj)
                    s = g.slot[world, bi * body_count + bj]
                    if g.rank[world, bi] > g.rank[world, bj]:
                        work.below[world, s] = work.below[world, s] - padded(wp.transpose(sum6_ij))
                    else:
                        work.below[world, s] = work.below[world, s] - padded(sum6_ij)
            else:
                # sums over the contacts of G, G Bi and -Bi^T G Bi, with Bi = [ri]x - twist n^T
                sum_g = mat33()
                sum_gi = mat33()
                sum_ii = mat33()
                between = vec3()
                touching = int(0)
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    if active[world, c] == 1:
                        touching = 1
                        c3 = contact_law.curvature(
                            work.slip[world, c], rows.normal[world, c], rows.coefficients[world, c], eps
                        )
                        ri = rows.arm_a[world, c]
                        rj = rows.arm_b[world, c]
                        if rows.body_a[world, c] != bi:
                            ri = rows.arm_b[world, c]
                            rj = rows.arm_a[world, c]
                        between = ri - rj
                        t = rows.twist[world, c]
                        n = rows.normal[world, c]
                        gi = crossed(c3, ri) - wp.outer(c3 * t, n)
                        sum_g += c3
                        sum_gi += gi
                        sum_ii += crossing(ri, gi) + wp.outer(n, wp.transpose(gi) * t)
                if touching == 1:
                    back = wp.transpose(sum_gi)
                    work.diagonal[world, bi] = work.diagonal[world, bi] + join(sum_g, -sum_gi, -back, -sum_ii)
                    if bj >= 0:
                        # the same for j, whose arms differ from those of i by the vector between the two bodies
                        sum_gj = sum_gi - crossed(sum_g, between)
                        sum_ij = sum_ii + crossed(back, between)
                        sum_jj = sum_ij - crossing(between, sum_gj)
                        back_j = wp.transpose(sum_gj)
                        work.diagonal[world, bj] = work.diagonal[world, bj] + join(sum_g, -sum_gj, -back_j, -sum_jj)
                        s = g.slot[world, bi * body_count + bj]
                        if g.rank[world, bi] > g.rank[world, bj]:
                            work.below[world, s] = work.below[world, s] + join(
                                -sum_g, sum_gi, back_j, wp.transpose(sum_ij)
                            )
                        else:
                            work.below[world, s] = work.below[world, s] + join(-sum_g, sum_gj, back, sum_ij)
        lock(world, island, g, bodies, work)

    return SimpleNamespace(assemble=assemble, assemble_bodies=assemble_bodies, lock=lock)
