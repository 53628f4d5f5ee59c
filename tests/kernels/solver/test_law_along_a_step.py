"""The contact law in the native code of a line search (``line_search.py``) against that of ``law.py``.

In both precisions, on random contacts that stick, slide, open and close on their way; worlds of one contact, and of as
many as do not fill the rows of eight that the CPU takes at a time. Errors are in units of rounding of the law's terms.
"""

import functools
from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_laws import LAWS, Contacts, Law, evaluate, random_contacts, random_motions, sizes, units

from carom.kernels.contact import law
from carom.kernels.core.precision import precision
from carom.kernels.core.simd import LANES
from carom.kernels.solver import dense_hessian, line_search
from carom.kernels.solver.search_data import row_count, row_number

ROUNDING = 8.0
COUNTS = [1] * 120 + [0, 2, 3, 5, 7, 8, 9, 15, 16, 17, 24, 25]
FORWARD = [kind for kind in LAWS if not kind.of_slopes]
"""Those that a step is solved with; the others' slopes serve the backward pass, which searches no line."""


@functools.cache
def _kernel(dtype: Any, resists: bool, softens: bool) -> Any:
    p = precision(dtype)
    contact_law, line = law.make(dtype, resists, softens), line_search.make(dtype, resists, softens)
    vec2, vec3, Motion, Coefficients = p.vec2, p.vec3, contact_law.Motion, contact_law.Coefficients

    @wp.kernel(enable_backward=False, module="unique")
    def walk(
        count: wp.array(dtype=int), normal: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients),
        start: wp.array2d(dtype=Motion), change: wp.array2d(dtype=Motion), alpha: wp.array(dtype=dtype), eps: dtype,
        search_data: wp.array2d(dtype=dtype), at_start: wp.array2d(dtype=dtype), slope: wp.array(dtype=vec2),
        at_end: wp.array2d(dtype=dtype), acts: wp.array2d(dtype=int), motion: wp.array2d(dtype=Motion),
        impulse: wp.array2d(dtype=Motion),
    ):  # fmt: skip
        world = wp.tid()
        stride = normal.shape[1]
        n = count[world]
        for c in range(n):
            line.put(search_data, world, c, stride, normal[world, c], coefficients[world, c], start[world, c])
        line.advance(search_data, world, stride, n, dtype(0.0), eps)
        for c in range(n):
            at_start[world, c] = search_data[world, 12 * stride + c]
            line.put_change(search_data, world, c, stride, normal[world, c], change[world, c])
        slope[world] = line.slope_and_bend(search_data, world, stride, n, alpha[world], eps)
        line.advance(search_data, world, stride, n, alpha[world], eps)
        for c in range(n):
            at_end[world, c] = search_data[world, 12 * stride + c]
            acts[world, c] = int(line.acts(search_data, world, c, stride))
            motion[world, c] = line.motion(search_data, world, c, stride, normal[world, c])
            impulse[world, c] = line.impulse(search_data, world, c, stride, normal[world, c])

    return walk


def contacts_on_their_way(kind: Law, dtype: Any, seed: int, eps: float) -> tuple[Contacts, np.ndarray, np.ndarray]:
    """Contacts at their start, the change of their motion, and the length of the step for each, [N]."""
    total, rng = sum(COUNTS), np.random.default_rng(seed)
    contacts = random_contacts(kind, total, seed, eps)
    slow = contacts.coefficients[:, 6] if kind.resists else np.ones(total)
    other = random_motions(kind, contacts.normal, eps, slow, rng)
    other[rng.random(total) < 0.2] *= 1e-3
    forth = rng.random(total) < 0.5  # whether the loads that were asked for are those of the start or of the end
    start, end = (np.where(forth[:, None], *x) for x in ((contacts.motion, other), (other, contacts.motion)))
    alpha = np.repeat(rng.choice([1.0, 1.0, 0.25, 3.0], size=len(COUNTS)), COUNTS)
    contacts = contacts.moved(start).rounded(dtype)
    real = np.float32 if dtype is wp.float32 else np.float64
    return contacts, ((end - start) / alpha[:, None]).astype(real).astype(float), alpha


def in_worlds(values: np.ndarray, kind: Any) -> wp.array:
    """Array [worlds, most contacts] of values [N, ...]; what is behind a world's contacts is not to be read."""
    out = np.full((len(COUNTS), max(COUNTS), *values.shape[1:]), np.nan)
    ends = np.cumsum(COUNTS)
    for world, (count, end) in enumerate(zip(COUNTS, ends, strict=True)):
        out[world, :count] = values[end - count : end]
    return wp.array(out, dtype=kind, device="cpu")


def flat(array: wp.array) -> np.ndarray:
    values = array.numpy()
    return np.concatenate([values[world, :count] for world, count in enumerate(COUNTS)]).astype(float)


@pytest.mark.parametrize("eps", [1e-3, 1e-5])
@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kind", FORWARD, ids=str)
def test_line_search_has_the_law_of_the_contacts(kind: Law, dtype: Any, eps: float) -> None:
    """Slope and curvature along a step, and what acts where it ends: loads, motions, impulses."""
    start, change, alpha = contacts_on_their_way(kind, dtype, 4, eps)
    end = start.moved(start.motion + alpha[:, None] * change)
    p, contact_law = precision(dtype), law.make(dtype, kind.resists, kind.softens)
    shape = (len(COUNTS), max(COUNTS))
    steps = wp.array([alpha[max(e - 1, 0)] for e in np.cumsum(COUNTS)], dtype=dtype, device="cpu")
    search_data = wp.zeros(
        (shape[0], row_count(kind.resists) * shape[1] + LANES), dtype=dtype, device="cpu"
    )  # fmt: skip
    types = (dtype, wp.int32, contact_law.Motion, contact_law.Motion)
    at_start = wp.zeros(shape, dtype=dtype, device="cpu")
    slope = wp.zeros(shape[0], dtype=p.vec2, device="cpu")
    at_end, acts, motion, impulse = out = [wp.zeros(shape, dtype=t, device="cpu") for t in types]
    wp.launch(
        _kernel(dtype, kind.resists, kind.softens), dim=shape[0],
        inputs=[
            wp.array(COUNTS, dtype=wp.int32, device="cpu"), in_worlds(start.normal, p.vec3),
            in_worlds(start.coefficients, contact_law.Coefficients), in_worlds(start.motion, contact_law.Motion),
            in_worlds(change, contact_law.Motion), steps, dtype(start.eps),
        ],
        outputs=[search_data, at_start, slope, *out], device="cpu",
    )  # fmt: skip

    first, last = evaluate(start), evaluate(end)
    travelled = sizes(start.motion) + alpha[:, None] * sizes(change)
    of_first, of_last = units(start, dtype), units(end, dtype, travelled)
    for found, law_, unit in ((at_start, first, of_first), (at_end, last, of_last)):
        lacks = np.abs(law_.excess) * p.epsilon
        if kind.softens:
            lacks = lacks + kind.reach * start.coefficients[:, -2] * p.epsilon
        assert (np.abs(flat(found) - law_.excess) <= ROUNDING * (unit.z + lacks)).all()
    sure = np.abs(last.excess) > ROUNDING * of_last.z
    acting = last.excess > 0.0
    np.testing.assert_array_equal(flat(acts)[sure], acting[sure])
    assert 0.2 < acting.mean() < 0.95
    known = sizes(flat(motion) - end.motion) <= ROUNDING * p.epsilon * travelled
    assert known.all()
    both = acting & (flat(acts) > 0)
    wrong = np.abs(flat(impulse) - last.impulse).max(axis=1)
    assert (wrong <= ROUNDING * of_last.impulse)[both].all()

    # of all contacts of a world
    along, size = np.einsum("nk,nk->n", first.impulse - last.impulse, change), np.abs(change).sum(1)
    bend = np.where(acting, np.einsum("nk,nkl,nl->n", change, last.curvature, change), 0.0)
    allowed = (of_first.impulse + of_last.impulse) * size
    bend_allowed = of_last.curvature * size**2 + np.where(sure, 0.0, np.abs(bend) + start.coefficients[:, 1] * size**2)
    begins = np.cumsum([0, *COUNTS])
    for world, found in enumerate(slope.numpy().astype(float)):
        mine = slice(begins[world], begins[world + 1])
        assert abs(found[0] - along[mine].sum()) <= ROUNDING * allowed[mine].sum()
        assert abs(found[1] - bend[mine].sum()) <= ROUNDING * bend_allowed[mine].sum()


@functools.cache
def _friction_kernel(dtype: Any) -> Any:
    p, lin = precision(dtype), dense_hessian.make(dtype)
    vec3, vec4 = p.vec3, p.vec4

    @wp.kernel(enable_backward=False, module="unique")
    def friction_after(
        normal: wp.array(dtype=vec3), coefficients: wp.array(dtype=vec4), start: wp.array(dtype=vec3),
        change: wp.array(dtype=vec3), eps: dtype, friction: wp.array(dtype=vec3),
    ):  # fmt: skip
        c = wp.tid()
        friction[c] = lin.friction_after(friction[c], start[c], change[c], normal[c], coefficients[c], eps)

    return friction_after


@functools.cache
def _steps_kernel(dtype: Any) -> Any:
    p, line = precision(dtype), line_search.make(dtype)
    vec3, vec4 = p.vec3, p.vec4

    @wp.kernel(enable_backward=False, module="unique")
    def steps(
        count: wp.array(dtype=int), normal: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=vec4),
        start: wp.array2d(dtype=vec3), change: wp.array2d(dtype=vec3), alpha: wp.array(dtype=dtype), eps: dtype,
        number: int, search_data: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world = wp.tid()
        stride = normal.shape[1]
        n = count[world]
        for c in range(n):
            line.put(search_data, world, c, stride, normal[world, c], coefficients[world, c], start[world, c])
        line.advance(search_data, world, stride, n, dtype(0.0), eps)
        for _ in range(number):
            for c in range(n):
                line.put_change(search_data, world, c, stride, normal[world, c], change[world, c])
            line.advance(search_data, world, stride, n, alpha[world], eps)

    return steps


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_friction_on_its_way_is_that_of_the_dense_solver(dtype: Any) -> None:
    """That of hard contact, of the primal-dual method: from none through three steps."""
    kind = FORWARD[0]
    start, change, alpha = contacts_on_their_way(kind, dtype, 5, 1e-3)
    p, n = precision(dtype), len(start)
    change = (change / 3.0).astype(np.float32).astype(float)
    begins = np.cumsum([0, *COUNTS])
    steps = wp.array(alpha[np.maximum(begins[1:] - 1, 0)], dtype=dtype, device="cpu")
    stride = max(COUNTS)
    given = [
        wp.array(COUNTS, dtype=wp.int32, device="cpu"), in_worlds(start.normal, p.vec3),
        in_worlds(start.coefficients, p.vec4), in_worlds(start.motion, p.vec3), in_worlds(change, p.vec3), steps,
    ]  # fmt: skip
    expected = wp.zeros(n, dtype=p.vec3, device="cpu")
    allowed = np.zeros(n)
    for number in (1, 2, 3):
        search_data = wp.zeros((len(COUNTS), row_count(False) * stride + LANES), dtype=dtype, device="cpu")
        wp.launch(
            _steps_kernel(dtype), dim=len(COUNTS), inputs=[*given, dtype(start.eps), number, search_data], device="cpu"
        )  # fmt: skip
        first = row_number("FRICTION")
        rows = search_data.numpy()[:, first * stride : (first + 3) * stride].reshape(len(COUNTS), 3, stride)
        found = np.concatenate([rows[w, :, :count].T for w, count in enumerate(COUNTS)]).astype(float)
        here = start.moved(start.motion + ((number - 1) * alpha)[:, None] * change)
        wp.launch(
            _friction_kernel(dtype), dim=n,
            inputs=[
                *(wp.array(x, dtype=t, device="cpu") for x, t in (
                    (here.normal, p.vec3), (here.coefficients, p.vec4), (here.motion, p.vec3),
                    (alpha[:, None] * change, p.vec3),
                )), dtype(start.eps), expected,
            ], device="cpu",
        )  # fmt: skip
        values, unit = evaluate(here), units(here, dtype)
        # what the friction before is known to counts by as much as the motion along it changes
        step = alpha * np.linalg.norm(change, axis=1) / values.slip_speed
        allowed = unit.direction * (1.0 + step) + allowed * (1.0 + step)
        sure = np.abs(values.excess) > ROUNDING * unit.z
        wrong = np.abs(found - expected.numpy()).max(axis=1)
        assert (wrong <= ROUNDING * allowed)[sure].all()
        assert (wrong[sure & (values.excess > 0.0)] < 1e-3).mean() > 0.9
    assert (np.linalg.norm(found, axis=1) > 0.1).sum() > 20
