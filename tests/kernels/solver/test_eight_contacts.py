"""The contacts of two bodies eight at a time (``contacts_simd.py``) against the law and the arms written out in NumPy.

Islands of several edges of few and many contacts, some to what does not move; a contact's place in the rows of eight
does not follow from its edge. Errors are in units of rounding of the law's terms, times the arms.
"""

import functools
from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_laws import LAWS, Contacts, evaluate, random_contacts, units

from carom.kernels.core.precision import precision
from carom.kernels.core.simd import LANES
from carom.kernels.solver import block_products, contacts_simd, dense_hessian, line_search
from carom.kernels.solver.search_data import SearchRow, row_count, row_number

MOTION, CHANGE = wp.constant(int(SearchRow.NORMAL_SPEED)), wp.constant(int(SearchRow.NORMAL_CHANGE))

ROUNDING = 16.0
HARD = LAWS[0]
EDGES = [1, 3, 8, 2, 9, 1, 16, 5, 17, 4, 25]
"""Contacts of each edge of one island."""
FIXED = [2, 5, 8]
"""Edges whose second body does not move."""
EPS = 1e-3


@functools.cache
def _kernel(dtype: Any) -> Any:
    p, line, eight = precision(dtype), line_search.make(dtype), contacts_simd.make(dtype)
    vec3, vec4, spatial = p.vec3, p.vec4, p.spatial
    vec10, block = wp.types.vector(10, dtype), block_products.make(dtype).block
    first_friction = wp.constant(row_number("FRICTION"))

    @wp.kernel(enable_backward=False, module="unique")
    def island(
        begin: wp.array(dtype=int), normal: wp.array(dtype=vec3), arm_i: wp.array(dtype=vec3),
        arm_j: wp.array(dtype=vec3), twist: wp.array(dtype=vec3), coefficients: wp.array(dtype=vec4),
        friction: wp.array(dtype=vec3), v: wp.array2d(dtype=spatial), change: wp.array2d(dtype=spatial), eps: dtype,
        fixed: wp.array(dtype=int), swapped: wp.array(dtype=int), most: wp.array(dtype=dtype),
        search_data: wp.array2d(dtype=dtype), total: wp.array(dtype=vec10), diagonal: wp.array2d(dtype=block),
        below: wp.array2d(dtype=block),
    ):  # fmt: skip
        stride = normal.shape[0]
        edges = fixed.shape[0]
        for c in range(stride):
            line.put_law(search_data, 0, c, stride, coefficients[c])
            eight.put_arms(search_data, 0, c, stride, normal[c], arm_i[c], arm_j[c], twist[c])
        for e in range(edges):
            eight.put_relative(search_data, 0, begin[e], begin[e + 1], stride, v[e, 0], v[e, 1], MOTION)
        line.advance(search_data, 0, stride, stride, dtype(0.0), eps)
        for e in range(edges):
            eight.put_relative(search_data, 0, begin[e], begin[e + 1], stride, change[e, 0], change[e, 1], CHANGE)
        for c in range(stride):
            for k in range(3):
                search_data[0, (first_friction + k) * stride + c] = friction[c][k]
        for e in range(edges):
            total[e] = eight.impulses(search_data, 0, begin[e], begin[e + 1], stride)
            j = 2 * e + 1
            if fixed[e] == 1:
                j = -1
            eight.add_curvature(
                search_data, 0, begin[e], begin[e + 1], stride, eps, diagonal, below, 2 * e, j, e, swapped[e], most[e]
            )

    return island


@functools.cache
def _dual_kernel() -> Any:
    lin, p = dense_hessian.make(wp.float64), precision(wp.float64)
    vec3, vec4, mat33 = p.vec3, p.vec4, p.mat33

    @wp.kernel(enable_backward=False, module="unique")
    def dual(
        normal: wp.array(dtype=vec3), motion: wp.array(dtype=vec3), coefficients: wp.array(dtype=vec4),
        friction: wp.array(dtype=vec3), eps: wp.float64, out: wp.array(dtype=mat33),
    ):  # fmt: skip
        c = wp.tid()
        out[c] = lin.dual_curvature(motion[c], normal[c], coefficients[c], friction[c], eps)

    return dual


def dual_curvature(contacts: Contacts, friction: np.ndarray) -> np.ndarray:
    """That of the dense solver, [N, 3, 3]."""
    out = wp.zeros(len(contacts), dtype=wp.types.matrix((3, 3), wp.float64), device="cpu")
    vec3, vec4 = (wp.types.vector(n, wp.float64) for n in (3, 4))
    values = ((contacts.normal, vec3), (contacts.motion, vec3), (contacts.coefficients, vec4), (friction, vec3))
    wp.launch(
        _dual_kernel(), dim=len(contacts),
        inputs=[*(wp.array(x, dtype=t, device="cpu") for x, t in values), wp.float64(contacts.eps), out], device="cpu",
    )  # fmt: skip
    return out.numpy()


def cross(r: np.ndarray) -> np.ndarray:
    """[r]x for vectors [N, 3]."""
    return np.cross(r[:, None, :], np.eye(3)).transpose(0, 2, 1)


def per_contact(values: np.ndarray) -> np.ndarray:
    return np.repeat(values, EDGES, axis=0)


def sums(values: np.ndarray) -> np.ndarray:
    """Sums over the contacts of each edge."""
    return np.add.reduceat(values, np.cumsum([0, *EDGES])[:-1], axis=0)


def test_cross_product_matrix() -> None:
    r, x = np.random.default_rng(0).normal(size=(2, 5, 3))
    np.testing.assert_allclose(np.einsum("nij,nj->ni", cross(r), x), np.cross(r, x))


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_edges_of_an_island(dtype: Any) -> None:
    """Relative velocities, impulses and moments on both bodies, and the blocks of the Hessian."""
    p, n, edges = precision(dtype), sum(EDGES), len(EDGES)
    rng = np.random.default_rng(6)
    real = np.float32 if dtype is wp.float32 else np.float64

    def rounded(x: np.ndarray) -> np.ndarray:
        return x.astype(real).astype(float)

    fixed = np.isin(np.arange(edges), FIXED)
    contacts = random_contacts(HARD, n, 7, EPS)
    arm_i, twist = rng.normal(size=(n, 3)) * 0.1, rng.normal(size=(n, 3)) * 0.05
    twist[rng.random(n) < 0.5] = 0.0
    apart = per_contact(rng.normal(size=(edges, 3)) * 0.2)
    arm_j = arm_i - apart
    v, change = (rounded(rng.normal(size=(edges, 2, 6)) * rng.choice([1e-3, 1.0], (edges, 1, 1))) for _ in range(2))
    v[fixed, 1] = change[fixed, 1] = 0.0
    contacts, arm_i, arm_j, twist = contacts.rounded(dtype), rounded(arm_i), rounded(arm_j), rounded(twist)

    turn = contacts.normal[:, None, :] * twist[:, :, None]  # twist n^T
    jacobian_i = -np.concatenate([np.broadcast_to(np.eye(3), (n, 3, 3)), turn - cross(arm_i)], axis=2)
    jacobian_j = np.concatenate([np.broadcast_to(np.eye(3), (n, 3, 3)), turn - cross(arm_j)], axis=2)

    def relative(x: np.ndarray) -> np.ndarray:
        i, j = per_contact(x[:, 0]), per_contact(x[:, 1])
        return np.einsum("nij,nj->ni", jacobian_i, i) + np.einsum("nij,nj->ni", jacobian_j, j)

    def fast(x: np.ndarray) -> np.ndarray:
        """Sizes of what relative velocities are differences of, [N, 1]."""
        length = np.linalg.norm(x[:, :, :3], axis=2) + 0.5 * np.linalg.norm(x[:, :, 3:], axis=2)
        return per_contact(length.sum(1))[:, None]

    # loads as asked for, at these motions
    motion = relative(v)
    loads = contacts.coefficients[:, 1] * rng.normal(size=n) * rng.choice([1e-3, 1.0], n)
    moved = contacts.moved(motion)
    moved.coefficients[:, 0] = 0.0
    moved.coefficients[:, 0] = rounded(loads - evaluate(moved).excess)
    constant = moved.coefficients[:, 1] == 0.0
    moved.coefficients[constant, 0] = rounded(rng.random(constant.sum()))
    values, unit = evaluate(moved), units(moved, dtype, fast(v))
    acting = values.excess > 0.0
    assert 0.3 < acting.mean() < 0.8
    assert (np.abs(values.excess) > ROUNDING * unit.z)[acting].mean() > 0.9

    # half of the edges with Newton's own friction, ut/s
    along = (moved.normal * motion).sum(1)[:, None]
    newton = (motion - moved.normal * along) / values.slip_speed[:, None]
    other = rng.normal(size=(n, 3))
    other -= moved.normal * (other * moved.normal).sum(1, keepdims=True)
    other *= rng.random((n, 1)) / np.linalg.norm(other, axis=1, keepdims=True)
    of_newton = np.arange(edges) % 2 == 0
    friction = rounded(np.where(per_contact(of_newton)[:, None], newton, other))
    bend = dual_curvature(moved, friction)
    plain = per_contact(of_newton) & acting
    scale = np.abs(values.curvature).max(axis=(1, 2), keepdims=True) + 1e-30
    np.testing.assert_allclose((bend / scale)[plain], (values.curvature / scale)[plain], atol=4.0 * p.epsilon)
    most = np.where(np.arange(edges) % 3 == 0, 1.0, 1e12)  # some sticking contacts hold by less
    stiff = np.maximum(values.excess, 0.0) * moved.coefficients[:, 2] / values.slip_speed
    less = np.minimum(1.0, per_contact(most) / np.maximum(stiff, 1e-30))[:, None, None]
    normal_part = moved.coefficients[:, 1, None, None] * values.direction[:, :, None] * values.direction[:, None, :]
    bend = (normal_part + (bend - normal_part) * less) * acting[:, None, None]

    swapped = (np.arange(edges) % 4 < 2).astype(np.int32)
    search_data = wp.zeros((1, row_count(False) * n + LANES), dtype=dtype, device="cpu")
    total = wp.zeros(edges, dtype=wp.types.vector(10, dtype), device="cpu")
    block = block_products.make(dtype).block
    diagonal = wp.zeros((1, 2 * edges), dtype=block, device="cpu")
    below = wp.zeros((1, edges), dtype=block, device="cpu")

    def put(x: np.ndarray, kind: Any) -> wp.array:
        return wp.array(x, dtype=kind, device="cpu")

    wp.launch(
        _kernel(dtype), dim=1,
        inputs=[
            put(np.cumsum([0, *EDGES]), wp.int32), *(put(x, p.vec3) for x in (moved.normal, arm_i, arm_j, twist)),
            put(moved.coefficients, p.vec4), put(friction, p.vec3), put(v, p.spatial), put(change, p.spatial),
            dtype(EPS), put(fixed.astype(np.int32), wp.int32), put(swapped, wp.int32), put(most, dtype),
        ],
        outputs=[search_data, total, diagonal, below], device="cpu",
    )  # fmt: skip

    rows = search_data.numpy()[0, : row_count(False) * n].reshape(-1, n).astype(float)
    for first, x in ((MOTION, v), (CHANGE, change)):
        at, u = int(first), relative(x)
        np.testing.assert_array_less(np.abs(rows[at] - (u * moved.normal).sum(1)), ROUNDING * p.epsilon * fast(x)[:, 0])
        rest = u - moved.normal * (u * moved.normal).sum(1, keepdims=True)
        assert (np.abs(rows[at + 1 : at + 4].T - rest) <= ROUNDING * p.epsilon * fast(x)).all()

    push = values.impulse
    turning = moved.normal * (twist * push).sum(1, keepdims=True)
    expected = [push, np.cross(arm_i, push) + turning, np.cross(arm_j, push) + turning]
    allowed = sums(unit.impulse)[:, None]  # arms are shorter than 1 m
    found = total.numpy().astype(float)
    for k, value in enumerate(expected):
        assert (np.abs(found[:, 3 * k : 3 * k + 3] - sums(value)) <= ROUNDING * allowed).all()
    np.testing.assert_array_equal(found[:, 9], (sums(acting.astype(float)) > 0).astype(float))

    # two arms and twist make a column of J^T less than 2 m long
    allowed = sums(4.0 * (unit.curvature + p.epsilon * np.abs(bend).max(axis=(1, 2))) * acting)[:, None, None]
    blocks = diagonal.numpy()[0].astype(float)
    assert not blocks[:, :, 6:].any()
    h_ii, h_jj, h_ij = (
        sums(np.einsum("nki,nkl,nlj->nij", a, bend, b))
        for a, b in ((jacobian_i, jacobian_i), (jacobian_j, jacobian_j), (jacobian_i, jacobian_j))
    )
    assert (np.abs(blocks[0::2, :, :6] - h_ii) <= ROUNDING * allowed).all()
    assert (np.abs(blocks[1::2, :, :6] - h_jj) <= ROUNDING * allowed)[~fixed].all()
    assert not blocks[1::2][fixed].any()
    # the block of a column is stored turned: that of j under i, or of i under j where i comes after j
    stored = np.where(swapped[:, None, None] == 1, h_ij.transpose(0, 2, 1), h_ij)
    corner = below.numpy()[0].astype(float)
    assert (np.abs(corner[:, :, :6] - stored) <= ROUNDING * allowed)[~fixed].all()
    assert not corner[fixed].any()
    assert np.abs(h_ij).max() > 1e3 * (ROUNDING * allowed).min()
