"""Worlds side by side in a register against the dense solver one by one: the same numbers, whatever is beside a world.

One body and several, locked axes, actuators of all kinds, contacts between bodies and with what does not move.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp
from contact_laws import LAWS
from random_rows import CONTACTS, EPS, FREE, STEP, WORLDS, Scene, put, random_scene, solvers

from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.precision import precision
from carom.kernels.core.solver_report import SolverReport
from carom.kernels.solver import adjoint, dense, dense_adjoint_lanes, dense_lanes

HARD = next(law for law in LAWS if not law.resists and not law.softens and not law.of_slopes)
REPORT = ("iterations", "steps", "failed", "first_failure", "last_failure")


def solve(scene: Scene, dtype: Any, by: Any, start: np.ndarray | None = None, **options: Any) -> tuple[Any, ...]:
    """Velocities [W, B, 6], residuals and what the report counts; ``start`` is where repeated solves begin."""
    p = precision(dtype)
    report = SolverReport.allocate(WORLDS, dtype, "cpu")
    v1 = wp.zeros(scene.v0.shape, dtype=p.spatial, device="cpu")
    if start is not None:
        v1.assign(start)
    step = {"tolerance": 1e-12 if dtype is wp.float64 else 1e-4, "max_iterations": 200, **options}
    by.solve(
        dtype, scene.arrays, scene.q, scene.v0, scene.control, put(scene.count, wp.int32), scene.rows,
        solvers(scene, HARD, dtype)["dense"].scratch, v1, report, h=STEP, eps=EPS, **step,
    )  # fmt: skip
    return v1.numpy(), report.residual.numpy(), *(getattr(report, name).numpy() for name in REPORT)


def adjoint_solve(scene: Scene, dtype: Any, by: Any, v1: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, ...]:
    """z [W, B, 6] of one seed, and which contacts act [W, C]."""
    p = precision(dtype)
    adjoints = Adjoints.allocate(scene.arrays, CONTACTS, dtype)
    adjoints.z.fill_(7.0)
    seed = np.random.default_rng(3).normal(size=v1.shape)
    by.solve_adjoint(
        dtype, scene.arrays, scene.q, scene.v0, put(v1, p.spatial), put(count, wp.int32), scene.rows,
        solvers(scene, HARD, dtype)["dense"].scratch, put(seed, p.spatial), adjoints, h=STEP,
        eps=EPS,
    )  # fmt: skip
    return adjoints.z.numpy(), adjoints.active.numpy()


def one_by_one(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    """Whether worlds go through the text with one lane (WORLDS) or with eight (0)."""
    monkeypatch.setattr(dense_lanes, "FEW_WORLDS", few)


@pytest.mark.parametrize("name", FREE)
def test_same_as_one_by_one(name: str) -> None:
    """Measured: velocities to 6e-14 of the largest, the same number of iterations but where rounding ends a solve."""
    for seed in range(4):
        scene = random_scene(name, HARD, wp.float64, seed)
        expected, found = (solve(scene, wp.float64, by) for by in (dense, dense_lanes))
        size = np.abs(expected[0]).max((1, 2), keepdims=True)
        assert (np.abs(expected[0] - found[0]) <= 1e-12 * size).all()
        assert np.abs(expected[2] - found[2]).max() <= 1
        np.testing.assert_array_equal(expected[3:], found[3:])
        count = np.where(np.arange(WORLDS) % 3 == 2, -1, scene.count)  # some take no such solve
        z, active = adjoint_solve(scene, wp.float64, adjoint, expected[0], count)
        own_z, own_active = adjoint_solve(scene, wp.float64, dense_adjoint_lanes, expected[0], count)
        assert np.abs(z - own_z).max() <= 1e-12 * np.abs(z).max()
        np.testing.assert_array_equal(active, own_active)


@pytest.mark.parametrize("name", FREE)
def test_single_precision(name: str) -> None:
    """Both stop where the gradient is 1e-4 of the momentum change, and 1e-3 of the velocities is that near."""
    for seed in range(3):
        scene = random_scene(name, HARD, wp.float32, seed)
        expected, found = (solve(scene, wp.float32, by) for by in (dense, dense_lanes))
        assert np.abs(expected[0] - found[0]).max() <= 2e-3 * np.abs(expected[0]).max()
        assert found[1].max() <= 1e-4
        assert not found[4].any()


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_lanes_do_not_matter(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: one by one, side by side, and each world eight times over."""
    for seed, name in enumerate([*FREE] * 8):
        scene = random_scene(name, HARD, dtype, seed)
        one_by_one(monkeypatch, WORLDS)
        alone = solve(scene, dtype, dense_lanes)
        alone_z = adjoint_solve(scene, dtype, dense_adjoint_lanes, alone[0], scene.count)
        one_by_one(monkeypatch, 0)
        for one, other in zip(alone, solve(scene, dtype, dense_lanes), strict=True):
            np.testing.assert_array_equal(one, other)
        beside = adjoint_solve(scene, dtype, dense_adjoint_lanes, alone[0], scene.count)
        for one, other in zip(alone_z, beside, strict=True):
            np.testing.assert_array_equal(one, other)


def copies(scene: Scene, world: int) -> Scene:
    """A scene of which every world is ``world``."""

    def same(x: Any) -> Any:
        if not isinstance(x, wp.array) or x.shape[0] != WORLDS or x.ndim < 1:
            return x
        return wp.array(np.repeat(x.numpy()[world : world + 1], WORLDS, 0), dtype=x.dtype, device="cpu")

    def all_of(data: Any) -> Any:
        return dataclasses.replace(data, **{f.name: same(getattr(data, f.name)) for f in dataclasses.fields(data)})

    fixed = ("shape_type", "shape_body", "body_mask", "dof_index", "actuator_body", "actuator_axis", "actuator_kind")
    arrays = dataclasses.replace(all_of(scene.arrays), **{k: getattr(scene.arrays, k) for k in fixed})
    return dataclasses.replace(
        scene, arrays=arrays, rows=all_of(scene.rows), count=np.repeat(scene.count[world], WORLDS),
        **{k: same(getattr(scene, k)) for k in ("q", "v0", "control")},
    )  # fmt: skip


def test_neighbours_do_not_matter() -> None:
    scene = random_scene("body and pusher", HARD, wp.float64, 4)
    beside = solve(scene, wp.float64, dense_lanes)
    for world in range(WORLDS):
        for one, other in zip(beside, solve(copies(scene, world), wp.float64, dense_lanes), strict=True):
            np.testing.assert_array_equal(other, np.repeat(one[world : world + 1], WORLDS, 0))


@pytest.mark.parametrize("further", [0, 1, int(dense.AGAIN_NEARER)])
def test_repeated_solves(further: int) -> None:
    """Only marked worlds are solved, from where they are on, and a step is counted once."""
    scene = random_scene("body and pusher", HARD, wp.float64, 6)
    start = solve(scene, wp.float64, dense)[0]
    start += 1e-6 * np.random.default_rng(0).normal(size=start.shape) * scene.mask
    marks = put(np.arange(WORLDS) % 2, wp.int32)
    expected, found = (
        solve(scene, wp.float64, by, start, repeat=marks, further=further) for by in (dense, dense_lanes)
    )
    np.testing.assert_array_equal(found[0][::2], start[::2])
    assert np.abs(expected[0] - found[0]).max() <= 1e-12 * np.abs(expected[0]).max()
    np.testing.assert_array_equal(expected[2:], found[2:])
    assert found[3].sum() == (WORLDS // 2 if further == 0 else 0)


@pytest.mark.parametrize("by", [dense, dense_lanes], ids=["one by one", "in lanes"])
def test_a_further_solve_takes_an_iteration_unless_it_starts_much_nearer(by: Any) -> None:
    """Within the tolerance a solve is done at once, a further one only within a hundredth of it."""
    scene = random_scene("body and pusher", HARD, wp.float64, 6)
    start = solve(scene, wp.float64, dense)[0]
    start += 1e-6 * np.random.default_rng(0).normal(size=start.shape) * scene.mask
    options = {"repeat": put(np.ones(WORLDS), wp.int32), "tolerance": 1e6}
    _, relative, iterations, *_ = solve(scene, wp.float64, by, start, further=1, **options)
    assert not iterations.any()
    options["tolerance"] = 3.0 * float(relative.max())
    assert 0 < (relative > dense.NEARER * options["tolerance"]).sum() < WORLDS
    for further, nearer in ((1, 1.0), (int(dense.AGAIN_NEARER), dense.NEARER)):
        iterations = solve(scene, wp.float64, by, start, further=further, **options)[2]
        np.testing.assert_array_equal(iterations > 0, relative > nearer * options["tolerance"])


def test_failures_are_reported() -> None:
    """Of worlds that have no more iterations, or a velocity that is not a number; their neighbours are not touched."""
    scene = random_scene("one body", HARD, wp.float64, 2)
    expected, found = (solve(scene, wp.float64, by, max_iterations=7) for by in (dense, dense_lanes))
    assert 0 < found[4].sum() < WORLDS
    np.testing.assert_array_equal(expected[2:], found[2:])
    whole = solve(scene, wp.float64, dense_lanes)
    v0 = scene.v0.numpy()
    v0[3] = np.nan
    scene.v0.assign(v0)
    expected, found = (solve(scene, wp.float64, by) for by in (dense, dense_lanes))
    np.testing.assert_array_equal(expected[2:], found[2:])
    assert found[4].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert np.isnan(found[1][3])
    np.testing.assert_array_equal(np.delete(found[0], 3, 0), np.delete(whole[0], 3, 0))
