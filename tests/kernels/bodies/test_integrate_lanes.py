"""Bodies that move side by side against those that move one by one: states, velocities of the solve, and adjoints."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import warp as wp

from carom.kernels.bodies import integrate, integrate_lanes, integrate_many
from carom.kernels.core.precision import precision
from carom.sim import ModelBuilder
from carom.sim.stepping.device_model import model_arrays

H = 0.005
NAMES = ("poses", "velocities", "of the solve", "by poses", "by velocities", "by those of the solve", "by inertia")


WAYS = pytest.mark.parametrize("way", [integrate_lanes, integrate_many], ids=["worlds", "bodies"])
"""Side by side: worlds, or bodies of any world."""


@contextlib.contextmanager
def going(way: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All bodies go one way, or with None one by one."""
    with monkeypatch.context() as patch:
        for module in (integrate_lanes, integrate_many):
            patch.setattr(module, "serves", lambda *_, takes=module is way: takes)
        yield


def random_motion(worlds: int, seed: int, dtype: Any, fastest: float) -> tuple[Any, ...]:
    """A model, poses whose quaternions are no units, two velocities and the adjoints of the state after a step.

    Turning, round and tall bodies; spins from 1e-6 rad/s to the ``fastest``, some none at all.
    """
    builder = ModelBuilder()
    for add in (builder.add_box, builder.add_sphere, builder.add_box):
        add(builder.add_body(), (0.1, 0.2, 0.3) if add == builder.add_box else 0.1)
    arrays = model_arrays(builder.finalize(dtype="float64" if dtype is wp.float64 else "float32"), worlds)
    p, rng = precision(dtype), np.random.default_rng(seed)
    a = rng.normal(size=(worlds, 3, 3, 3)) * rng.choice([0.1, 1.0, 5.0], (worlds, 3, 1, 1))
    arrays.body_inertia.assign(a @ a.transpose(0, 1, 3, 2) + 0.5 * np.eye(3))
    spin = 10.0 ** rng.uniform(-6.0, np.log10(fastest), (worlds, 3, 1)) * (rng.random((worlds, 3, 1)) < 0.9)
    velocities = [
        np.concatenate([rng.normal(size=(worlds, 3, 3)), spin * rng.normal(size=(worlds, 3, 3))], -1) for _ in range(2)
    ]

    def put(x: Any, kind: Any) -> wp.array:
        return wp.array(x, dtype=kind, device="cpu")

    q, bar_q1 = (put(rng.normal(size=(worlds, 3, 7)), p.transform) for _ in range(2))
    bar_v1 = put(rng.normal(size=(worlds, 3, 6)), p.spatial)
    return arrays, q, *(put(v, p.spatial) for v in velocities), bar_q1, bar_v1


def outcome(case: tuple[Any, ...], dtype: Any) -> dict[str, Any]:
    arrays, q, vm, vs, bar_q1, bar_v1 = case
    q1, v1, solved, bar_q, bar_vm, bar_vs, bar_inertia = (
        wp.zeros_like(x) for x in (q, vm, vm, q, vm, vm, arrays.body_inertia)
    )
    integrate.integrate(dtype, arrays, q, vm, vs, q1, v1, h=H)
    integrate.solved_velocity(dtype, arrays, q, q1, v1, solved)
    integrate.integrate_adjoint(
        dtype, arrays, q, vm, vs, q1, v1, bar_q1, bar_v1, bar_q, bar_vm, bar_vs, bar_inertia, h=H
    )
    found = (q1, v1, solved, bar_q, bar_vm, bar_vs, bar_inertia)
    return {name: x.numpy().astype(float) for name, x in zip(NAMES, found, strict=True)}


@pytest.mark.parametrize("fastest", [3.0, 1000.0], ids=["slow", "faster than a step resolves"])
@pytest.mark.parametrize("worlds", [13, 1])
@WAYS
def test_as_one_by_one(way: Any, worlds: int, fastest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: 2e-14 of the largest number of each kind."""
    for seed in range(3):
        case = random_motion(worlds, seed, wp.float64, fastest)
        with going(None, monkeypatch):
            expected = outcome(case, wp.float64)
        with going(way, monkeypatch):
            found = outcome(case, wp.float64)
        for name, x in expected.items():
            assert np.isfinite(x).all()
            assert np.abs(x - found[name]).max() <= 1e-12 * np.abs(x).max(), name
        np.testing.assert_allclose(found["of the solve"], case[3].numpy(), rtol=1e-12, atol=1e-12 * fastest)


@WAYS
def test_single_precision_as_near_to_double(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of both against double precision, of the bodies whose motion a step resolves.

    The median body, and that with a tenth of them beyond. The mean square is that of one body, a kink in its spin.
    """
    case = random_motion(64, 3, wp.float32, 30.0)
    with going(way, monkeypatch):
        found = outcome(case, wp.float32)
    with going(None, monkeypatch):
        truth = outcome(random_motion(64, 3, wp.float64, 30.0), wp.float64)
        before = outcome(case, wp.float32)
    for name, x in truth.items():
        errors = [np.abs(y[name] - x).reshape(64 * 3, -1).max(1) for y in (before, found)]
        for share in (0.5, 0.9):
            assert np.quantile(errors[1], share) <= 1.5 * np.quantile(errors[0], share), name


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
@WAYS
def test_a_world_alone_to_the_bit(way: Any, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_motion(11, 5, dtype, 300.0)
    with going(way, monkeypatch):
        together = outcome(case, dtype)
        for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
            arrays = model_arrays_of(case[0], pick)
            states = [wp.array(x.numpy()[pick], dtype=x.dtype, device="cpu") for x in case[1:]]
            for name, x in outcome((arrays, *states), dtype).items():
                np.testing.assert_array_equal(x, together[name][pick], err_msg=name)


def model_arrays_of(arrays: Any, pick: slice) -> Any:
    """The model in some of the worlds; motion takes no more of it."""
    inertia = wp.array(arrays.body_inertia.numpy()[pick], dtype=arrays.body_inertia.dtype, device="cpu")
    return dataclasses.replace(arrays, body_inertia=inertia)
