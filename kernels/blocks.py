"""Linear algebra of one island in blocks of a body each: the Hessian, its Cholesky factor, solves.

The Hessian's blocks are 6x6, one for each body and each pair of bodies that touch or that elimination joins
(``graph.py``). Rows and columns of locked axes are those of the identity. Everything here is forward only.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from . import dynamics, graph, law
from .precision import precision

__all__ = ["BlockArrays", "make"]


@dataclass
class BlockArrays:
    """The Hessian of W worlds, then its factor."""

    diagonal: wp.array  # mat66 [W, B]; then the inverse of the factor's diagonal block, lower triangular
    below: wp.array  # mat66 [W, N]

    @classmethod
    def allocate(cls, worlds: int, bodies: int, dtype: Any, device: Any) -> "BlockArrays":
        """Room for every pair of bodies."""
        mat66 = wp.types.matrix((6, 6), dtype)
        blocks = max(1, bodies * (bodies - 1) // 2)
        return cls(
            wp.zeros((worlds, bodies), dtype=mat66, device=device),
            wp.zeros((worlds, blocks), dtype=mat66, device=device),
        )


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """``assemble``, ``factor`` and ``solve`` for one precision and law (``law.py``)."""
    p = precision(dtype)
    vec3, mat33, spatial = p.vec3, p.mat33, p.spatial
    mat66 = wp.types.matrix((6, 6), dtype)
    contact_law, dyn = law.make(dtype, resists), dynamics.make(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    join = dyn.join_blocks
    Graph = graph.make().Graph

    @wp.func
    def masked(m: mat66, row_mask: spatial, column_mask: spatial):
        for i in range(6):
            for j in range(6):
                m[i, j] = m[i, j] * row_mask[i] * column_mask[j]
        return m

    @wp.func
    def assemble(
        world: int, island: int, g: Graph, body_mask: wp.array(dtype=spatial), body_mass: wp.array2d(dtype=dtype),
        inertia: wp.array2d(dtype=mat33), actuator_body: wp.array(dtype=int), actuator_axis: wp.array(dtype=int),
        actuator_kind: wp.array(dtype=int), actuator_stiffness: wp.array2d(dtype=dtype),
        actuator_damping: wp.array2d(dtype=dtype), row_a: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients),
        slip: wp.array2d(dtype=Motion), h: dtype, eps: dtype,
        diagonal: wp.array2d(dtype=mat66), below: wp.array2d(dtype=mat66),
    ):  # fmt: skip
        """Write the Hessian of an island at the relative velocities ``slip``."""
        zero = mat33()
        bodies = body_mask.shape[0]
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            unit = wp.identity(n=3, dtype=dtype)
            diagonal[world, body] = join(unit * body_mass[world, body], zero, zero, inertia[world, body])
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                below[world, s] = mat66()
        for i in range(actuator_body.shape[0]):
            body = actuator_body[i]
            if g.label[world, body] == island:
                axis = actuator_axis[i]
                m = diagonal[world, body]
                m[axis, axis] = m[axis, axis] + dyn.actuator_curvature(
                    actuator_kind[i], actuator_stiffness[world, i], actuator_damping[world, i], h
                )
                diagonal[world, body] = m
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
                    n = normal[world, c]
                    q = coefficients[world, c]
                    u = slip[world, c]
                    if contact_law.excess(u, n, q, eps) > dtype(0.0):
                        c6 = contact_law.curvature(u, n, q, eps)
                        ri = arm_a[world, c]
                        rj = arm_b[world, c]
                        if row_a[world, c] != bi:
                            ri = arm_b[world, c]
                            rj = arm_a[world, c]
                        sum6_ii += contact_law.carried(c6, ri, ri)
                        if bj >= 0:
                            sum6_jj += contact_law.carried(c6, rj, rj)
                            sum6_ij += contact_law.carried(c6, ri, rj)
                diagonal[world, bi] = diagonal[world, bi] + sum6_ii
                if bj >= 0:
                    diagonal[world, bj] = diagonal[world, bj] + sum6_jj
                    s = g.slot[world, bi * bodies + bj]
                    if g.rank[world, bi] > g.rank[world, bj]:
                        below[world, s] = below[world, s] - sum6_ij
                    else:
                        below[world, s] = below[world, s] - wp.transpose(sum6_ij)
            else:
                # sums over the contacts of G, G [ri]x, G [rj]x, [ri]x G [ri]x, [rj]x G [rj]x and [ri]x G [rj]x
                sum_g = mat33()
                sum_gi = mat33()
                sum_gj = mat33()
                sum_ii = mat33()
                sum_jj = mat33()
                sum_ij = mat33()
                touching = int(0)
                for c in range(g.edge_start[world, e], g.edge_end[world, e]):
                    n = normal[world, c]
                    q = coefficients[world, c]
                    u = slip[world, c]
                    if contact_law.excess(u, n, q, eps) > dtype(0.0):
                        touching = 1
                        c3 = contact_law.curvature(u, n, q, eps)
                        ri = arm_a[world, c]
                        rj = arm_b[world, c]
                        if row_a[world, c] != bi:
                            ri = arm_b[world, c]
                            rj = arm_a[world, c]
                        xi = wp.skew(ri)
                        gi = c3 * xi
                        sum_g += c3
                        sum_gi += gi
                        sum_ii += xi * gi
                        if bj >= 0:
                            xj = wp.skew(rj)
                            gj = c3 * xj
                            sum_gj += gj
                            sum_jj += xj * gj
                            sum_ij += xi * gj
                if touching == 1:
                    diagonal[world, bi] = diagonal[world, bi] + join(sum_g, -sum_gi, -wp.transpose(sum_gi), -sum_ii)
                    if bj >= 0:
                        diagonal[world, bj] = diagonal[world, bj] + join(sum_g, -sum_gj, -wp.transpose(sum_gj), -sum_jj)
                        s = g.slot[world, bi * bodies + bj]
                        if g.rank[world, bi] > g.rank[world, bj]:
                            below[world, s] = below[world, s] + join(-sum_g, sum_gj, wp.transpose(sum_gi), sum_ij)
                        else:
                            below[world, s] = below[world, s] + join(
                                -sum_g, sum_gi, wp.transpose(sum_gj), wp.transpose(sum_ij)
                            )
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
                    below[world, s] = masked(below[world, s], other, mask)

    @wp.func
    def inverse_factor(m: mat66):
        """Inverse of the lower Cholesky factor."""
        for j in range(6):
            d = m[j, j]
            for k in range(j):
                d = d - m[j, k] * m[j, k]
            inverse = dtype(1.0) / wp.sqrt(d)
            for i in range(j + 1, 6):
                s = m[i, j]
                for k in range(j):
                    s = s - m[i, k] * m[j, k]
                m[i, j] = s * inverse
            m[j, j] = inverse
        z = mat66()
        for j in range(6):
            z[j, j] = m[j, j]
            for i in range(j + 1, 6):
                s = dtype(0.0)
                for k in range(j, i):
                    s = s + m[i, k] * z[k, j]
                z[i, j] = -s * m[i, i]
        return z

    @wp.func
    def factor(
        world: int, island: int, g: Graph, bodies: int, diagonal: wp.array2d(dtype=mat66),
        below: wp.array2d(dtype=mat66),
    ):  # fmt: skip
        """Factor the Hessian of an island in place, each column updating those that it reaches."""
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            z = inverse_factor(diagonal[world, body])
            diagonal[world, body] = z
            zt = wp.transpose(z)
            start = g.column[world, body]
            end = start + g.height[world, body]
            for s in range(start, end):
                below[world, s] = below[world, s] * zt
            for s in range(start, end):
                early = g.below[world, s]
                lt = wp.transpose(below[world, s])
                diagonal[world, early] = diagonal[world, early] - below[world, s] * lt
                for r in range(s + 1, end):
                    t = g.slot[world, early * bodies + g.below[world, r]]
                    below[world, t] = below[world, t] - below[world, r] * lt

    @wp.func
    def solve(
        world: int, island: int, g: Graph, diagonal: wp.array2d(dtype=mat66), below: wp.array2d(dtype=mat66),
        x: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Solve with the factor; ``x``: right-hand side, zero on locked axes, then the solution."""
        first = g.island_body[world, island]
        last = g.island_body[world, island + 1] - 1
        for k in range(first, last + 1):
            body = g.order[world, k]
            y = diagonal[world, body] * x[world, body]
            x[world, body] = y
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = g.below[world, s]
                x[world, other] = x[world, other] - below[world, s] * y
        for k in range(last + 1 - first):
            body = g.order[world, last - k]
            y = x[world, body]
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                y -= wp.transpose(below[world, s]) * x[world, g.below[world, s]]
            x[world, body] = wp.transpose(diagonal[world, body]) * y

    return SimpleNamespace(mat66=mat66, assemble=assemble, factor=factor, solve=solve)
