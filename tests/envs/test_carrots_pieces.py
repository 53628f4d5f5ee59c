"""Cut pieces: seeded, all different, closed, of sensible size, against trimesh and against what they were cut from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import trimesh

from carom.envs import TaskError
from carom.envs.carrots import cut_carrot
from carom.envs.carrots.cutting import KINDS, MAX_VERTICES, MIN_VOLUME, MIN_WIDTH, carrot_body, cut_one


@pytest.fixture(scope="module")
def pieces():
    return cut_carrot(60, 3)


def solid(piece):
    """The piece rebuilt by trimesh from its faces, not from its vertices."""
    mesh = piece.mesh
    loops = [mesh.loop[a:b] for a, b in zip(mesh.loop_start[:-1], mesh.loop_start[1:], strict=True)]
    triangles = [[loop[0], loop[i], loop[i + 1]] for loop in loops for i in range(1, len(loop) - 1)]
    return trimesh.Trimesh(piece.vertices, triangles, process=False)


def test_closed_convex_and_of_the_stated_volume(pieces):
    for piece in pieces:
        body = solid(piece)
        assert body.is_watertight
        assert body.is_winding_consistent
        hull = trimesh.convex.convex_hull(piece.vertices)
        assert hull.volume == pytest.approx(body.volume, rel=1e-6)
        assert piece.mesh.volume == pytest.approx(body.volume, rel=1e-6)
        np.testing.assert_allclose(body.center_mass, 0.0, atol=1e-8)


def test_limits(pieces):
    for piece in pieces:
        assert len(piece.vertices) <= MAX_VERTICES
        assert piece.mesh.volume >= MIN_VOLUME
        # least width by an independent route: over many directions it is never less than the stated one
        directions = np.random.default_rng(0).standard_normal((4000, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        width = np.ptp(directions @ piece.vertices.T, axis=1)
        assert width.min() >= MIN_WIDTH
        longest = np.linalg.norm(piece.vertices[:, None] - piece.vertices, axis=-1).max()
        assert 0.01 < longest < 0.04


def test_every_kind_and_no_two_alike(pieces):
    kinds = Counter(piece.kind for piece in pieces)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 8  # 15 each if they were equal
    # sorted distances from the centre do not change when a piece is turned or mirrored
    volumes = np.sort([piece.mesh.volume for piece in pieces])
    assert np.diff(volumes).min() > 1e-12
    shapes = {tuple(np.round(np.sort(np.linalg.norm(p.vertices, axis=1)), 7)) for p in pieces}
    assert len(shapes) == len(pieces)


def test_the_seed_decides():
    first, again, other = cut_carrot(12, 5), cut_carrot(12, 5), cut_carrot(12, 6)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)
        assert a.kind == b.kind
    assert not any(np.array_equal(a.vertices, b.vertices) for a, b in zip(first, other, strict=True))


def test_pieces_of_one_carrot_add_up_to_it():
    """Without the shoulder (cut off at 4 percent) and the offcuts thrown away, everything is in some piece."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        length, radius = rng.uniform(0.15, 0.18), rng.uniform(0.012, 0.015)  # as cut_one draws them
        squash, turn = rng.uniform(0.92, 1.0), rng.uniform(0.0, 2.0 * np.pi)
        whole = trimesh.convex.convex_hull(carrot_body(length, radius, squash, turn))
        kept = sum(piece.mesh.volume for piece in cut_one(np.random.default_rng(seed), dict.fromkeys(KINDS, 0)))
        assert 0.8 * whole.volume < kept < whole.volume
        # a frustum from the shoulder to where the tip begins, by hand: most of it
        area = 0.5 * 10 * np.sin(2.0 * np.pi / 10) * squash * radius**2
        frustum = area * (0.87 - 0.03) * length * (1.0 + 0.62 + 0.62**2) / 3.0
        assert frustum < whole.volume < 1.15 * frustum
        np.testing.assert_allclose(np.ptp(whole.vertices[:, 2]), length, rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [
        (0, 0, "pieces must be an integer from 1 to 200, got 0"),
        (201, 0, "pieces must be an integer from 1 to 200"),
        (2.5, 0, "pieces must be an integer"),
        (True, 0, "pieces must be an integer"),
        (5, -1, "seed must be an integer of at least 0"),
        (5, 0.5, "seed must be an integer"),
    ],
)
def test_bad_numbers(count, seed, message):
    with pytest.raises(TaskError, match=message):
        cut_carrot(count, seed)
