"""Every task through every command that `carom tasks` names for it, of little effort; and refusals of all others."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path

import pytest

from carom import cli
from carom.commands.tasks import COMMANDS, commands_of
from carom.envs import tasks
from carom.envs.control import control_tasks
from carom.training import TrainingError, registry

NAMES = [*tasks(), *(name for name in control_tasks() if name not in tasks())]
FLAGS: dict[str, tuple[object, ...]] = {
    "run": ("--fps", 2),
    "compare": ("--samples", 32, "--rollouts", 100, "--reference-samples", 4, "--no-report"),
    "diagnose": ("--samples", 16),
    "optimize": ("--samples", 8, "--rollouts", 40, "--iterations", 2),
    "train": ("--steps", 8, "--settings", "worlds=8"),
}
"""Of the commands themselves."""

QUICK = ("heaviside", "choice", "tent_map", "two_discs")
"""Tasks without a simulator, which take tenths of a second."""
SMALL = {"push": ("--options", "threads=1")}
"""Options for the default run; the slow one has the defaults."""
RESULTS = {"run": "recording.npz", "compare": "results.json", "optimize": "results.json", "train": "policy.pt"}

ALL = [(command, name) for name in NAMES for command in commands_of(name)]


def call(command: str, name: str, folder: Path, *further: object) -> None:
    out = () if command == "diagnose" else ("--out", folder)
    cli.main([str(part) for part in (command, name, *FLAGS[command], *out, *further)])


def few_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations and recordings of a training have no flag."""
    training = import_module("carom.training.train")  # by its module: the package has a function of this name
    monkeypatch.setattr(training, "VALIDATION", 4)
    monkeypatch.setattr(training, "TEST", 4)
    monkeypatch.setattr("carom.training.outcome.EPISODES", 2)


def check(command: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is a result, and it is about this task."""
    assert capsys.readouterr().out.strip()
    if command == "diagnose":
        return
    assert (folder / RESULTS[command]).exists()
    results = json.loads((folder / "results.json").read_text())
    assert results["task"]["name"] == name
    if command == "compare":  # of so few samples a network may be too poor to be used, which its row then says
        assert [row["name"] for row in results["backends"] if row["error"] and row["name"] != "surrogate"] == []


@pytest.mark.parametrize(
    ("command", "name"),
    [pair for pair in ALL if pair[1] in QUICK] + [("train", "push"), ("run", "push"), ("optimize", "push")],
)
def test_quick_tasks(command, name, tmp_path, monkeypatch, capsys):
    few_episodes(monkeypatch)
    call(command, name, tmp_path / "out", *SMALL.get(name, ()))
    check(command, name, tmp_path / "out", capsys)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name"), ALL)
def test_every_task_with_every_command_that_takes_it(command, name, tmp_path, monkeypatch, capsys):
    few_episodes(monkeypatch)
    call(command, name, tmp_path / "out")
    check(command, name, tmp_path / "out", capsys)


@pytest.mark.slow
@pytest.mark.parametrize("gradient", list(registry.METHODS))
@pytest.mark.parametrize("name", list(control_tasks()))
def test_every_way_of_training_on_every_task(name, gradient, tmp_path, monkeypatch, capsys):
    """Softened contact needs contacts to soften: where there are none it is refused, and nothing is written."""
    few_episodes(monkeypatch)
    if (name, gradient) == ("search", "softened"):
        with pytest.raises(SystemExit):
            call("train", name, tmp_path / "out", "--gradient", gradient, "--options", "objective=heaviside")
        assert "has no simulator with any: use another gradient (--gradient)" in " ".join(
            capsys.readouterr().err.split()
        )
        assert not (tmp_path / "out").exists()
        return
    call("train", name, tmp_path / "out", "--gradient", gradient)
    check("train", name, tmp_path / "out", capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in tasks() if "run" in commands_of(name)])
def test_whole_reports(name, tmp_path, capsys):
    """With all studies; and `carom render` takes what was written."""
    flags = ("--samples", 32, "--rollouts", 100, "--reference-samples", 4)
    cli.main([str(part) for part in ("compare", name, *flags, "--out", tmp_path / "out")])
    check("compare", name, tmp_path / "out", capsys)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    cli.main(["render", str(tmp_path / "out"), "--out", str(tmp_path / "film.gif"), "--fps", "2", "--size", "160"])
    assert (tmp_path / "film.gif").stat().st_size > 1000


@pytest.mark.parametrize(
    ("command", "name"),
    [(c, n) for n in NAMES for c in COMMANDS if c not in commands_of(n) and n in {*QUICK, "search"}],
)
def test_what_a_command_does_not_take_is_refused_at_once(command, name, tmp_path, capsys):
    """In one line that names it, before any work and with nothing written."""
    clock = time.process_time()
    with pytest.raises(SystemExit) as stop:
        call(command, name, tmp_path / "out")
    assert stop.value.code == 2
    assert time.process_time() - clock < 10.0
    said = " ".join(capsys.readouterr().err.split())
    assert "error: " in said
    assert name in said
    assert list(tmp_path.iterdir()) == []


def test_the_list_says_which_commands_take_a_task(capsys):
    """Each task stands under the commands that the tests above try out."""
    cli.main(["tasks"])
    heading, found = (), {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("carom ") and line.rstrip().endswith(" TASK"):
            heading = tuple(line.split()[1].split("|"))
        elif line.startswith("  ") and line[2:3].strip():
            found[line.split()[0]] = heading
    assert found == {name: commands_of(name) for name in NAMES}
    assert commands_of("push") == COMMANDS
    assert commands_of("heaviside") == ("compare", "diagnose", "optimize")
    assert commands_of("search") == ("train",)


@pytest.mark.parametrize(
    ("horizon", "length"), [(40, 10), (5, 5), (20, 10), (1, 1), (26, 13), (41, 41), (12, 12), (6, 6)]
)
def test_windows_divide_the_episode(horizon, length):
    """The divisor that is nearest to 10 by ratio."""

    class Episode:
        name, training_window = "episode", 10

    task = Episode()
    task.horizon = horizon
    method = registry.make_method("autodiff", worlds=4)
    method.check(task)
    assert method.length(task) == length
    assert method.steps(task) == 4 * length
    task.horizon = 5
    with pytest.raises(TrainingError, match=r"does not divide the 5 .*: give a divisor \(1, 5\), or leave window out"):
        registry.make_method("autodiff", window=10).check(task)
