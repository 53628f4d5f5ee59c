"""``carom train``: a policy for a closed-loop task, with any gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files.output_folder import next_folder
from ..quiet import init_warp
from .common import file_name, option, refuse_twice, stages, task_options, whole_identity

if TYPE_CHECKING:
    from ..envs.control import ControlTask
    from ..training import Method, Training

__all__ = ["Train"]

KIND = "train"
DEFAULTS: dict[str, Any] = {"gradient": None, "steps": None, "seed": 0}


@dataclass(frozen=True)
class Train:
    """Train a policy for a closed-loop task: policy.pt, learning curve, recording and results.json."""

    task: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="TASK", help_behavior_hint="")] = None
    """Name of the closed-loop task: push, push_t, ... May be left out with --resume."""
    gradient: Annotated[str | None, option("NAME")] = None
    """autodiff (default), softened, smoothing, mixed, lax or ppo; or a backend that an installed package adds."""
    steps: Annotated[int | None, option("INT")] = None
    """Control intervals to simulate, over all worlds. By default 2000000; carrots, where one takes 200 times as long,
    20000; search 100000."""
    seed: Annotated[int | None, option("INT")] = None
    """Seed of all randomness; by default 0. The same seed gives the same numbers on the same machine."""
    settings: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Settings of the training, as in --settings worlds=64,learning_rate=1e-3."""
    options: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Options of the task, as in --options start=apart,friction=0.4."""
    out: Annotated[Path | None, option("FOLDER")] = None
    """Folder of the run, new or empty. By default carom-runs/train-TASK-GRADIENT-<number>."""
    resume: Annotated[Path | None, option("FOLDER")] = None
    """Go on with the run in this folder, which was killed, interrupted or stopped."""
    device: Annotated[str | None, option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""

    def run(self, out: Console, progress: Console) -> None:
        """Train, show and write."""
        with stages(progress) as say:
            say("loading")
            import torch

            from ..envs import TaskError
            from ..runs import RunError, RunFolder
            from ..training import train
            from ..training.outcome import write_outcome

            init_warp()
            torch.set_num_threads(1)  # the networks are small; one thread gives the same bits on every machine
            if self.resume is not None:
                if self.out is not None:
                    raise RunError("--resume goes on in the folder of the run: leave out --out")
                folder = RunFolder.resume(self.resume, KIND, self._given())
            else:
                if self.task is None:
                    raise TaskError("name a task to train on, as in `carom train push`, or a run to --resume")
                identity = self._identity()
                _parts(identity)  # refuses what cannot be before a folder is made
                name = file_name("train", self.task, identity["gradient"])
                folder = RunFolder.create(self.out or next_folder(name), KIND, identity)
            with folder:
                identity = folder.identity
                with whole_identity(folder.path):
                    task, method = _parts(identity)
                say("compiling kernels (about a minute the first time)")
                training = train(
                    task,
                    method,
                    steps=identity["steps"],
                    seed=identity["seed"],
                    folder=folder,
                    report=_reporter(progress, say),
                    how_to_resume=f"Go on with: carom train --resume {folder.path}",
                )
                say("recording and drawing")
                notes = write_outcome(folder, task, method, training)
        out.print(_table(identity, training))
        for note in notes:
            out.print(Text(note[0].upper() + note[1:]))
        out.print(Text(f"written to {folder.path}", "dim"))

    def _identity(self) -> dict[str, Any]:
        """Identity of the run: all that decides its numbers."""
        places = {name: value for name in ("device", "dtype") if (value := getattr(self, name)) is not None}
        chosen = {
            name: default if (value := getattr(self, name)) is None else value for name, default in DEFAULTS.items()
        }
        from ..api.train import GRADIENT, default_steps

        if chosen["gradient"] is None:
            chosen["gradient"] = GRADIENT
        if chosen["steps"] is None:
            chosen["steps"] = default_steps(str(self.task))
        options = task_options(self.options)
        refuse_twice(options, places)
        return {"task": {"name": self.task, "options": {**options, **places}}, **chosen, "settings": self._settings()}

    def _settings(self) -> dict[str, Any]:
        return task_options(self.settings, example="--settings worlds=64,learning_rate=1e-3")

    def _given(self) -> dict[str, Any]:
        """Options that the user has named again with --resume."""
        given: dict[str, Any] = {name: value for name in DEFAULTS if (value := getattr(self, name)) is not None}
        if self.task is not None:
            given["task.name"] = self.task
        if self.settings is not None:
            given["settings"] = self._settings()
        for name in ("device", "dtype"):
            if (value := getattr(self, name)) is not None:
                given[f"task.options.{name}"] = value
        for name, value in task_options(self.options).items():
            given[f"task.options.{name}"] = value
        return given


def _parts(identity: Mapping[str, Any]) -> tuple[ControlTask, Method]:
    """Task and method of a run."""
    from ..api.train import make_training

    where = identity["task"]
    return make_training(where["name"], where["options"], identity["gradient"], identity["settings"], identity["steps"])


def _reporter(console: Console, say: Callable[[str], None]) -> Callable[[Any, int], None]:
    """Tells of every iteration on a terminal, of evaluated ones in a log."""

    def report(now: Any, count: int) -> None:
        if console.is_terminal or now.history["validation_success"][now.iteration - 1] is not None:
            say(_line(now, count))

    return report


def _line(now: Any, count: int) -> str:
    """One line on the progress of a training."""
    history, last = now.history, now.iteration - 1
    checked = [share for share in history["validation_success"][: last + 1] if share is not None]
    success = f", success on unseen goals {100 * checked[-1]:.0f} %" if checked else ""
    return (
        f"iteration {now.iteration} of {count}, {history['steps'][last]:,} steps, cost {history['cost'][last]:.3f}"
        f"{success}, {now.seconds:.0f} s"
    )


def _table(identity: Mapping[str, Any], training: Training) -> Table:
    """The result."""
    table = Table(title=f"{identity['task']['name']}: policy trained with {identity['gradient']}", title_justify="left")
    for name in ("steps", "success", "95 % interval", "cost of an episode", "core seconds", "seconds"):
        table.add_column(name, justify="right")
    found, (low, high) = training.evaluation, training.evaluation.interval
    table.add_row(
        f"{training.steps:,}", f"{found.successes}/{found.episodes} = {100 * found.success:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f} %", f"{found.cost:.3f}", f"{training.core_seconds:.0f}",
        f"{training.seconds:.0f}",
    )  # fmt: skip
    return table
