"""``carom optimize`` from outside: files, numbers, a SIGKILL, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import carom
from carom.envs import Push
from carom.files.run_folder import load_run
from carom.runs import read_checkpoint
from carom.sim import StateError

from ..conftest import load, run_cli

PUSH = ("push", "--start", "apart", "--options", "way_points=2,duration=0.6")


def numbers(folder: Path) -> dict[str, Any]:
    """The results, less what a clock says."""
    return {name: entry for name, entry in load(folder).items() if name != "timings"}


def test_smoothing_finds_the_box_that_the_exact_gradient_does_not_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cli("optimize", *PUSH, "--gradient", "autodiff", "--out", tmp_path / "exact")
    shown = " ".join(capsys.readouterr().out.split())
    assert "The gradient by autodiff is exactly zero in all 4 parameters, so theta did not move" in shown
    assert "--gradient smoothing or softened looks beyond" in shown
    exact = load(tmp_path / "exact")
    assert exact["cost"] == exact["start_cost"]

    out = tmp_path / "smoothed"
    run_cli("optimize", *PUSH, "--rollouts", 700, "--samples", 32, "--learning-rate", 0.02, "--out", out)
    results = load(out)
    files = ["checkpoint.pt", "curve.png", "curve.svg", "recording.npz", "results.json", "run.json"]
    assert sorted(path.name for path in out.iterdir()) == files
    assert results["cost"] < 0.6 * results["start_cost"]
    task = carom.envs.make("push", start="apart", way_points=2, duration=0.6)
    theta = torch.tensor([results["theta"]])
    assert float(task(theta)[0]) == results["cost"]
    assert results["rollouts"] == results["forward"] == 1 + 33 * results["iterations"] <= 700
    (entry,) = results["recordings"]
    assert entry["cost"] == results["cost"] == entry["curve"][-1][1]
    assert entry["curve"][-1][0] == results["rollouts"]
    (seen,) = load_run(out).entries  # what `carom view` shows
    np.testing.assert_array_equal(seen.recording.body_q, task.rollout(theta).body_q.numpy())
    np.testing.assert_array_equal(seen.way_points, task.way_points(theta)[0].numpy())
    with Image.open(out / "curve.png") as picture:
        assert np.asarray(picture).std() > 0


def killed(arguments: list[str], checkpoint: Path, iterations: int) -> None:
    """Run the command in a process that ends by SIGKILL as soon as a checkpoint of so many iterations is there."""
    code = "import inspect, sys, carom.optimization.driver as driver, carom.cli\n"
    code += "inspect.unwrap(driver.minimize).__kwdefaults__['every'] = 0.0\n"  # a checkpoint after every iteration
    code += "carom.cli.main(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.DEVNULL)
    reached = -1
    while reached < iterations:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.002)
        if checkpoint.exists():
            reached = read_checkpoint(checkpoint)["content"]["iteration"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check_kills(tmp_path: Path, method: list[object], kills: tuple[int, ...]) -> None:
    command = [str(argument) for argument in ("optimize", *method)]
    whole = tmp_path / "whole"
    run_cli(*command, "--out", whole)
    broken = tmp_path / "broken"
    arguments = [*command, "--out", str(broken)]
    for kill in kills:
        killed(arguments, broken / "checkpoint.pt", kill)
        arguments = ["optimize", "--resume", str(broken)]
    assert not (broken / "results.json").exists()
    run_cli("optimize", "--resume", broken)
    assert numbers(broken) == numbers(whole)
    assert (broken / "curve.svg").read_bytes() == (whole / "curve.svg").read_bytes()


def test_a_run_ended_by_sigkill_and_resumed_has_the_numbers_of_one_that_was_not(tmp_path: Path) -> None:
    check_kills(tmp_path, ["quadratic", "--rollouts", 4000, "--samples", 16], (30,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        ["--gradient", "smoothing", "--samples", 16],
        ["--gradient", "softened"],
        ["--optimizer", "cmaes"],
        ["--optimizer", "mppi", "--samples", 16],
        ["--gradient", "surrogate", "--samples", 64],
    ],
    ids=lambda method: method[1],
)
def test_killed_three_times(tmp_path: Path, method: list[object]) -> None:
    check_kills(tmp_path, [*PUSH, "--rollouts", 600, *method], (1, 2, 6))


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        run_cli("optimize", *arguments)
    assert stop.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("name a task", "--resume")),
        (("pusj",), ("did you mean 'push'",)),
        (("push", "--gradient", "smooth"), ("unknown backend 'smooth'", "smoothing")),
        (("push", "--optimizer", "sgd"), ("unknown optimizer 'sgd'", "adam")),
        (("push", "--optimizer", "cmaes", "--gradient", "autodiff"), ("cmaes follows no gradient",)),
        (
            ("push", "--gradient", "autodiff", "--samples", 8),
            ("adam with autodiff has no use for samples (--samples)",),
        ),
        (
            ("push", "--optimizer", "mppi", "--learning-rate", 0.1),
            ("mppi has no use for learning_rate (--learning-rate)",),
        ),
        (("push", "--learning-rate", -1), ("learning_rate is -1",)),
        (("push", "--rollouts", 0), ("rollouts is 0",)),
        (("push", "--samples", 7), ("samples is 7", "even")),
        (("push", "--options", "goal=x"), ("goal must be x [m], y [m] and yaw [rad]", "'x'")),
        (("push", "--options", "offset=0.01,offset=0.02"), ("offset is given twice, as 0.01 and as 0.02",)),
        (("push", "--start", "apart", "--options", "start=touching"), ("start is given twice",)),
        (("push", "--options", "dtype=float64", "--dtype", "float32"), ("dtype is given twice, as --dtype float32",)),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple, words: tuple[str, ...]
) -> None:
    line = refused(capsys, *arguments, "--out", tmp_path / "deep" / "out")
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_resume_of_what_cannot_be_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert "no run to resume" in refused(capsys, "--resume", out)
    run_cli("optimize", "quadratic", "--rollouts", 300, "--out", out)
    assert "is finished" in refused(capsys, "--resume", out)
    assert "not empty" in refused(capsys, "quadratic", "--out", out)
    (out / "results.json").unlink()
    for arguments, words in (
        (("push",), "task.name = 'quadratic', and 'push'"),
        (("--options", "dimension=3"), "task.options.dimension = None"),
        (("--gradient", "autodiff"), "gradient = 'smoothing'"),
        (("--seed", 4), "seed = 0, and 4"),
        (("--out", tmp_path / "other"), "leave out --out"),
    ):
        assert words in refused(capsys, *arguments, "--resume", out)
    checkpoint = out / "checkpoint.pt"
    good = checkpoint.read_bytes()
    checkpoint.write_bytes(good[:-7])
    assert "is damaged" in refused(capsys, "--resume", out)
    checkpoint.write_bytes(good)
    stored = json.loads((out / "run.json").read_text())
    stored["identity"]["task"]["name"] = "linear"
    (out / "run.json").write_text(json.dumps(stored))
    assert "task.name is 'quadratic' in the checkpoint and 'linear' in the run" in refused(capsys, "--resume", out)


def test_a_run_that_does_not_say_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_cli("optimize", "quadratic", "--rollouts", 100, "--out", tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    capsys.readouterr()
    whole = json.loads((tmp_path / "run" / "run.json").read_text())
    for change in ({"rollouts": None}, {"task": "quadratic"}):
        identity = {name: entry for name, entry in (whole["identity"] | change).items() if entry is not None}
        (tmp_path / "run" / "run.json").write_text(json.dumps(whole | {"identity": identity}))
        assert "run.json is damaged: it does not say what the run is" in refused(capsys, "--resume", tmp_path / "run")


def test_a_rollout_that_cannot_be_recorded_costs_the_recording_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unrecorded(self: Any, theta: torch.Tensor) -> Any:
        raise StateError("no forces found")

    monkeypatch.setattr(Push, "record", unrecorded)
    out = tmp_path / "run"
    run_cli("optimize", *PUSH, "--rollouts", 40, "--samples", 8, "--out", out)
    assert "the rollout cannot be recorded: no forces found" in " ".join(capsys.readouterr().out.split())
    results = load(out)
    assert results["recordings"] == []
    assert "no forces found" in results["verdicts"][-1]
    assert not (out / "recording.npz").exists()


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from carom.envs.testbeds import Quadratic

    calls = []
    whole = Quadratic.__call__

    def interrupted(self: Any, theta: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return whole(self, theta)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Quadratic, "__call__", interrupted)
        with pytest.raises(SystemExit) as stop:
            run_cli("optimize", "quadratic", "--rollouts", 3000, "--out", out)
    assert stop.value.code == 130
    said = " ".join(capsys.readouterr().err.split())
    assert f"carom optimize --resume {out}" in said
    run_cli("optimize", "--resume", out)
    run_cli("optimize", "quadratic", "--rollouts", 3000, "--out", tmp_path / "whole")
    assert numbers(out) == numbers(tmp_path / "whole")
