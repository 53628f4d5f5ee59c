"""``carom train`` from outside: files, refusals, and a run that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from carom.cli import main
from carom.envs.control import make_control
from carom.envs.control.pushing import PushControl
from carom.files.run_folder import load_run
from carom.sim import StateError
from carom.training import evaluate, load_policy, unseen

TINY = ["--settings", "worlds=4,window=2,hidden=(8,)", "--options", "horizon=4"]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "run"
    main(["train", "push", "--steps", "48", *TINY, "--out", str(folder)])
    return folder


def test_the_folder_holds_what_was_trained(finished):
    found = results(finished)
    task = make_control("push", horizon=4)
    policy = load_policy(finished / "policy.pt", task)
    again = evaluate(task, policy, unseen(task, 512))
    assert again.cost == found["evaluation"]["cost"]
    assert found["steps_simulated"] == 48
    assert found["history"]["steps"] == [8, 16, 24, 32, 40, 48]
    (entry,) = load_run(finished).entries
    assert entry.label == "autodiff"
    assert (finished / "curve.png").stat().st_size > 1000


def test_recorded_episodes_are_those_that_were_evaluated(finished):
    (entry,) = load_run(finished).entries
    task = make_control("push", horizon=4)
    state = unseen(task, entry.recording.worlds)
    policy = load_policy(finished / "policy.pt", task)
    with torch.no_grad():
        for _ in range(4):
            state = task.step(state, policy.act(task.observe(state))).state
    assert torch.equal(torch.from_numpy(entry.recording.body_q[-1]), state.bodies.body_q)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "name a task to train on"),
        (["train", "pusch"], "did you mean 'push'"),
        (["train", "push", "--gradient", "exact"], "unknown gradient 'exact'"),
        (["train", "push", "--settings", "window=7"], "does not divide the 40"),
        (["train", "push", "--steps", "0"], "steps is 0"),
        (["train", "push", "--settings", "worlds"], "is not of the form name=value, as in --settings worlds=64"),
        (["train", "push", "--settings", "worlds=4,worlds=8"], "worlds is given twice, as 4 and as 8"),
        (["train", "push", "--options", "dtype=float64", "--dtype", "float32"], "dtype is given twice"),
        (["train", "push", "--options", "softening=3"], "softened by the gradient softened (--gradient softened)"),
        (
            ["train", "search", "--gradient", "softened", "--options", "objective=quadratic", "--settings", "window=4"],
            "softened softens contacts, and 'quadratic' has no simulator",
        ),
        (["train", "--resume", "nowhere"], "there is no run to resume"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())


def test_a_finished_run_or_one_of_another_task_is_not_resumed(capsys, finished):
    for arguments, message in (([], "is finished"), (["push_t"], "task.name")):
        with pytest.raises(SystemExit):
            main(["train", *arguments, "--resume", str(finished)])
        if arguments:
            continue
        assert message in " ".join(capsys.readouterr().err.split())


def test_a_rollout_that_cannot_be_recorded_costs_the_recording_only(tmp_path, capsys, monkeypatch):
    """Hours of training are not lost for a picture."""

    def unrecorded(self, start, actions):
        raise StateError("no forces found")

    monkeypatch.setattr(PushControl, "record", unrecorded)
    main(["train", "push", "--steps", "8", *TINY, "--out", str(tmp_path / "run")])
    assert "the rollout cannot be recorded: no forces found" in " ".join(capsys.readouterr().out.split())
    found = results(tmp_path / "run")
    assert found["recordings"] == []
    assert "no forces found" in found["notes"][0]
    assert not (tmp_path / "run" / "recording.npz").exists()


def test_a_run_that_does_not_say_what_it_is(tmp_path, capsys, finished):
    stored = json.loads((finished / "run.json").read_text())
    for change in ({"settings": None}, {"task": "push"}, {"gradient": 3}):
        identity = {name: entry for name, entry in (stored["identity"] | change).items() if entry is not None}
        (tmp_path / "run.json").write_text(json.dumps(stored | {"identity": identity}))
        with pytest.raises(SystemExit):
            main(["train", "--resume", str(tmp_path)])
        said = " ".join(capsys.readouterr().err.split())
        assert "run.json is damaged: it does not say what the run is" in said or "unknown gradient 3" in said


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_numbers(tmp_path):
    """SIGKILL twice, at moments that nobody chose; to the bit."""
    command = [sys.executable, "-m", "carom", "train"]
    rest = ["push", "--steps", "2400", *TINY]
    subprocess.run([*command, *rest, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    broken = tmp_path / "broken"
    arguments = [*rest, "--out", str(broken)]
    for _ in range(2):
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = (broken / "checkpoint.pt").stat().st_mtime_ns if (broken / "checkpoint.pt").exists() else 0
        limit = time.monotonic() + 120.0
        while time.monotonic() < limit and process.poll() is None:
            if (broken / "checkpoint.pt").exists() and (broken / "checkpoint.pt").stat().st_mtime_ns > before:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (broken / "results.json").exists()
        arguments = ["--resume", str(broken)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    one, other = results(tmp_path / "whole"), results(broken)
    for found in (one, other):
        found["history"].pop("core_seconds")
    assert one["history"] == other["history"]
    assert one["evaluation"] == other["evaluation"]
    policies = [torch.load(folder / "policy.pt", weights_only=True) for folder in (tmp_path / "whole", broken)]
    assert all(
        torch.equal(policies[0]["weights"][name], policies[1]["weights"][name]) for name in policies[0]["weights"]
    )
