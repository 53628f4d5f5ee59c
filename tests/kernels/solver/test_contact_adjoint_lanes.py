"""The contacts' adjoint by hand against Warp's of the same power, over random contacts of all kinds.

Everything is drawn: kinds, shares, static and moving sides, given stiffness and damping on none, one or both sides,
friction that is zero on one side or both, patches whose friction is drawn in, and points that lie on each other.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp

from carom.kernels.collision.features import FLAT, LINE, POINT, SHARE_FIXED, Features
from carom.kernels.contact.row_arrays import ContactRows
from carom.kernels.core.adjoint_arrays import Adjoints
from carom.kernels.core.precision import precision
from carom.kernels.solver import adjoint, contact_adjoint_lanes
from carom.sim import STATIC, ModelBuilder
from carom.sim.stepping.device_model import model_arrays

CONTACTS, H, EPS = 14, 0.005, 1e-3
OUT = (
    "body_q", "body_v0", "body_mass", "shape_friction", "shape_stiffness", "shape_damping", "centre", "pull",
    "shape_rolling_resistance", "shape_torsional_resistance",
)  # fmt: skip


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def model(worlds: int, dtype: Any) -> Any:
    """A free body, one with two free axes and one that stands, two shapes each, and two static shapes."""
    builder = ModelBuilder()
    bodies = [
        builder.add_body(position=(i, 0, 0), locked=locked)
        for i, locked in enumerate(((), ("z", "angular"), "all"))
    ]  # fmt: skip
    for body in (*bodies, STATIC):
        for _ in range(2):
            builder.add_sphere(body, 0.1)
    return model_arrays(builder.finalize(dtype="float64" if dtype is wp.float64 else "float32"), worlds)


def random_contacts(worlds: int, seed: int, dtype: Any) -> tuple[Any, ...]:
    """Arrays of a model, poses, v0 and v1 of its bodies, features, rows and adjoints with their z."""
    p, rng = precision(dtype), np.random.default_rng(seed)
    arrays = dataclasses.replace(model(worlds, dtype), plain_contacts=False)  # whatever spheres have
    bodies, shapes = arrays.body_mass.shape[1], arrays.shape_friction.shape[1]
    flat, given = (worlds, CONTACTS), (worlds, shapes)

    def normal(*shape: int, size: float = 1.0) -> np.ndarray:
        return size * rng.normal(size=(*flat, *shape))

    arrays.body_mass.assign(rng.uniform(0.2, 3.0, (worlds, bodies)))
    arrays.shape_friction.assign(rng.choice([0.0, 0.3, 0.9], given))
    arrays.shape_stiffness.assign(rng.choice([-1.0, 2e4, 7e4], given, p=[0.6, 0.2, 0.2]))
    arrays.shape_damping.assign(rng.choice([-1.0, 0.0, 30.0, 90.0], given, p=[0.5, 0.1, 0.2, 0.2]))
    q = np.concatenate(
        [0.1 * rng.normal(size=(worlds, bodies, 3)), unit(rng.normal(size=(worlds, bodies, 4)))], axis=-1
    )
    states = [wp.array(rng.normal(size=(worlds, bodies, 6)), dtype=p.spatial, device="cpu") for _ in range(3)]
    f = Features.allocate(worlds, CONTACTS, dtype, "cpu")
    count = rng.integers(0, CONTACTS + 1, worlds)
    count[0] = CONTACTS
    f.count.assign(count.astype(np.int32))
    # of a pair not both on one body, nor both static
    body_of = arrays.shape_body.numpy()
    pairs = [(a, b) for a in range(shapes) for b in range(shapes) if body_of[a] != body_of[b]]
    chosen = np.array(pairs)[rng.integers(0, len(pairs), flat)]
    f.shape_a.assign(chosen[..., 0].astype(np.int32))
    f.shape_b.assign(chosen[..., 1].astype(np.int32))
    kind = rng.choice([int(FLAT), int(POINT), int(LINE)], flat)
    f.kind.assign(kind.astype(np.int32))
    for array, values in (
        (f.a0, normal(3, size=0.1)), (f.a1, unit(normal(3))), (f.b0, normal(3, size=0.1)),
        (f.radius_a, rng.uniform(0.0, 0.3, flat)), (f.radius_b, rng.uniform(0.0, 0.3, flat)),
        (f.sign, rng.choice([-1.0, 1.0], flat)), (f.weight, rng.uniform(0.1, 1.0, flat)),
    ):  # fmt: skip
        array.assign(values)
    start = np.arange(CONTACTS) - rng.integers(0, 3, flat).clip(max=np.arange(CONTACTS))
    f.patch_start.assign(start.astype(np.int32))
    f.patch_count.assign(rng.choice([0, 4], flat).astype(np.int32))
    rows = ContactRows.allocate(worlds, CONTACTS, dtype, "cpu")
    rows.centre.assign(normal(3))
    rows.pull.assign(rng.choice([0.0, 0.2, 0.5], flat))
    g = Adjoints.allocate(arrays, CONTACTS, dtype)
    g = dataclasses.replace(g, z=states[2])
    g.active.assign((rng.random(flat) < 0.8).astype(np.int32))
    return arrays, wp.array(q, dtype=p.transform, device="cpu"), states[0], states[1], f, rows, g


def derivatives(case: tuple[Any, ...], dtype: Any, by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Adjoints of all inputs; centre and pull keep theirs."""
    arrays, q, v0, v1, f, rows, g = case
    with monkeypatch.context() as patch:
        patch.setattr(adjoint.face_friction, "find_adjoint", lambda *_: None)
        if not by_hand:
            patch.setattr(contact_adjoint_lanes, "serves", lambda *_: False)
        for name in OUT:
            getattr(g, name).zero_()
        adjoint.contact_adjoint(dtype, arrays, q, v0, v1, f, rows, g, h=H, eps=EPS, angular_eps=EPS)
        return {name: getattr(g, name).numpy().astype(float).copy() for name in OUT}


def apart(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    for name in OUT:
        size = max(1.0, float(np.abs(one[name]).max()))
        assert np.abs(one[name] - other[name]).max() <= tolerance * size, name


@pytest.mark.parametrize("seed", range(6))
def test_by_hand_equals_generated(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured: 4e-14 of the largest derivative of each kind in float64."""
    case = random_contacts(13, seed, wp.float64)
    generated = derivatives(case, wp.float64, False, monkeypatch)
    for name in OUT[:8]:
        assert np.count_nonzero(generated[name]) > 5, name
    apart(generated, derivatives(case, wp.float64, True, monkeypatch), 1e-12)


def test_points_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point on the other, or on the line: the normal is one that leads out, and stands with the line."""
    case = random_contacts(9, 7, wp.float64)
    arrays, q, *_, f, _rows, _g = case
    body_of = arrays.shape_body.numpy()
    poses = q.numpy()
    poses[:, :, 3:6], poses[:, :, 6] = 0.0, 1.0  # so that the points meet to the bit
    poses[:, :, :3] = np.round(poses[:, :, :3] * 16) / 16
    q.assign(poses)
    a0 = np.round(f.a0.numpy() * 64) / 64
    place = [np.concatenate([poses[w, :, :3], np.zeros((1, 3))]) for w in range(9)]
    b0 = np.array([
        [a0[w, c] + place[w][body_of[f.shape_a.numpy()[w, c]]] - place[w][body_of[f.shape_b.numpy()[w, c]]]
         for c in range(CONTACTS)] for w in range(9)
    ])  # fmt: skip
    f.a0.assign(a0)
    f.b0.assign(b0)
    generated = derivatives(case, wp.float64, False, monkeypatch)
    assert np.abs(generated["body_q"]).max() > 1.0
    apart(generated, derivatives(case, wp.float64, True, monkeypatch), 1e-12)


def test_other_contacts_are_left_to_the_generated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds in which some contacts have a share that depends on the poses, or are of another kind."""
    case = random_contacts(5, 3, wp.float64)
    f = case[4]
    rng = np.random.default_rng(0)
    for array, values in (
        (f.share, rng.choice([int(SHARE_FIXED), 1, 2], f.share.shape)), (f.kind, rng.integers(0, 4, f.kind.shape)),
    ):  # fmt: skip
        array.assign(values.astype(np.int32))
    for array in (f.s0, f.s1, f.b1):
        array.assign(unit(rng.normal(size=(*f.kind.shape, 3))))
    apart(
        derivatives(case, wp.float64, False, monkeypatch), derivatives(case, wp.float64, True, monkeypatch), 1e-12
    )  # fmt: skip


def picked(data: Any, worlds: int, pick: slice) -> Any:
    """Arrays, or a dataclass of arrays, of some of the worlds."""
    if dataclasses.is_dataclass(data):
        own = {f.name: picked(getattr(data, f.name), worlds, pick) for f in dataclasses.fields(data)}
        return dataclasses.replace(data, **own)
    if not isinstance(data, wp.array) or data.shape[0] != worlds:
        return data
    return wp.array(data.numpy()[pick], dtype=data.dtype, device="cpu")


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same derivatives one by one, in a ragged group, and in another place of it."""
    case = random_contacts(11, 5, dtype)
    together = derivatives(case, dtype, True, monkeypatch)
    for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
        alone = derivatives(tuple(picked(x, 11, pick) for x in case), dtype, True, monkeypatch)
        for name in OUT:
            np.testing.assert_array_equal(alone[name], together[name][pick], err_msg=name)
