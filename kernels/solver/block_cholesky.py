"""Linear algebra of one island in blocks of a body each: the Hessian, its Cholesky factor, solves.

The Hessian's blocks are 6x6, one for each body and each pair of bodies that touch or that elimination joins
(``island_graph.py``). Rows and columns of locked axes are those of the identity. Everything here is forward only.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law
from ..core.precision import precision
from . import block_products, island_graph

__all__ = ["BlockArrays", "make"]


@dataclass
class BlockArrays:
    """The Hessian of W worlds, then its factor."""

    diagonal: wp.array  # block [W, B]; then the inverse of the factor's diagonal block, lower triangular
    below: wp.array  # block [W, N]; their columns are stored as rows

    @classmethod
    def allocate(cls, worlds: int, bodies: int, dtype: Any, device: Any) -> "BlockArrays":
        """Room for every pair of bodies."""
        block = block_products.make(dtype).block
        blocks = max(1, bodies * (bodies - 1) // 2)
        return cls(
            wp.zeros((worlds, bodies), dtype=block, device=device),
            wp.zeros((worlds, blocks), dtype=block, device=device),
        )


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False, own_arms: bool = False) -> SimpleNamespace:
    """``assemble``, ``factor`` and ``solve`` for one precision and contact law; ``own_arms`` as in ``ContactRows``."""
    p = precision(dtype)
    vec3, mat33, spatial = p.vec3, p.mat33, p.spatial
    mat66 = wp.types.matrix((6, 6), dtype)
    contact_law, dyn = law.make(dtype, resists, softens), motion.make(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    products = block_products.make(dtype)
    mat68 = products.block
    factor_block, scale_block, subtract_product = (
        products.factor_block, products.scale_block, products.subtract_product,
    )  # fmt: skip
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
    def assemble_bodies(
        world: int, island: int, g: Graph, body_mass: wp.array2d(dtype=dtype), inertia: wp.array2d(dtype=mat33),
        actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int), actuator_kind: wp.array(dtype=int),
        actuator_stiffness: wp.array2d(dtype=dtype), actuator_damping: wp.array2d(dtype=dtype), h: dtype,
        diagonal: wp.array2d(dtype=mat68), below: wp.array2d(dtype=mat68),
    ):  # fmt: skip
        """Write the Hessian of an island without contacts."""
        zero = mat33()
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            unit = wp.identity(n=3, dtype=dtype)
            diagonal[world, body] = join(unit * body_mass[world, body], zero, zero, inertia[world, body])
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                below[world, s] = mat68()
        for i in range(actuator_body.shape[0]):
            body = actuator_body[i]
            if g.label[world, body] == island:
                axis = actuator_axis[i]
                m = diagonal[world, body]
                m[axis, axis] = m[axis, axis] + dyn.actuator_curvature(
                    actuator_kind[i], actuator_stiffness[world, i], actuator_damping[world, i], h
                )
                diagonal[world, body] = m

    @wp.func
    def lock(
        world: int, island: int, g: Graph, body_mask: wp.array(dtype=spatial), diagonal: wp.array2d(dtype=mat68),
        below: wp.array2d(dtype=mat68),
    ):  # fmt: skip
        """Make the rows and columns of locked axes those of the identity."""
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            mask = body_mask[body]
            if wp.min(mask) == dtype(0.0):
                m = masked(diagonal[world, body], mask, mask)
                for i in range(6):
                    m[i, i] = m[i, i] + (dtype(1.0) - mask[i])
                diagonal[world, body] = m
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = body_mask[g.below[world, s]]
                if wp.min(mask) == dtype(0.0) or wp.min(other) == dtype(0.0):
                    below[world, s] = masked(below[world, s], mask, other)

    @wp.func
    def assemble(
        world: int, island: int, g: Graph, body_mask: wp.array(dtype=spatial), body_mass: wp.array2d(dtype=dtype),
        inertia: wp.array2d(dtype=mat33), actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int),
        actuator_kind: wp.array(dtype=int), actuator_stiffness: wp.array2d(dtype=dtype),
        actuator_damping: wp.array2d(dtype=dtype), row_a: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), twist: wp.array2d(dtype=vec3),
        coefficients: wp.array2d(dtype=Coefficients),
        slip: wp.array2d(dtype=Motion), active: wp.array2d(dtype=int), h: dtype, eps: dtype,
        diagonal: wp.array2d(dtype=mat68), below: wp.array2d(dtype=mat68),
    ):  # fmt: skip
        """Write the Hessian of an island at the relative velocities ``slip`` of the ``active`` contacts."""
        bodies = body_mask.shape[0]
        assemble_bodies(
            world, island, g, body_mass, inertia, actuator_body, actuator_axis, actuator_kind, actuator_stiffness,
            actuator_damping, h, diagonal, below,
        )  # fmt: skip
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
                        c6 = contact_law.curvature(slip[world, c], normal[world, c], coefficients[world, c], eps)
                        n = normal[world, c]
                        t = twist[world, c]
                        ri = arm_a[world, c]
                        rj = arm_b[world, c]
                        if row_a[world, c] != bi:
                            ri = arm_b[world, c]
                            rj = arm_a[world, c]
                        sum6_ii += contact_law.carried(c6, ri, ri, n, t)
                        if bj >= 0:
                            sum6_jj += contact_law.carried(c6, rj, rj, n, t)
                            sum6_ij += contact_law.carried(c6, ri, rj, n, t)
                diagonal[world, bi] = diagonal[world, bi] + padded(sum6_ii)
                if bj >= 0:
                    diagonal[world, bj] = diagonal[world, bj] + padded(sum6_jj)
                    s = g.slot[world, bi * bodies + bj]
                    if g.rank[world, bi] > g.rank[world, bj]:
                        below[world, s] = below[world, s] - padded(wp.transpose(sum6_ij))
                    else:
                        below[world, s] = below[world, s] - padded(sum6_ij)
            else:
                # sums over the contacts of G, G Bi and -Bi^T G Bi, with Bi = [ri]x - twist n^T
                sum_g = mat33()
                sum_gi = mat33()
                sum_ii = mat33()
                sum_gj = mat33()
                sum_ij = mat33()
                sum_jj = mat33()
                between = vec3()
                touching = int(0)
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    if active[world, c] == 1:
                        touching = 1
                        c3 = contact_law.curvature(slip[world, c], normal[world, c], coefficients[world, c], eps)
                        ri = arm_a[world, c]
                        rj = arm_b[world, c]
                        if row_a[world, c] != bi:
                            ri = arm_b[world, c]
                            rj = arm_a[world, c]
                        between = ri - rj
                        t = twist[world, c]
                        n = normal[world, c]
                        gi = crossed(c3, ri) - wp.outer(c3 * t, n)
                        sum_g += c3
                        sum_gi += gi
                        sum_ii += crossing(ri, gi) + wp.outer(n, wp.transpose(gi) * t)
                        if wp.static(own_arms):
                            if bj >= 0:
                                gj = crossed(c3, rj) - wp.outer(c3 * t, n)
                                turning = wp.outer(n, wp.transpose(gj) * t)
                                sum_gj += gj
                                sum_ij += crossing(ri, gj) + turning
                                sum_jj += crossing(rj, gj) + turning
                if touching == 1:
                    back = wp.transpose(sum_gi)
                    diagonal[world, bi] = diagonal[world, bi] + join(sum_g, -sum_gi, -back, -sum_ii)
                    if bj >= 0:
                        if wp.static(not own_arms):
                            # the same for j, whose arms differ from those of i by the vector between the two bodies
                            sum_gj = sum_gi - crossed(sum_g, between)
                            sum_ij = sum_ii + crossed(back, between)
                            sum_jj = sum_ij - crossing(between, sum_gj)
                        back_j = wp.transpose(sum_gj)
                        diagonal[world, bj] = diagonal[world, bj] + join(sum_g, -sum_gj, -back_j, -sum_jj)
                        s = g.slot[world, bi * bodies + bj]
                        if g.rank[world, bi] > g.rank[world, bj]:
                            below[world, s] = below[world, s] + join(-sum_g, sum_gi, back_j, wp.transpose(sum_ij))
                        else:
                            below[world, s] = below[world, s] + join(-sum_g, sum_gj, back, sum_ij)
        lock(world, island, g, body_mask, diagonal, below)

    @wp.func
    def factor(
        world: int, island: int, g: Graph, bodies: int, diagonal: wp.array2d(dtype=mat68),
        below: wp.array2d(dtype=mat68),
    ):  # fmt: skip
        """Factor the Hessian of an island in place, each column updating those that it reaches."""
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            factor_block(diagonal, world, body)
            start = g.column[world, body]
            end = start + g.height[world, body]
            for s in range(start, end):
                scale_block(below, diagonal, world, s, body)
            for s in range(start, end):
                early = g.below[world, s]
                subtract_product(diagonal, below, world, early, s, s)
                for r in range(s + 1, end):
                    t = g.slot[world, early * bodies + g.below[world, r]]
                    subtract_product(below, below, world, t, r, s)

    @wp.func
    def times(m: mat68, x: spatial):
        """The sum of the stored rows, weighted by x."""
        y = spatial()
        for j in range(6):
            for i in range(6):
                y[i] = y[i] + m[j, i] * x[j]
        return y

    @wp.func
    def along(m: mat68, x: spatial):
        """The stored rows' dot products with x."""
        y = spatial()
        for j in range(6):
            for i in range(6):
                y[j] = y[j] + m[j, i] * x[i]
        return y

    @wp.func
    def solve(
        world: int, island: int, g: Graph, diagonal: wp.array2d(dtype=mat68), below: wp.array2d(dtype=mat68),
        x: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Solve with the factor; ``x``: right-hand side, zero on locked axes, then the solution."""
        first = g.island_body[world, island]
        last = g.island_body[world, island + 1] - 1
        for k in range(first, last + 1):
            body = g.order[world, k]
            y = along(diagonal[world, body], x[world, body])
            x[world, body] = y
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = g.below[world, s]
                x[world, other] = x[world, other] - times(below[world, s], y)
        for k in range(last + 1 - first):
            body = g.order[world, last - k]
            y = x[world, body]
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                y -= along(below[world, s], x[world, g.below[world, s]])
            x[world, body] = times(diagonal[world, body], y)

    return SimpleNamespace(
        block=mat68, assemble=assemble, assemble_bodies=assemble_bodies, lock=lock, factor=factor, solve=solve
    )
