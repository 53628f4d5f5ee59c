"""Files that are recordings by their looks, and hold what does not fit or cannot be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import carom
from carom.sim import RecordingError


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Content of the file of a falling ball and a hull on the ground, two worlds."""
    builder = carom.ModelBuilder()
    builder.add_ground(friction=0.5)
    ball = builder.add_body(position=(0.0, 0.0, 0.05), name="ball")
    builder.add_sphere(ball, radius=0.05, density=1000.0)
    stone = builder.add_body(position=(0.3, 0.0, 0.05), name="stone")
    corners = 0.05 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    builder.add_convex(stone, corners, density=1000.0)
    simulator = carom.Simulator(builder.finalize(device="cpu", dtype="float64"), step=0.002)
    trajectory = simulator.rollout(simulator.model.state(worlds=2), steps=5, record=True)
    path = carom.record(simulator, trajectory).save(tmp_path_factory.mktemp("recording") / "run.npz")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _set(array: np.ndarray, index: object, value: float) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "body_q",
            lambda x: x[:, :, :1],
            r"body_q has the shape \(6, 2, 1, 7\) where the scene asks for \(6, 2, 2, 7\)",
        ),
        ("body_q", lambda x: x[0], "body_q"),
        ("body_q", lambda x: _set(x, (3, 1, 0, 2), np.nan), "body_q holds numbers that are not finite"),
        ("body_q", lambda x: _set(x, (3, 1, 0, 3), 2.0), "quaternions"),
        ("body_q", lambda x: x.astype(complex), "type complex"),
        ("body_v", lambda x: x[:-1], "body_v"),
        ("body_names", lambda x: x[:1], "body_q has the shape"),
        ("body_names", lambda x: np.arange(2), "not names"),
        ("contact_start", lambda x: x[::-1], "contact_start does not count up"),
        ("contact_start", lambda x: x.astype(float), "contact_start holds entries of type float64"),
        ("contact_force", lambda x: x[1:], "contact_force"),
        ("contact_body", lambda x: _set(x, (0, 0), 2), "contact_body holds entries outside of -1 to 1"),
        ("shape_body", lambda x: _set(x, 1, 7), "shape_body"),
        ("shape_mesh", lambda x: _set(x, 2, 4), "shape_mesh"),
        ("shape_mesh", lambda x: _set(x, 2, -1), "convex shape has no mesh"),
        ("shape_type", lambda x: _set(x, 0, 9), "shape_type"),
        ("shape_size", lambda x: np.concatenate([x, x, x]), "shape_size has 3 rows"),
        ("mesh_start", lambda x: _set(x, -1, 99), "mesh_start"),
        ("mesh_start", lambda x: x[:0], "mesh_start"),
        ("step_size", lambda x: np.array(0.0), "step_size"),
        ("step_size", lambda x: np.array("soon"), "step_size"),
        ("version", lambda x: np.array([2, 2]), "version"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    entries: dict[str, np.ndarray], tmp_path: Path, name: str, change: object, words: str
) -> None:
    path = tmp_path / "run.npz"
    np.savez(path, **(entries | {name: change(entries[name])}))  # type: ignore[operator]
    with pytest.raises(RecordingError, match=words) as error:
        carom.Recording.load(path)
    assert str(path) in str(error.value)


def test_the_file_itself_is_read(entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", **entries)
    np.testing.assert_array_equal(carom.Recording.load(tmp_path / "run.npz").body_q, entries["body_q"])


def test_no_damage_shows_as_another_error(entries: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Bytes changed or cut anywhere: either the archive's checksums find it, or it did not touch what is read."""
    buffer = io.BytesIO()
    np.savez(buffer, **entries)
    good, rng, refused = bytearray(buffer.getvalue()), np.random.default_rng(0), 0
    path = tmp_path / "run.npz"
    for trial in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, len(good), size=1 + trial % 4):
            bad[place] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bad if trial % 3 else bad[: int(rng.integers(0, len(bad)))])
        try:
            back = carom.Recording.load(path)
        except RecordingError:
            refused += 1
        else:
            np.testing.assert_array_equal(back.body_q, entries["body_q"])
            np.testing.assert_array_equal(back.contact_force, entries["contact_force"])
    assert refused > 200
