"""The contacts of two bodies eight at a time, for hard contact without resistance: velocities, impulses and curvature.

They follow each other in the rows of ``line_search.py``, which have room for eight more behind the last. Normals here
point from the edge's body i to its body j (``island_graph.py``), and relative velocities are those of j: the rest of
the rows does not depend on which of the two bodies is a. On a GPU the same sources are loops of one thread.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core import simd
from ..core.precision import precision
from . import block_products
from .search_data import numbered, row_number

__all__ = ["make"]

_RELATIVE = """
    TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    for (int c = begin; c < end; c += lanes) {
        const TYPE* y = x + c;
        const row n0 = load(y + ROW_NORMAL * n), n1 = load(y + (ROW_NORMAL + 1) * n);
        const row n2 = load(y + (ROW_NORMAL + 2) * n);
        const row i0 = load(y + ROW_ARM_I * n), i1 = load(y + (ROW_ARM_I + 1) * n), i2 = load(y + (ROW_ARM_I + 2) * n);
        const row j0 = load(y + ROW_ARM_J * n), j1 = load(y + (ROW_ARM_J + 1) * n), j2 = load(y + (ROW_ARM_J + 2) * n);
        const row about = n0 * (vj[3] - vi[3]) + n1 * (vj[4] - vi[4]) + n2 * (vj[5] - vi[5]);
        const row t0 = load(y + ROW_TWIST * n), t1 = load(y + (ROW_TWIST + 1) * n), t2 = load(y + (ROW_TWIST + 2) * n);
        const row u0 = (j2 * vj[4] - j1 * vj[5] + vj[0]) - (i2 * vi[4] - i1 * vi[5] + vi[0]) + t0 * about;
        const row u1 = (j0 * vj[5] - j2 * vj[3] + vj[1]) - (i0 * vi[5] - i2 * vi[3] + vi[1]) + t1 * about;
        const row u2 = (j1 * vj[3] - j0 * vj[4] + vj[2]) - (i1 * vi[3] - i0 * vi[4] + vi[2]) + t2 * about;
        const row along = n0 * u0 + n1 * u1 + n2 * u2;
        const row values[4] = {along, u0 - n0 * along, u1 - n1 * along, u2 - n2 * along};
        TYPE* z = x + c + to * n;
        for (int i = 0; i < 4; ++i)
            if (c + lanes <= n)
                put(z + i * n, values[i]);
            else
                for (int l = 0; l < n - c; ++l)
                    z[i * n + l] = lane(values[i], l);
    }
"""

_ACTING = """
    bool touching = false;
    for (int c = begin; c < end; c += lanes) {
        const TYPE* y = x + c;
        const row z = load(y + ROW_LOAD * n);
        const irow acts = (z > (TYPE)0) & (iota + c < end);
        if (!any(acts))
            continue;
        touching = true;
"""
"""Contacts that act, eight at a time: ``z`` are their impulses; the body of the loop follows."""

_IMPULSES = (
    """
    const TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    row on[9] = {};
"""
    + _ACTING
    + """        const row f = load(y + ROW_DRAG * n);
        row p[3], i[3], j[3], turn = {};
        for (int k = 0; k < 3; ++k) {
            const row push = (load(y + (ROW_NORMAL + k) * n) - load(y + (ROW_SLIP + k) * n) * f) * z;
            p[k] = acts ? push : row {};
            i[k] = acts ? load(y + (ROW_ARM_I + k) * n) : row {};
            j[k] = acts ? load(y + (ROW_ARM_J + k) * n) : row {};
            turn += load(y + (ROW_TWIST + k) * n) * push;
        }
        for (int k = 0; k < 3; ++k) {
            const int l = (k + 1) % 3, m = (k + 2) % 3;
            on[k] += p[k];
            on[3 + k] += i[l] * p[m] - i[m] * p[l];
            on[6 + k] += j[l] * p[m] - j[m] * p[l];
            const row about = load(y + (ROW_NORMAL + k) * n) * turn;
            const row acting = acts ? about : row {};
            on[3 + k] += acting;
            on[6 + k] += acting;
        }
    }
    wp::vec_t<10, TYPE> result;
    result[9] = touching;
    if (touching)
        for (int k = 0; k < 9; ++k)
            result[k] = sum(on[k]);
    return result;
"""
)

_CURVATURE = (
    """
    const TYPE* x = &wp::index(search_data, world, 0);
    const long n = stride;
    row c6[6] = {}, c9[9] = {}, s6[6] = {};
"""
    + _ACTING
    + """        const row b = load(y + ROW_B * n), f = load(y + ROW_DRAG * n);
        const row n0 = load(y + ROW_NORMAL * n), n1 = load(y + (ROW_NORMAL + 1) * n);
        const row n2 = load(y + (ROW_NORMAL + 2) * n);
        const row u0 = load(y + ROW_SLIP * n), u1 = load(y + (ROW_SLIP + 1) * n), u2 = load(y + (ROW_SLIP + 2) * n);
        const row limit = row {} + most;
        row stiff = z * f;
        stiff = stiff > limit ? limit : stiff;
        const row along = stiff / root(u0 * u0 + u1 * u1 + u2 * u2 + eps * eps);
        const row w0 = along * load(y + ROW_FRICTION * n), w1 = along * load(y + (ROW_FRICTION + 1) * n);
        const row w2 = along * load(y + (ROW_FRICTION + 2) * n);
        const TYPE half = 0.5;
        const row g0 = n0 - u0 * f, g1 = n1 - u1 * f, g2 = n2 - u2 * f;
        row m[3][3];
        m[0][0] = b * g0 * g0 + stiff - stiff * n0 * n0 - u0 * w0;
        m[0][1] = b * g0 * g1 - stiff * n0 * n1 - half * (u0 * w1 + u1 * w0);
        m[0][2] = b * g0 * g2 - stiff * n0 * n2 - half * (u0 * w2 + u2 * w0);
        m[1][1] = b * g1 * g1 + stiff - stiff * n1 * n1 - u1 * w1;
        m[1][2] = b * g1 * g2 - stiff * n1 * n2 - half * (u1 * w2 + u2 * w1);
        m[2][2] = b * g2 * g2 + stiff - stiff * n2 * n2 - u2 * w2;
        for (int i = 0; i < 3; ++i)
            for (int j = i; j < 3; ++j) {
                m[i][j] = acts ? m[i][j] : row {};
                m[j][i] = m[i][j];
            }
        row r[3], t[3], normal[3] = {n0, n1, n2};
        for (int k = 0; k < 3; ++k) {
            r[k] = acts ? load(y + (ROW_ARM_I + k) * n) : row {};
            t[k] = acts ? load(y + (ROW_TWIST + k) * n) : row {};
            normal[k] = acts ? normal[k] : row {};
        }
        // G Bi with Bi = [ri]x - t n^T; below, -Bi^T G Bi
        row gi[3][3];
        for (int i = 0; i < 3; ++i) {
            const row across = m[i][0] * t[0] + m[i][1] * t[1] + m[i][2] * t[2];
            for (int j = 0; j < 3; ++j) {
                const int k = (j + 1) % 3, l = (j + 2) % 3;
                gi[i][j] = m[i][k] * r[l] - m[i][l] * r[k] - across * normal[j];
                c9[3 * i + j] += gi[i][j];
            }
        }
        row about[3];
        for (int j = 0; j < 3; ++j)
            about[j] = t[0] * gi[0][j] + t[1] * gi[1][j] + t[2] * gi[2][j];
        c6[0] += m[0][0];
        c6[1] += m[0][1];
        c6[2] += m[0][2];
        c6[3] += m[1][1];
        c6[4] += m[1][2];
        c6[5] += m[2][2];
        s6[0] += gi[2][0] * r[1] - gi[1][0] * r[2] + normal[0] * about[0];
        s6[1] += gi[2][1] * r[1] - gi[1][1] * r[2] + normal[0] * about[1];
        s6[2] += gi[2][2] * r[1] - gi[1][2] * r[2] + normal[0] * about[2];
        s6[3] += gi[0][1] * r[2] - gi[2][1] * r[0] + normal[1] * about[1];
        s6[4] += gi[0][2] * r[2] - gi[2][2] * r[0] + normal[1] * about[2];
        s6[5] += gi[1][2] * r[0] - gi[0][2] * r[1] + normal[2] * about[2];
    }
    if (!touching)
        return;
    TYPE g[3][3], gi[3][3], ii[3][3], gj[3][3], ij[3][3], jj[3][3];
    for (int i = 0, k = 0; i < 3; ++i)
        for (int j = i; j < 3; ++j, ++k) {
            g[i][j] = g[j][i] = sum(c6[k]);
            ii[i][j] = ii[j][i] = sum(s6[k]);
        }
    for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j)
            gi[i][j] = sum(c9[3 * i + j]);
    }
    TYPE d[3];
    for (int i = 0; i < 3; ++i)
        d[i] = x[(ROW_ARM_I + i) * n + begin] - x[(ROW_ARM_J + i) * n + begin];
    // a block's columns are stored as rows
    typedef TYPE three[3];
    typedef TYPE eight[8];
    auto add = [&](eight* t, int sign, const three* a, const three* b, const three* c, const three* e, bool turn) {
        // (a, -b; -c^T, -e) times the sign, e transposed if it is to be turned
        const TYPE s = sign;
        for (int i = 0; i < 3; ++i) {
            const TYPE upper[8] = {
                s * a[i][0], s * a[i][1], s * a[i][2], -s * b[i][0], -s * b[i][1], -s * b[i][2], 0, 0
            };
            const TYPE lower[8] = {
                -s * c[0][i], -s * c[1][i], -s * c[2][i], -s * (turn ? e[0][i] : e[i][0]),
                -s * (turn ? e[1][i] : e[i][1]), -s * (turn ? e[2][i] : e[i][2]), 0, 0
            };
            for (int k = 0; k < 8; ++k) {
                t[i][k] += upper[k];
                t[i + 3][k] += lower[k];
            }
        }
    };
    add((eight*)wp::index(diagonal, world, bi).data, 1, g, gi, gi, ii, false);
    if (bj >= 0) {
        // the same for j, whose arms differ from those of i by the vector between the two bodies
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
                const int k = (j + 1) % 3, l = (j + 2) % 3;
                gj[i][j] = gi[i][j] - (g[i][k] * d[l] - g[i][l] * d[k]);
                ij[i][j] = ii[i][j] + (gi[k][i] * d[l] - gi[l][i] * d[k]);
            }
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
                const int k = (i + 1) % 3, l = (i + 2) % 3;
                jj[i][j] = ij[i][j] - (gj[l][j] * d[k] - gj[k][j] * d[l]);
            }
        add((eight*)wp::index(diagonal, world, bj).data, 1, g, gj, gj, jj, false);
        eight* t = (eight*)wp::index(below, world, slot).data;
        if (swapped)
            add(t, -1, g, gi, gj, ij, true);
        else
            add(t, -1, g, gj, gi, ij, false);
    }
"""
)


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``put_arms``, ``put_relative``, ``impulses`` and ``add_curvature`` for one precision; forward only."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    vec10 = wp.types.vector(10, dtype)
    block = block_products.make(dtype).block
    array = wp.array2d(dtype=dtype)
    normal_row, arm_i_row, arm_j_row, twist_row = (row_number(name) for name in ("NORMAL", "ARM_I", "ARM_J", "TWIST"))

    def native(code: str) -> str:
        return simd.native(dtype, numbered(code))

    @wp.func
    def put_arms(
        search_data: array, world: int, c: int, stride: int, normal: vec3, arm_i: vec3, arm_j: vec3, twist: vec3
    ):
        """Store the normal of contact ``c`` from i to j, its arms [m] and the twist of that normal [m]."""
        for k in range(3):
            search_data[world, (normal_row + k) * stride + c] = normal[k]
            search_data[world, (arm_i_row + k) * stride + c] = arm_i[k]
            search_data[world, (arm_j_row + k) * stride + c] = arm_j[k]
            search_data[world, (twist_row + k) * stride + c] = twist[k]

    @wp.func_native(native(_RELATIVE))
    def put_relative(
        search_data: array, world: int, begin: int, end: int, stride: int, vi: spatial, vj: spatial, to: int
    ):
        """Store the relative velocities of contacts in the rows from ``to`` on: normal part, then the rest."""
        ...

    @wp.func_native(native(_IMPULSES))
    def impulses(search_data: array, world: int, begin: int, end: int, stride: int) -> vec10:
        """Sum of the impulses on j, of their moments about i and about j, and whether any contact acts."""
        ...

    @wp.func_native(native(_CURVATURE))
    def add_curvature(
        search_data: array, world: int, begin: int, end: int, stride: int, eps: dtype,
        diagonal: wp.array2d(dtype=block),
        below: wp.array2d(dtype=block), bi: int, bj: int, slot: int, swapped: int, most: dtype,
    ):  # fmt: skip
        """Add the second derivative of the contacts' energy to the blocks of the bodies (j may be -1).

        Friction on its way is in place of ut/s, see ``line_search.py``, and what sticks holds by ``most`` [kg] at most.
        ``swapped`` is 1 if i comes after j in the order of elimination.
        """
        ...

    return SimpleNamespace(put_arms=put_arms, put_relative=put_relative, impulses=impulses, add_curvature=add_curvature)
