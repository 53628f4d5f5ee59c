"""Rows of plain contacts, and the reverse of faces' friction, side by side against Warp's kernels of the same."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import warp as wp
from random_contacts import CONTACTS, EPS, H, picked, random_contacts, turned, unit

from carom.kernels.collision.features import FLAT
from carom.kernels.contact import contact_rows, face_friction

ROWS = ("body_a", "body_b", "normal", "arm_a", "arm_b", "twist", "coefficients", "centre", "pull")


def random_faces(worlds: int, seed: int, dtype: Any) -> tuple[Any, ...]:
    """Random contacts in which every run of patches is a face on a plane that stands still, in some worlds a single
    point or a line; heights are such that some corners do not count, some a little, and faces lie deep or are up."""
    case = random_contacts(worlds, seed, dtype)
    arrays, q, _, _, f, _, g = case
    rng = np.random.default_rng(seed + 50)
    body_of, poses = arrays.shape_body.numpy(), q.numpy()
    moving, still = np.flatnonzero(body_of >= 0), np.flatnonzero(body_of < 0)
    names = (
        "shape_a", "shape_b", "kind", "patch_start", "patch_count", "a0", "a1", "b0", "radius_a", "radius_b",
        "patch_arm",
    )  # fmt: skip
    x = {name: getattr(f, name).numpy() for name in names}
    x["patch_count"][:] = 0
    for world in range(worlds):
        c = int(rng.integers(0, 3))
        while c < CONTACTS:
            corners = int(min(rng.integers(1, 6), CONTACTS - c))
            run, b, size = slice(c, c + corners), rng.choice(moving), rng.uniform(0.05, 0.3)
            place, turn = poses[world, body_of[b], :3], poses[world, body_of[b], 3:]
            n = unit(rng.normal(size=3))
            across = np.linalg.svd(n[None])[2][1:]
            out = size * rng.normal(size=(corners, 2)) * (1.0, rng.choice([0.0, 0.3, 1.0])) @ across
            height = 0.03 * size
            out += n * height * rng.normal(size=(corners, 1)) + 0.3 * rng.normal(size=3)
            x["shape_a"][world, run], x["shape_b"][world, run] = rng.choice(still), b
            x["kind"][world, run], x["a1"][world, run] = int(FLAT), n * rng.uniform(0.5, 2.0)
            radii = rng.uniform(0.0, 0.1, 2)
            x["radius_a"][world, run], x["radius_b"][world, run] = radii
            foot = place + out.mean(0) - n * (radii.sum() + height * rng.normal() * rng.choice([0.3, 2.0]))
            x["a0"][world, run] = foot + np.cross(n, rng.normal(size=3))
            x["b0"][world, run] = turned(turn * (-1.0, -1.0, -1.0, 1.0), out)
            x["patch_start"][world, run], x["patch_count"][world, run] = c, corners
            x["patch_arm"][world, c] = rng.uniform(0.5, 0.7), rng.choice([0.0, 0.3, 0.9]), size
            c += corners + int(rng.integers(0, 2))
    for name, values in x.items():
        getattr(f, name).assign(values)
    # a world's contacts end with a face's last corner
    count = [
        max(c for c in range(CONTACTS + 1) if c <= n and not within(x, w, c)) for w, n in enumerate(f.count.numpy())
    ]
    f.count.assign(np.array(count, dtype=np.int32))
    g.centre.assign(rng.normal(size=(worlds, CONTACTS, 3)))
    g.pull.assign(rng.normal(size=(worlds, CONTACTS)))
    return case


def within(x: dict[str, Any], world: int, c: int) -> bool:
    """Whether a list that ends before contact ``c`` would cut a face."""
    return c < CONTACTS and x["patch_count"][world, c] > 0 and x["patch_start"][world, c] < c


def outcome(case: tuple[Any, ...], dtype: Any, in_lanes: bool, **options: Any) -> dict[str, Any]:
    """Rows of the listed contacts, and what the patches' adjoints do to the poses."""
    arrays, q, v0, _, f, rows, g = case
    arrays = dataclasses.replace(arrays, plain_contacts=in_lanes, other_patches=False)
    for name in ROWS:
        getattr(rows, name).fill_(7)
    contact_rows.prepare(dtype, arrays, q, v0, f, rows, h=H, eps=EPS, angular_eps=EPS, **{"even": True, **options})
    centre, pull = g.centre.numpy().copy(), g.pull.numpy().copy()
    g.body_q.zero_()
    face_friction.find_adjoint(dtype, arrays, q, f, rows, g)
    found = {name: getattr(rows, name).numpy().copy() for name in ROWS}
    found["body_q"] = g.body_q.numpy().copy()
    found |= {"adjoint centre": g.centre.numpy().copy(), "adjoint pull": g.pull.numpy().copy()}
    g.centre.assign(centre)
    g.pull.assign(pull)
    return found


def apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Measured in 16 batches: rows to 3e-14; derivatives to 1e-13, but 7e-11 where one corner has nearly all weight.

    Its covariance, and with it the derivative, is then a small difference of large moments in both.
    """
    for name, x in one.items():
        assert np.isfinite(x).all(), name
        tolerance = 1e-10 if name == "body_q" else 1e-12
        assert np.abs(x - other[name]).max() <= tolerance * max(1.0, float(np.abs(x).max())), name


@pytest.mark.parametrize("seed", range(6))
def test_as_one_by_one(seed: int) -> None:
    case = random_faces(13, seed, wp.float64)
    one = outcome(case, wp.float64, False)
    assert len(np.unique(one["pull"].round(6))) > 5
    assert np.count_nonzero(one["body_q"]) > 100
    apart(one, outcome(case, wp.float64, True))


def test_friction_at_the_corners() -> None:
    case = random_faces(13, 1, wp.float64)
    one, other = (outcome(case, wp.float64, in_lanes, even=False) for in_lanes in (False, True))
    assert not other["twist"][other["twist"] != 7].any()
    apart(one, other)


def test_contacts_of_all_kinds() -> None:
    """Without faces, between bodies too, and points that lie on each other."""
    case = random_contacts(13, 2, wp.float64)
    f = case[4]
    f.patch_count.zero_()
    apart(outcome(case, wp.float64, False), outcome(case, wp.float64, True))


def test_marked_worlds_alone() -> None:
    case = random_faces(13, 4, wp.float64)
    repeat = wp.array((np.arange(13) % 3 == 0).astype(np.int32), dtype=int, device="cpu")
    one, other = (outcome(case, wp.float64, in_lanes, repeat=repeat) for in_lanes in (False, True))
    apart(one, other)
    assert (other["normal"][1::3] == 7).all()


@pytest.mark.parametrize("dtype", [wp.float64, wp.float32], ids=["float64", "float32"])
def test_a_world_alone_to_the_bit(dtype: Any) -> None:
    """The same rows and derivatives one by one, in a ragged group, and in another place of it."""
    case = random_faces(11, 5, dtype)
    together = outcome(case, dtype, True)
    for pick in (slice(0, 1), slice(4, 5), slice(10, 11), slice(3, 11)):
        alone = outcome(tuple(picked(x, 11, pick) for x in case), dtype, True)
        for name, x in together.items():
            np.testing.assert_array_equal(alone[name], x[pick], err_msg=name)
