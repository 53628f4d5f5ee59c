"""Surrogates on disk: what comes back is what was written, and nothing else gets in."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import GradientError
from carom.gradients.learned import Box, Cloud, fit_surrogate, load_surrogate


@pytest.fixture(scope="module")
def surrogate():
    return fit_surrogate(
        Quadratic(), Box((-1.0, -1.0), (1.0, 1.0)), samples=64, hidden=(8, 4), ensemble=2, steps=50, outside="extend"
    )


@pytest.fixture
def file(surrogate, tmp_path):
    surrogate.save(tmp_path / "deep" / "surrogate.npz")
    return tmp_path / "deep" / "surrogate.npz"


def rewrite(path: Path, change) -> None:
    """Change header and arrays of a file as an attacker or an accident could."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    header = json.loads(bytes(arrays.pop("header")))
    change(header, arrays)
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays)


def test_round_trip(surrogate, file):
    loaded = load_surrogate(file, Quadratic())
    theta = torch.tensor([[0.3, -0.2], [0.9, 0.9]], dtype=torch.float64)
    for mine, theirs in zip(loaded.value_and_gradient(theta), surrogate.value_and_gradient(theta), strict=True):
        assert torch.equal(mine, theirs)
    assert loaded.report == surrogate.report
    assert loaded.options == surrogate.options
    assert loaded.regions == surrogate.regions
    assert [path.name for path in file.parent.iterdir()] == ["surrogate.npz"]
    # its data are there: an extension fits to the same points, so that it gives the same
    away = torch.tensor([2.5, 0.0], dtype=torch.float64)
    mine = loaded.estimate(Quadratic(), away, seed=3)
    theirs = surrogate.with_options().estimate(Quadratic(), away, seed=3)
    torch.testing.assert_close(mine.gradient, theirs.gradient)
    assert loaded.rollouts == 128
    loaded.save(file)
    assert load_surrogate(file).extensions == 1
    assert len(load_surrogate(file).regions) == 2


def test_a_cloud_comes_back(tmp_path):
    push = GapPush(gap=0.03)
    cloud = Cloud(push.initial_parameters(), 0.05)
    fit_surrogate(push, cloud, samples=64, hidden=(4,), steps=10).save(tmp_path / "a.npz")
    assert load_surrogate(tmp_path / "a.npz", push).regions == (cloud,)


def test_another_objective_is_refused(file):
    with pytest.raises(GradientError, match="its name: 'quadratic', here: 'gap_push'"):
        load_surrogate(file, GapPush())

    other = Quadratic(hessian=[[9.0, 0.0], [0.0, 5.0]])
    with pytest.raises(GradientError, match=r"another 'quadratic': at 8 of its points the costs differ.*options"):
        load_surrogate(file, other)
    assert load_surrogate(file, other, probes=0).rollouts == 64
    rewrite(file, set_header(parameter_names=["a", "b"]))
    with pytest.raises(GradientError, match="its parameter names: \\('a', 'b'\\)"):
        load_surrogate(file, Quadratic())


def set_header(**entries):
    return lambda header, arrays: header.update(entries)


def drop(name):
    return lambda header, arrays: (header.pop(name, None), arrays.pop(name, None))


def set_array(name, value):
    return lambda header, arrays: arrays.update({name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_header(version=2), "format is version 2, this carom reads version 1"),
        (set_header(format="else"), "not a model of carom"),
        (set_header(kind="grid of costs"), "holds a 'grid of costs', not a 'objective surrogate'"),
        (set_header(parameters=3), "another number of parameters"),
        (set_header(regions=[{"kind": "ball"}]), "not a region"),
        (set_header(regions=[], eps=[]), "it has no region"),
        (set_header(cost_spread=-1.0), "scales are not positive"),
        (set_header(counts=[0]), "header is incomplete"),
        (set_header(networks={"hidden": [8, 4], "ensemble": 2, "layers": 3}), "header is incomplete"),
        (lambda header, arrays: header["networks"].update(hidden=[8, 5]), r"'weight2' is float32 \[2, 8, 4\]"),
        (lambda header, arrays: header["options"].update(outside="eval"), "unknown outside 'eval'"),
        (drop("offset"), "header is incomplete"),
        (drop("weight3"), "'weight3' is missing"),
        (drop("costs0"), "header is incomplete"),
        (set_array("plane", np.zeros(3, dtype=np.float32)), "'plane' is float32"),
        (set_array("plane", np.full(3, np.nan)), "'plane' is not of finite numbers"),
        (set_array("plane", np.array(["a", "b", "c"])), "'plane' is not of finite numbers"),
    ],
)
def test_a_changed_file_is_refused(file, change, words):
    rewrite(file, change)
    with pytest.raises(GradientError, match=words):
        load_surrogate(file, Quadratic())


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_damaged_or_hostile_file_is_refused(file, tmp_path):
    whole = file.read_bytes()
    for name, data in [("cut", whole[: len(whole) // 2]), ("empty", b""), ("text", b"weights")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(GradientError, match="not a model that can be read"):
            load_surrogate(tmp_path / name)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    (tmp_path / "flipped").write_bytes(flipped)
    with pytest.raises(GradientError):
        load_surrogate(tmp_path / "flipped")
    mark = tmp_path / "executed"
    (tmp_path / "pickle").write_bytes(pickle.dumps(Bomb(mark)))
    rewrite(file, set_array("plane", np.array([Bomb(mark)], dtype=object)))
    for bad in (tmp_path / "pickle", file):
        with pytest.raises(GradientError, match="not a model that can be read"):
            load_surrogate(bad)
    assert not mark.exists()
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(GradientError, match="not an npz archive"):
        load_surrogate(tmp_path / "single.npy")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(GradientError, match="no header"):
        load_surrogate(tmp_path / "zip")
    with pytest.raises(FileNotFoundError):
        load_surrogate(tmp_path / "missing")


def test_a_failed_write_leaves_the_old_file(surrogate, file, monkeypatch):
    before = file.read_bytes()

    def half(target, **arrays):
        target.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="disk full"):
        surrogate.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["surrogate.npz"]
