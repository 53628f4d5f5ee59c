"""Detection side by side against the same one by one, over random scenes of planes, boxes and spheres."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp

from carom.kernels.collision import detect_lanes
from carom.kernels.collision.broad_phase import NearArrays
from carom.kernels.collision.driver import detect
from carom.kernels.collision.features import FLAT, POINT, Features
from carom.kernels.core.precision import precision
from carom.sim import STATIC, ModelBuilder
from carom.sim.stepping.device_model import model_arrays

CAPACITY, STEP, MARGIN = 40, 0.005, 0.01
ALWAYS = ("kind", "shape_a", "shape_b", "a0", "b0", "radius_a", "radius_b", "weight", "share", "patch_count", "blend")


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def model(worlds: int, seed: int, dtype: Any) -> Any:
    """A tilted plane, a still box and two bodies, one of two shapes that lie askew, the other a sphere."""
    rng = np.random.default_rng(seed)
    builder = ModelBuilder()
    builder.add_plane(rotation=tuple(unit(np.array([0.1, 0.05, 0.0, 1.0]))))
    place = {"position": tuple(rng.normal(size=3) * 0.05), "rotation": tuple(unit(rng.normal(size=4)))}
    builder.add_sphere(STATIC, 0.07, position=(0.1, 0.1, 0.0))
    if seed % 2:
        builder.add_box(STATIC, (0.05, 0.1, 0.2), **place)
    body = builder.add_body()
    for at in range(2):
        position = tuple(rng.normal(size=3) * 0.05)
        if (at + seed) % 2:
            builder.add_sphere(body, 0.08, position=position)
        elif not seed % 2:
            builder.add_box(body, (0.1, 0.15, 0.05), position=position, rotation=tuple(unit(rng.normal(size=4))))
    builder.add_sphere(builder.add_body(), 0.06)
    made = builder.finalize(dtype="float64" if dtype is wp.float64 else "float32")
    arrays = model_arrays(made, worlds)
    arrays.shape_size.assign(np.broadcast_to(made.shape_size.numpy(), (*arrays.shape_size.shape, 3)))
    return arrays


def random_scene(worlds: int, seed: int, dtype: Any) -> dict[str, Any]:
    """Poses and velocities [W, B, ...]; bodies lie in each other, touch, or are apart, some flat on the plane."""
    rng = np.random.default_rng([seed, 7])
    q = np.concatenate([rng.normal(size=(worlds, 2, 3)) * 0.12, unit(rng.normal(size=(worlds, 2, 4)))], axis=-1)
    q[::4, :, 3:] = (0.0, 0.0, 0.0, 1.0)
    speed = 10.0 ** rng.uniform(-2.0, 1.0, (worlds, 1, 1))
    return {
        "q": q, "v0": speed * rng.normal(size=(worlds, 2, 6)), "v1": speed * rng.normal(size=(worlds, 2, 6)),
        "gravity": rng.normal(size=(worlds, 3)) * 9.0, "look_ahead": rng.uniform(0.005, 0.02, worlds),
        "size": rng.uniform(0.5, 1.5, worlds),
    }  # fmt: skip


def found(x: dict[str, Any], seed: int, dtype: Any, capacity: int = CAPACITY) -> dict[str, Any]:
    """All that detection writes, 7 where nothing may be."""
    p, worlds = precision(dtype), len(x["q"])
    arrays = model(worlds, seed, dtype)
    arrays.shape_size.assign(arrays.shape_size.numpy() * x["size"][:, None, None])
    near = NearArrays.allocate(
        worlds, 2, len(arrays.shape_type), arrays.pairs[:1], dtype, "cpu", exhaustive=True
    )  # fmt: skip
    table = Features.allocate(worlds, capacity, dtype, "cpu")
    names = [field.name for field in dataclasses.fields(table) if field.name not in ("count", "needed")]
    for name in names:
        getattr(table, name).fill_(7)

    def put(name: str, kind: Any) -> wp.array:
        return wp.array(x[name], dtype=kind, device="cpu")

    detect(
        dtype, shapes=arrays.shapes, gravity=put("gravity", p.vec3), body_q=put("q", p.transform),
        body_v=put("v0", p.spatial), body_v1=put("v1", p.spatial), margin=MARGIN, look_ahead=put("look_ahead", dtype),
        step=STEP, near=near, features=table,
    )  # fmt: skip
    out = {name: getattr(table, name).numpy().copy() for name in ("count", "needed", *names)}
    return out | {"gap": near.gaps[0].numpy().copy(), "listed": near.listed[0].numpy().copy()}


def apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name, x in one.items():
        if x.dtype.kind == "i":
            np.testing.assert_array_equal(x, other[name], err_msg=name)
        else:
            assert np.abs(x - other[name]).max() <= 1e-14 * max(1.0, float(np.abs(x).max())), name


@pytest.mark.parametrize("capacity", [CAPACITY, 3], ids=["room", "cut off"])
def test_as_one_by_one(capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: set[int] = set()
    for seed in range(6):
        x = random_scene(37, seed, wp.float64)
        with monkeypatch.context() as patch:
            patch.setattr(detect_lanes, "serves", lambda *_: False)
            expected = found(x, seed, wp.float64, capacity)
        kinds |= set(expected["kind"].ravel())
        assert (expected["needed"].max() > capacity) == (capacity == 3)
        assert (expected["patch_count"] == 4).any() or capacity == 3 or seed % 2
        apart(expected, found(x, seed, wp.float64, capacity))
    assert len(kinds) == 4  # points, lines, planes, and 7


def test_serves_only_what_it_knows() -> None:
    for shape, served in (("add_sphere", True), ("add_capsule", False)):
        builder = ModelBuilder()
        builder.add_ground()
        getattr(builder, shape)(builder.add_body(), 0.1, *(() if served else (0.1,)))
        arrays = model_arrays(builder.finalize(dtype="float64"), 2)
        for exhaustive in (True, False):
            near = NearArrays.allocate(2, 1, 2, arrays.pairs[:1], wp.float64, "cpu", exhaustive=exhaustive)
            assert detect_lanes.serves(arrays.shapes, near) == (served and exhaustive)


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any) -> None:
    """The same contacts one by one, in a ragged group, and in another place of it."""
    for seed in (0, 1):
        x = random_scene(11, seed, dtype)
        together = found(x, seed, dtype)
        assert {int(POINT), int(FLAT)} <= set(together["kind"].ravel())
        for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
            alone = found({name: values[pick] for name, values in x.items()}, seed, dtype)
            for name, values in together.items():
                np.testing.assert_array_equal(alone[name], values[pick], err_msg=name)
