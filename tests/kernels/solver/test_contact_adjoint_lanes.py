"""The contacts' adjoint in lanes against Warp's of the same power, over random contacts of all kinds."""

from typing import Any

import numpy as np
import pytest
import warp as wp
from random_contacts import CONTACTS, EPS, H, picked, random_contacts, unit

from carom.kernels.collision.features import SHARE_FIXED
from carom.kernels.solver import adjoint, contact_adjoint_lanes

OUT = (
    "body_q", "body_v0", "body_mass", "shape_friction", "shape_stiffness", "shape_damping", "centre", "pull",
    "shape_rolling_resistance", "shape_torsional_resistance",
)  # fmt: skip


def derivatives(case: tuple[Any, ...], dtype: Any, in_lanes: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Adjoints of all inputs; centre and pull keep theirs."""
    arrays, q, v0, v1, f, rows, g = case
    with monkeypatch.context() as patch:
        patch.setattr(adjoint.face_friction, "find_adjoint", lambda *_: None)
        if not in_lanes:
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
def test_as_generated(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same derivatives one by one, in a ragged group, and in another place of it."""
    case = random_contacts(11, 5, dtype)
    together = derivatives(case, dtype, True, monkeypatch)
    for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
        alone = derivatives(tuple(picked(x, 11, pick) for x in case), dtype, True, monkeypatch)
        for name in OUT:
            np.testing.assert_array_equal(alone[name], together[name][pick], err_msg=name)
