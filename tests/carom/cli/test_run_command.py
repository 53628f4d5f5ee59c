"""``carom run`` from outside: files, numbers, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import carom

from ..conftest import load, run_cli


def test_a_push_is_recorded_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    theta = "-0.05,-0.01,0.01,-0.01"
    run_cli("run", "push", "--out", out, "--theta=" + theta, "--options", "way_points=2,duration=1.0", "--size", 200)
    assert sorted(path.name for path in out.iterdir()) == ["animation.gif", "recording.npz", "results.json"]
    results = load(out)
    task = carom.envs.make("push", way_points=2, duration=1.0)
    values = task.initial_parameters().new_tensor([[float(x) for x in theta.split(",")]])
    assert results["cost"] == float(task(values)[0])
    recording = carom.Recording.load(out / "recording.npz")
    np.testing.assert_array_equal(recording.body_q, task.rollout(values).body_q.numpy())
    shown = capsys.readouterr().out
    assert "1 s in 200 steps, 2 bodies" in shown
    assert f"at most {np.diff(recording.contact_start).max()}" in shown
    with Image.open(out / "animation.gif") as film:
        assert film.n_frames > 20


def test_several_pushes_of_a_pile_are_one_recording(tmp_path: Path) -> None:
    """The last state is the rollout's; the blade's jump between two pushes is in no force."""
    task = carom.envs.make("carrots", pieces=3, pushes=2)
    theta = task.initial_parameters()[None]
    recording = task.record(theta)
    np.testing.assert_array_equal(recording.body_q, task.rollout(theta).body_q.numpy())
    assert recording.steps == 2 * task.push_steps
    mass = task.model.body_mass[0, :3].numpy()
    h = recording.step_size
    change = mass[:, None] * np.diff(recording.body_v[:, 0, :3, :3], axis=0) / h
    force = recording.contact_wrench()[:, 0, :3, :3] + mass[:, None] * np.array([0.0, 0.0, -9.81])
    # float32, and the solver's tolerance: 1e-4 of the momentum change, in which the weight is the least term
    np.testing.assert_allclose(change, force, atol=2e-3 * np.abs(force).max())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quadratic",), ("quadratic", "nothing to record")),
        (("pusj",), ("did you mean 'push'",)),
        (("push", "--theta", "1,2"), ("2 numbers", "8 parameters", "x0")),
        (("push", "--theta", "1,two"), ("1,two",)),
        (("push", "--options", "way_points"), ("way_points", "name=value")),
        (("push", "--options", "wheels=4"), ("push", "wheels")),
        (("push", "--fps", 100), ("fps", "50")),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple, words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_cli("run", *arguments, "--out", tmp_path / "deep" / "out")
    assert stop.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert all(word in last for word in words), last
    assert list(tmp_path.iterdir()) == []
