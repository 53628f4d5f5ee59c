"""Weights of contacts whose slip changes side by side against one by one."""

from typing import Any

import numpy as np
import pytest
import warp as wp
from random_contacts import EPS, H, picked, random_slips

from carom.kernels.contact import contact_rows, slip, slip_weights_lanes


def outcome(case: tuple[Any, ...], dtype: Any, repeat: Any = None) -> dict[str, Any]:
    """Weights after the first solve, and the worlds that take further ones."""
    arrays, q, v0, _, f, rows, _, slips, _ = case
    contact_rows.prepare(dtype, arrays, q, v0, f, rows, h=H, eps=EPS, angular_eps=EPS)
    taken = wp.full(len(f.count.numpy()), 5, dtype=int, device="cpu")
    slips.staged.zero_()
    slips.any.zero_()
    slips.weight.fill_(7)
    slip.weigh(dtype, arrays, v0, slips.body_va, f, rows, slips, taken, h=H, eps=EPS, repeat=repeat)
    found = {name: getattr(slips, name).numpy().copy() for name in ("weight", "staged", "any")}
    return found | {"taken": taken.numpy().copy()}


def apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Measured: 4e-11.

    A weight asks for the impulse in units of 0.002 b |T|, which is a small part of the terms that the impulse sums.
    """
    for name, x in one.items():
        assert np.isfinite(x).all(), name
        if x.dtype.kind == "i":
            np.testing.assert_array_equal(x, other[name], err_msg=name)
        else:
            assert np.abs(x - other[name]).max() <= 1e-10 * max(1.0, float(np.abs(x).max())), name


@pytest.mark.parametrize("marked", [False, True], ids=["all worlds", "marked worlds"])
def test_as_one_by_one(marked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of 0, of 1 and between, and worlds that take no further solve."""
    between = 0
    for seed in range(6):
        case = random_slips(13, seed, wp.float64)
        repeat = wp.array(np.arange(13) % 2, dtype=int, device="cpu") if marked else None
        with monkeypatch.context() as patch:
            patch.setattr(slip_weights_lanes, "serves", lambda *_: False)
            one = outcome(case, wp.float64, repeat)
        weights = one["weight"]
        assert (weights == 0).any()
        assert (weights == 1).any()
        between += ((weights > 0.01) & (weights < 0.99)).sum()
        assert 0 < one["staged"].sum() < 13
        apart(one, outcome(case, wp.float64, repeat))
    assert between > 5


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any) -> None:
    """The same numbers one by one, in a ragged group, and in another place of it."""
    case = random_slips(11, 5, dtype)
    together = outcome(case, dtype)
    for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
        alone = outcome(tuple(picked(x, 11, pick) for x in case), dtype)
        for name, x in together.items():
            if name != "any":
                np.testing.assert_array_equal(alone[name], x[pick], err_msg=name)
