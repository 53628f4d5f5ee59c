"""Run folders are read back as they were written, and everything else is refused by name, cause and way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import moving_boxes

import carom
from carom.files.results import write_json
from carom.files.run_folder import RunFolderError, load_run, recording_entry, unique_labels
from carom.sim import RecordingError

from ..conftest import run_cli

PATH = np.linspace([0.0, 0.0, 0.05], [0.2, 0.1, 0.05], 11)[:, None, None]


def write(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda content: None) -> Path:
    folder.mkdir()
    moving_boxes(PATH).save(folder / "auto.npz")
    moving_boxes(PATH[:, :, :, [1, 0, 2]]).save(folder / "smooth.npz")
    entry = recording_entry(
        "autodiff", "auto.npz", 0.25, np.array([[0.1, 0.2], [0.3, 0.4]]), {"autodiff": [[1, 2], [3, 4]]},
        [[0, 3.0], [10, float("nan")], [20, 1.0]],
    )  # fmt: skip
    content: dict[str, Any] = {
        "format": 1,
        "recordings": [entry, recording_entry("smoothing", "smooth.npz")],
        "scene": {"goal": [[0, 0], [1, 0], [1, 1]], "colors": {"box0": "#ff0000"}},
    }
    change(content)
    write_json(folder / "results.json", content)
    return folder


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    run = load_run(write(tmp_path / "run"))
    first, second = run.entries
    assert (first.label, first.cost, second.label, second.cost) == ("autodiff", 0.25, "smoothing", None)
    np.testing.assert_array_equal(first.recording.body_q[..., :3], PATH)
    np.testing.assert_array_equal(first.way_points, [[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_array_equal(first.gradients["autodiff"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(first.curve, [[0, 3], [10, np.nan], [20, 1]])  # type: ignore[arg-type]
    assert second.way_points is None
    assert not second.gradients
    np.testing.assert_array_equal(run.goal, [[0, 0], [1, 0], [1, 1]])
    assert run.colors == {"box0": "#ff0000"}


def test_a_recording_alone_is_a_run_and_names_stay_apart(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    alone = load_run(folder / "auto.npz")
    assert [entry.label for entry in alone.entries] == ["auto"]
    again = load_run(write(tmp_path / "other"))
    assert unique_labels([load_run(folder), again, alone]) == [
        "run: autodiff", "run: smoothing", "other: autodiff", "other: smoothing", "auto",
    ]  # fmt: skip
    assert len(set(unique_labels([again, again]))) == 4


def test_carom_run_writes_such_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_cli("run", "push", "--out", out, "--options", "way_points=2,duration=0.5", "--size", 200)
    run = load_run(out)
    task = carom.envs.make("push", way_points=2, duration=0.5)
    theta = task.initial_parameters()[None]
    (entry,) = run.entries
    np.testing.assert_array_equal(entry.recording.body_q, task.rollout(theta).body_q.numpy())
    assert entry.cost == float(task(theta)[0])
    np.testing.assert_allclose(entry.way_points, task.way_points(theta)[0].numpy())  # type: ignore[arg-type]
    np.testing.assert_allclose(run.goal, task.goal_outline)  # type: ignore[arg-type]


def _first(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["recordings"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format=7), ("format 7", "reads 1 and 2")),
        (lambda c: c.pop("recordings"), ("lists no recordings", "carom run")),
        (_first("file", "../other/auto.npz"), ("'../other/auto.npz'", "not in the folder")),
        (_first("file", "/etc/passwd"), ("not in the folder",)),
        (_first("file", "..\\auto.npz"), ("not in the folder",)),
        (_first("file", "C:\\auto.npz"), ("not in the folder",)),
        (_first("file", "link.npz"), ("not in the folder",)),
        (_first("file", 3), ("recordings[0].file",)),
        (_first("label", None), ("recordings[0].label",)),
        (_first("cost", "low"), ("recordings[0].cost",)),
        (_first("way_points", [[0, 1, 2]]), ("recordings[0].way_points",)),
        (_first("way_points", None), ("gradients.autodiff", "2 arrows for no way-points")),
        (_first("gradients", {"autodiff": [[1, 2]]}), ("1 arrows for 2 way-points",)),
        (_first("gradients", {"autodiff": [[1, None], [0, 0]]}), ("gradients.autodiff", "pairs of numbers")),
        (_first("curve", [[5, 1.0], [3, 2.0]]), ("curve", "upwards")),
        (lambda c: c.update(scene={"goal": "left"}), ("scene.goal",)),
        (lambda c: c.update(scene={"colors": {"box0": "no colour"}}), ("scene.colors",)),
    ],
)
def test_entries_that_cannot_be_are_refused(tmp_path: Path, change: Callable, words: tuple[str, ...]) -> None:
    folder = write(tmp_path / "run", change)
    write(tmp_path / "other")
    (folder / "link.npz").symlink_to(tmp_path / "other" / "auto.npz")
    with pytest.raises(RunFolderError) as error:
        load_run(folder)
    message = str(error.value)
    assert str(folder / "results.json") in message
    assert all(word in message for word in words), message
    assert "run it anew" in message.lower()


def test_folders_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    with pytest.raises(RunFolderError, match="there is no run"):
        load_run(tmp_path / "nowhere")
    (folder / "auto.npz").rename(tmp_path / "auto.npz")
    with pytest.raises(RecordingError, match=r"no recording .*auto\.npz"):
        load_run(folder)
    (folder / "auto.npz").write_bytes((tmp_path / "auto.npz").read_bytes()[:700])
    with pytest.raises(RecordingError, match=r"auto\.npz .*damaged"):
        load_run(folder)
    whole = (folder / "results.json").read_text()
    for text in (whole[:80], "[1]", whole.replace("0.25", "NaN"), "[" * 100000, "\x00"):
        (folder / "results.json").write_text(text)
        with pytest.raises(RunFolderError, match=r"results\.json"):
            load_run(folder)
    (folder / "results.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(RunFolderError, match="not JSON"):
        load_run(folder)
    (folder / "results.json").unlink()
    with pytest.raises(RunFolderError, match=r"no results\.json, which is written last"):
        load_run(folder)
