"""The adjoint of further solves side by side against Warp's of the same power, over random contacts of all kinds."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp
from random_contacts import EPS, H, picked, random_slips, unit

from carom.kernels.collision.features import SHARE_FIXED
from carom.kernels.contact import slip, slip_adjoint, slip_adjoint_lanes

SOLVES = [int(solve) for solve in (slip.SECOND, slip.THIRD, slip.FOURTH)]
OUT = (
    "body_q", "body_v0", "body_mass", "gravity", "shape_friction", "shape_stiffness", "shape_damping", "centre",
    "pull",
)  # fmt: skip
OWN = ("body_va", "body_vb", "body_vc")


def derivatives(
    case: tuple[Any, ...], dtype: Any, solve: int, in_lanes: bool, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Adjoints of all inputs."""
    arrays, q, v0, v1, f, rows, g, slips, own = case
    own = dataclasses.replace(own, **{name: wp.zeros_like(getattr(own, name)) for name in OWN})
    with monkeypatch.context() as patch:
        if not in_lanes:
            patch.setattr(slip_adjoint_lanes, "serves", lambda *_: False)
        for name in OUT:
            getattr(g, name).zero_()
        slip_adjoint.contact_adjoint(
            dtype, arrays, q, v0, v1, f, rows, slips, own, g, solve=solve, h=H, eps=EPS, angular_eps=EPS
        )
    return {n: getattr(source, n).numpy().astype(float) for source, names in ((g, OUT), (own, OWN)) for n in names}


def apart(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    for name, x in one.items():
        assert np.isfinite(x).all(), name
        assert np.abs(x - other[name]).max() <= tolerance * max(1.0, float(np.abs(x).max())), name


@pytest.mark.parametrize("solve", SOLVES)
def test_as_generated(solve: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in arithmetic of 50 digits: the generated one is right to 2e-10 of the largest, in lanes to 6e-14."""
    given = {slip.SECOND: ("body_va",), slip.THIRD: ("body_va", "body_vb"), slip.FOURTH: ("body_va", "body_vc")}
    for seed in range(4):
        case = random_slips(13, seed, wp.float64)
        generated = derivatives(case, wp.float64, solve, False, monkeypatch)
        for name in (*OUT, *given[solve]):
            assert np.count_nonzero(generated[name]) > 2, name
        apart(generated, derivatives(case, wp.float64, solve, True, monkeypatch), 1e-9)


def test_other_contacts_are_left_to_the_generated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_slips(5, 3, wp.float64)
    f = case[4]
    rng = np.random.default_rng(0)
    f.share.assign(rng.choice([int(SHARE_FIXED), 1, 2], f.share.shape).astype(np.int32))
    f.kind.assign(rng.integers(0, 4, f.kind.shape).astype(np.int32))
    for array in (f.s0, f.s1, f.b1):
        array.assign(unit(rng.normal(size=(*f.kind.shape, 3))))
    for solve in SOLVES:
        one, other = (derivatives(case, wp.float64, solve, by, monkeypatch) for by in (False, True))
        apart(one, other, 1e-9)


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same derivatives one by one, in a ragged group, and in another place of it."""
    case = random_slips(11, 5, dtype)
    for solve in SOLVES:
        together = derivatives(case, dtype, solve, True, monkeypatch)
        for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
            alone = derivatives(tuple(picked(x, 11, pick) for x in case), dtype, solve, True, monkeypatch)
            for name, x in together.items():
                np.testing.assert_array_equal(alone[name], x[pick], err_msg=name)
