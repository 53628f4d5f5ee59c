"""Runs that are killed, damaged, taken twice: what is on the disk afterwards, and what the user is told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from carom.files.atomic import atomic_file
from carom.files.output_folder import OutputError
from carom.gradients import GradientError
from carom.gradients.noise.counter_random import derive_seed, draw_uniforms
from carom.runs import (
    Advance,
    NotFiniteError,
    Progress,
    RunError,
    RunFolder,
    iterate,
    read_checkpoint,
    refuse_not_finite,
    write_checkpoint,
)
from carom.runs import folder as folder_module

IDENTITY = {"task": {"name": "walk", "options": {"steps": 3}}, "seed": 7}
ITERATIONS = 60


def begin() -> dict[str, Any]:
    return {"x": torch.zeros(5), "optimizer": {"state": {0: {"step": 0}}}, "best": float("inf")}


def walk(state: dict[str, Any], iteration: int) -> Advance:
    """A random walk, whose rounding depends on every step before; a few milliseconds an iteration."""
    time.sleep(0.002)
    x = 0.9 * state["x"] + draw_uniforms(derive_seed(7, iteration), "walk", first=0, rows=1, columns=5)[0].float()
    count = state["optimizer"]["state"][0]["step"] + 1
    state = {
        "x": x,
        "optimizer": {"state": {0: {"step": count}}},
        "best": min(state["best"], float(x.norm())),
    }
    stop = "all done" if iteration + 1 == ITERATIONS else None
    return Advance(state, {"norm": float(x.norm()), "count": count, "error": None}, stop)


def same(a: Progress, b: Progress) -> bool:
    tensors = torch.equal(a.state["x"], b.state["x"])
    rest = [(p.iteration, p.history, p.stop, p.state["optimizer"], p.state["best"]) for p in (a, b)]
    return tensors and rest[0] == rest[1]


def in_a_process_killed_when(path: Path, ready: Callable[[], bool]) -> None:
    """Work on the run in a process of its own, which ends by SIGKILL."""
    child = os.fork()
    if child == 0:  # never returns into pytest
        try:
            folder = (
                RunFolder.resume(path, "walk")
                if (path / "run.json").exists()
                else RunFolder.create(path, "walk", IDENTITY)
            )
            iterate(begin, walk, folder=folder, every=0.0)
        finally:
            os._exit(0)
    while not ready():
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_run_killed_again_and_again_equals_one_that_was_not(tmp_path: Path) -> None:
    whole = iterate(begin, walk)
    path = tmp_path / "run"
    reached = []
    for wait in (0.0, 0.013, 0.031, 0.047):  # into writes as well as between them
        clock = time.monotonic()
        in_a_process_killed_when(
            path, lambda c=clock, w=wait: (path / "checkpoint.pt").exists() and time.monotonic() - c > w
        )
        reached.append(read_checkpoint(path / "checkpoint.pt")["content"]["iteration"])
    assert reached == sorted(reached)
    assert reached[0] < ITERATIONS
    seen: list[int] = []
    with RunFolder.resume(path, "walk") as folder:
        assert sorted(p.name for p in path.iterdir()) == ["checkpoint.pt", "lock", "run.json"]  # no half files
        resumed = iterate(begin, walk, folder=folder, report=lambda now: seen.append(now.iteration))
    assert seen[0] == reached[-1]
    assert same(whole, resumed)
    assert len(resumed.history["norm"]) == ITERATIONS


def test_a_run_that_ended_but_was_not_finished_does_nothing_more(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "walk", IDENTITY) as folder:
        first = iterate(begin, walk, folder=folder)
    with RunFolder.resume(tmp_path / "run", "walk") as folder:
        again = iterate(begin, lambda state, iteration: pytest.fail("advanced"), folder=folder)
        assert same(first, again)
        folder.finish({"cost": 1.0})
    with pytest.raises(RunError, match=r"is finished: results\.json"):
        RunFolder.resume(tmp_path / "run", "walk")


def test_ctrl_c_keeps_the_iterations_and_says_how_to_go_on(tmp_path: Path) -> None:
    def interrupted(state: Any, iteration: int) -> Advance:
        if iteration == 9:
            raise KeyboardInterrupt
        return walk(state, iteration)

    with (
        RunFolder.create(tmp_path / "run", "walk", IDENTITY) as folder,
        pytest.raises(KeyboardInterrupt, match=r"after 9 iterations.*carom walk --resume"),
    ):
        iterate(begin, interrupted, folder=folder, every=1e9, how_to_resume="carom walk --resume run")
    with RunFolder.resume(tmp_path / "run", "walk") as folder:
        assert same(iterate(begin, walk, folder=folder), iterate(begin, walk))


class Half(dict):
    """A row in the middle of which Ctrl-C is pressed."""

    def items(self) -> Any:
        yield from list(super().items())[:1]
        raise KeyboardInterrupt


def test_history_and_state_agree_wherever_the_interrupt_falls(tmp_path: Path) -> None:
    def interrupted(state: Any, iteration: int) -> Advance:
        step = walk(state, iteration)
        return Advance(step.state, Half(step.row)) if iteration == 9 else step

    with RunFolder.create(tmp_path / "run", "walk", IDENTITY) as folder, pytest.raises(KeyboardInterrupt):
        iterate(begin, interrupted, folder=folder, every=1e9)
    with RunFolder.resume(tmp_path / "run", "walk") as folder:
        assert same(iterate(begin, walk, folder=folder), iterate(begin, walk))


@pytest.mark.parametrize("error", [NotFiniteError("the cost is nan at world 3"), GradientError("no gradient")])
def test_a_failure_names_the_iteration_and_keeps_what_was_before(tmp_path: Path, error: Exception) -> None:
    def failing(state: Any, iteration: int) -> Advance:
        if iteration == 4:
            raise error
        return walk(state, iteration)

    path = tmp_path / "run"
    with (
        RunFolder.create(path, "walk", IDENTITY) as folder,
        pytest.raises(RunError, match=rf"iteration 4: {error}.*after 4 iterations.*checkpoint\.pt"),
    ):
        iterate(begin, failing, folder=folder, every=1e9)
    with RunFolder.resume(path, "walk") as folder:
        assert folder.load()["iteration"] == 4
        assert same(iterate(begin, walk, folder=folder), iterate(begin, walk))


def test_the_first_row_that_is_not_finite_is_named() -> None:
    numbers = torch.zeros(5, 3)
    refuse_not_finite("the gradient", numbers)
    numbers[3, 1], numbers[4, 0] = float("nan"), float("inf")
    with pytest.raises(NotFiniteError, match=r"the gradient is not finite at world 3, entry 1 .and 1 more"):
        refuse_not_finite("the gradient", numbers, row="world")


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, {"x": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device; the checkpoint before it is kept"):
        write_checkpoint(path, {"x": 2})
    assert read_checkpoint(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("where", [0, 30, 300, -1])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_any_damage_is_noticed(tmp_path: Path, where: int, damage: str) -> None:
    with RunFolder.create(tmp_path / "run", "walk", IDENTITY) as folder:
        folder.save({"x": torch.arange(300)})
        data = bytearray(folder.checkpoint.read_bytes())
        data[where] ^= 1
        folder.checkpoint.write_bytes(data if damage == "flip" else data[:where])
        with pytest.raises(RunError, match=r"checkpoint\.pt"):
            folder.load()


class Trap:
    """Actions that a pickle may not be allowed."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("trapped",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_checkpoint(tmp_path / "checkpoint.pt", {"trap": Trap()})
    with pytest.raises(RunError, match="holds what a checkpoint may not"):
        read_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "trapped").exists()


def change(path: Path, **entries: Any) -> None:
    stored = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(stored | entries))


def killed_while_writing(path: Path) -> None:
    """Leave what a process leaves that is killed while it writes ``path``."""
    child = os.fork()
    if child == 0:
        with atomic_file(path) as file:
            file.write(b'{"format": 1, "ki')
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(path.parent.glob(".*"))) == 1


def test_killed_before_it_had_said_what_it_is_the_folder_can_be_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "lock").write_text("4711\n")
    killed_while_writing(path / "run.json")
    with RunFolder.create(path, "walk", IDENTITY):
        assert sorted(entry.name for entry in path.iterdir()) == ["lock", "run.json"]


@pytest.mark.parametrize("name", ["checkpoint.pt", "results.json"])
def test_half_a_file_of_a_killed_process_goes_when_the_run_is_taken_up(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run"
    with RunFolder.create(path, "walk", IDENTITY) as folder:
        iterate(begin, walk, folder=folder)
    (path / "mine.pt").write_text("the user's")
    killed_while_writing(path / name)
    with RunFolder.resume(path, "walk"):
        assert sorted(entry.name for entry in path.iterdir()) == ["checkpoint.pt", "lock", "mine.pt", "run.json"]


def test_finished_by_another_process_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It held the folder when it was looked at, and had written its results when the lock was free."""
    path = tmp_path / "run"
    RunFolder.create(path, "walk", IDENTITY).close()
    whole = folder_module._lock

    def late(where: Path) -> int:
        (where / "results.json").write_text("{}")
        return whole(where)

    monkeypatch.setattr(folder_module, "_lock", late)
    with pytest.raises(RunError, match="is finished"):
        RunFolder.resume(path, "walk")
    monkeypatch.undo()
    (path / "results.json").unlink()
    RunFolder.resume(path, "walk").close()  # and the lock was let go


def test_a_checkpoint_that_cannot_be_read(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "walk", IDENTITY) as folder:
        folder.checkpoint.mkdir()
        with pytest.raises(RunError, match=r"checkpoint\.pt cannot be read: Is a directory\. Begin the run anew"):
            folder.load()


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(RunError, match=r"no run to resume in .*: it does not exist"):
        RunFolder.resume(path, "walk")
    with RunFolder.create(path, "walk", IDENTITY) as folder:
        folder.save({"iteration": 0})
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            RunFolder.resume(path, "walk")
    with pytest.raises(OutputError, match="continue it with --resume"):
        RunFolder.create(path, "walk", IDENTITY)
    with pytest.raises(RunError, match=r"a run of `carom walk`, not of `carom train`"):
        RunFolder.resume(path, "train")
    with pytest.raises(RunError, match=r"task\.name = 'walk', and 'carrots' is asked for"):
        RunFolder.resume(path, "walk", {"seed": 7, "task.name": "carrots"})
    other = tmp_path / "other"
    with RunFolder.create(other, "walk", IDENTITY | {"task": {"name": "walk", "options": {"steps": 4}}}) as theirs:
        theirs.checkpoint.write_bytes((path / "checkpoint.pt").read_bytes())
        with pytest.raises(RunError, match=r"task\.options\.steps is 3 in the checkpoint and 4 in the run"):
            theirs.load()
    change(path, format=99)
    with pytest.raises(RunError, match="format 99"):
        RunFolder.resume(path, "walk")
    change(path, format=1, versions={"carom": "0.0.1"})
    with pytest.raises(RunError, match=r"begun by carom 0\.0\.1"):
        RunFolder.resume(path, "walk")
    (path / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json cannot be read"):
        RunFolder.resume(path, "walk")
