"""The settled pile: at rest on the table; and the cache that keeps it."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from scenes import rotate

from carom.envs.carrots import CacheWarning, cache, cut_carrot
from carom.envs.carrots.scene import build_scene
from carom.envs.carrots.spilling import Spill, drop_poses, pile_half_side, spill
from carom.sim import Simulator, record

HOW = Spill(seed=4, friction=0.5)


@pytest.fixture(scope="module")
def pieces():
    return cut_carrot(10, 4)


@pytest.fixture(scope="module")
def pile(pieces):
    return spill(pieces, HOW)


def corners(pieces, poses):
    """Vertices of each piece in the world."""
    q = torch.from_numpy(poses)
    return [
        (rotate(pose[3:].expand(len(p.vertices), 4), torch.from_numpy(p.vertices)) + pose[:3]).numpy()
        for p, pose in zip(pieces, q, strict=True)
    ]


@pytest.mark.parametrize("count", [1, 7, 10, 100, 200])
def test_nothing_overlaps_in_the_air(count):
    pieces = cut_carrot(count, 1)
    poses = drop_poses(pieces, HOW)
    radius = np.array([np.linalg.norm(p.vertices, axis=1).max() for p in pieces])
    distance = np.linalg.norm(poses[:, None, :3] - poses[:, :3], axis=-1)
    apart = distance - radius[:, None] - radius
    assert (apart[~np.eye(count, dtype=bool)] > 0.0).all()
    assert min(c[:, 2].min() for c in corners(pieces, poses)) > 0.0
    assert np.abs(poses[:, :2]).max() < 1.5 * pile_half_side(count) + 0.02


def test_at_rest_on_the_table(pieces, pile):
    model = build_scene(pieces, pile, HOW.friction, None).finalize(dtype="float64")
    simulator = Simulator(model, stiction=HOW.stiction, threads=1)
    path = simulator.rollout(model.state(), steps=40)
    assert path.body_v[..., :3].norm(dim=-1).max() < 1e-3
    gaps = record(simulator, path).contact_gap
    assert -gaps[gaps < 0.0].mean() < 0.05e-3
    lowest = np.array([c[:, 2].min() for c in corners(pieces, pile)])
    assert lowest.min() > -0.05e-3  # none through the table
    assert lowest.min() < 0.0
    assert np.abs(pile[:, :2]).max() < 0.15  # none thrown out


def test_the_pile_is_low(pieces, pile):
    """Area for one layer, and friction: nothing stands on more than one other piece's full length."""
    longest = max(np.linalg.norm(p.vertices[:, None] - p.vertices, axis=-1).max() for p in pieces)
    assert max(c[:, 2].max() for c in corners(pieces, pile)) < 2.0 * longest


def test_the_spill_depends_on_its_seed_alone(pieces, pile):
    np.testing.assert_array_equal(spill(pieces, HOW), pile)
    other = drop_poses(pieces, Spill(seed=5, friction=0.5))
    assert np.abs(other - drop_poses(pieces, HOW)).max() > 0.01


class Counted:
    """Stands in for the simulation and counts how often it was needed."""

    def __init__(self, poses):
        self.poses, self.calls = poses, 0

    def __call__(self, pieces, how):
        self.calls += 1
        return self.poses.copy()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CAROM_CACHE", str(tmp_path / "some" / "where"))
    return tmp_path / "some" / "where" / "piles"


def test_cache_is_hit(pieces, pile, folder):
    made = Counted(pile)
    for _ in range(3):
        np.testing.assert_array_equal(cache.settled_pile(pieces, HOW, made), pile)
    assert made.calls == 1
    assert [f.suffix for f in folder.iterdir()] == [".npz"]  # nothing half-written is left


def test_cache_key_holds_all_that_decides(pieces, pile, folder, monkeypatch):
    keys = {cache.pile_key(pieces, HOW), cache.pile_key(pieces[:9], HOW), cache.pile_key(pieces[::-1], HOW)}
    for change in ({"seed": 9}, {"friction": 0.4}, {"step": 0.004}, {"longest": 2.0}, {"stiction": 1e-3}):
        keys.add(cache.pile_key(pieces, Spill(**{"seed": 4, "friction": 0.5, **change})))
    monkeypatch.setattr("carom.envs.carrots.cache.__version__", "0.0.0-other")
    keys.add(cache.pile_key(pieces, HOW))
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    keys.add(cache.pile_key(pieces, HOW))
    assert len(keys) == 10


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other", "nan", "fields"])
def test_damaged_files_are_noticed_and_made_anew(pieces, pile, folder, damage):
    made = Counted(pile)
    cache.settled_pile(pieces, HOW, made)
    (path,) = folder.iterdir()
    data = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        at = len(data) // 3
        path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    elif damage == "other":
        np.savez(path, poses=pile, key=np.array("0" * 32))
    elif damage == "nan":
        np.savez(path, poses=np.full_like(pile, np.nan), key=np.array(path.stem))
    else:
        np.savez(path, key=np.array(path.stem))
    with pytest.warns(CacheWarning, match=r"damaged .* it is made anew"):
        np.testing.assert_array_equal(cache.settled_pile(pieces, HOW, made), pile)
    assert made.calls == 2
    np.testing.assert_array_equal(cache.settled_pile(pieces, HOW, made), pile)  # whole again, silently
    assert made.calls == 2


def test_a_folder_that_cannot_be_written(pieces, pile, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CAROM_CACHE", str(tmp_path / "file"))
    with pytest.warns(CacheWarning) as said:
        np.testing.assert_array_equal(cache.settled_pile(pieces, HOW, Counted(pile)), pile)
    assert [("could not be kept" in str(w.message)) for w in said] == [True]


def test_default_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("CAROM_CACHE")
    folder = cache.cache_folder()
    assert folder.is_absolute()
    assert "carom" in folder.parts
    if os.name == "posix" and os.uname().sysname != "Darwin":
        monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
        assert cache.cache_folder().as_posix() == "/some/cache/carom"
