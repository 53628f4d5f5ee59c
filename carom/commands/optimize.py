"""``carom optimize``: lower a task's cost along the gradient of a backend, or without one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files.output_folder import next_folder
from ..quiet import init_warp
from .common import file_name, make_task, option, stages, task_options, whole_identity

if TYPE_CHECKING:
    from ..runs import Progress, RunFolder

__all__ = ["Optimize"]

KIND, RECORDING, CURVE = "optimize", "recording.npz", "curve"


@dataclass(frozen=True)
class Optimize:
    """Lower the cost of a task: results.json, the curve, a recording of the best; and it can be resumed when killed."""

    task: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="TASK", help_behavior_hint="")] = None
    """Name of the task; `carom tasks` lists them. Not needed with --resume."""
    gradient: Annotated[str | None, option("BACKEND")] = None
    """Backend of the gradient: smoothing (the default), autodiff, softened, surrogate, smoothing-first, mixed, ..., or
    one that an installed package adds."""
    optimizer: Annotated[str | None, option("adam|lbfgs|cmaes|mppi")] = None
    """Optimizer. By default adam. cmaes and mppi need no gradient."""
    rollouts: Annotated[int | None, option("INT")] = None
    """Budget; a backward pass counts as 2. By default 10000."""
    iterations: Annotated[int | None, option("INT")] = None
    """Most iterations. By default 300."""
    learning_rate: Annotated[float | None, option("FLOAT")] = None
    """First step of a parameter, in its units. By default half the scale for adam, all of it for lbfgs."""
    samples: Annotated[int | None, option("INT")] = None
    """Rollouts for each gradient that samples, or each generation. By default 64; few dozens for cmaes."""
    scale: Annotated[float | None, option("FLOAT")] = None
    """Standard deviation of the noise, in the units of the parameters. By default the task's own."""
    seed: Annotated[int | None, option("INT")] = None
    """Seed of all randomness; the same seed gives the same numbers on the same machine. By default 0."""
    out: Annotated[Path | None, option("FOLDER")] = None
    """Folder for the run, new or empty. By default carom-runs/optimize-TASK-<number>."""
    resume: Annotated[Path | None, option("FOLDER")] = None
    """Continue the run in this folder; it ends with the numbers that it would have had without the break."""
    start: Annotated[str | None, option("touching|apart")] = None
    """Start of a push: touching or apart. By default the task's own."""
    options: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Further options of the task, as in --options offset=0.02,friction=0.4."""
    device: Annotated[str | None, option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""

    def run(self, out: Console, progress: Console) -> None:
        """Optimize, show and write."""
        with ExitStack() as stack:
            with stages(progress) as say:
                say("loading")
                import torch

                init_warp()
                torch.set_num_threads(1)  # networks and vectors are small; rollouts have threads of their own
                folder = self._resumed() if self.resume is not None else None
                if folder is not None:
                    stack.enter_context(folder)
                    for name, (then, now) in folder.changed_versions.items():
                        progress.print(f"{name} was {then} and is {now}: last digits may differ", style="yellow")
                    identity = folder.identity
                    with whole_identity(folder.path):
                        parts = _Parts(identity)
                else:
                    identity = self._identity()
                    parts = _Parts(identity)  # refuses what cannot be before anything is on the disk
                    path = self.out or next_folder(file_name(KIND, identity["task"]["name"], self.start))
                    from ..runs import RunFolder

                    folder = stack.enter_context(RunFolder.create(path, KIND, identity))
            result = parts.minimize(folder, progress)
            with stages(progress) as say:
                say("drawing and recording")
                said = parts.write(folder, result)
            out.print(_table(identity, result))
            for sentence in said:
                out.print(Text(sentence))
        out.print(Text(f"written to {folder.path}", "dim"))

    def _resumed(self) -> RunFolder:
        from ..runs import RunError, RunFolder

        if self.out is not None:
            raise RunError("--resume continues a run in its own folder: leave out --out")
        given: dict[str, Any] = {"task.name": self.task, "task.device": self.device, "task.dtype": self.dtype}
        options = task_options(self.options, self.start)
        given |= {f"task.options.{name}": value for name, value in options.items()}
        given |= {name: getattr(self, name) for name in _SETTINGS}
        assert self.resume is not None
        return RunFolder.resume(self.resume, KIND, {name: value for name, value in given.items() if value is not None})

    def _identity(self) -> dict[str, Any]:
        """All that the run depends on, with the defaults put in."""
        from ..api.optimize import ITERATIONS, OPTIMIZER, ROLLOUTS, chosen_gradient
        from ..envs import TaskError

        if self.task is None:
            raise TaskError("name a task (`carom tasks` lists them), or a run to continue with --resume FOLDER")
        optimizer = self.optimizer or OPTIMIZER
        options = {name: getattr(self, name) for name in _OPTIONS}
        gradient = chosen_gradient(self.gradient, optimizer, options)
        place = {"device": self.device, "dtype": self.dtype}
        return {
            "task": {"name": self.task, "options": task_options(self.options, self.start), **place},
            "gradient": gradient,
            "optimizer": optimizer,
            "rollouts": ROLLOUTS if self.rollouts is None else self.rollouts,
            "iterations": ITERATIONS if self.iterations is None else self.iterations,
            "learning_rate": self.learning_rate,
            "samples": self.samples,
            "scale": self.scale,
            "seed": 0 if self.seed is None else self.seed,
        }


_SETTINGS = ("gradient", "optimizer", "rollouts", "iterations", "learning_rate", "samples", "scale", "seed")
_OPTIONS = ("learning_rate", "samples", "scale")


class _Parts:
    """Task, backend and optimizer of an identity; and what is done with them."""

    def __init__(self, identity: dict[str, Any]):
        from ..api.optimize import make_strategies
        from ..gradients.core.checks import check_count

        self.identity = identity
        check_count("rollouts", identity["rollouts"], 1)
        check_count("iterations", identity["iterations"], 1)
        where = identity["task"]
        self.task, self.theta = make_task(where["name"], dict(where["options"]), where["device"], where["dtype"])
        options = {name: identity[name] for name in _OPTIONS}
        self.backend, self.optimizer = make_strategies(self.task, identity["gradient"], identity["optimizer"], options)

    def minimize(self, folder: RunFolder, progress: Console) -> Any:
        from ..optimization import minimize
        from ..runs.progress import shown_progress

        with shown_progress(progress, self._progress_line) as report:
            return minimize(
                self.task,
                self.theta,
                self.optimizer,
                backend=self.backend,
                rollouts=self.identity["rollouts"],
                iterations=self.identity["iterations"],
                seed=self.identity["seed"],
                folder=folder,
                report=report,
                how_to_resume=f"Continue with: carom optimize --resume {folder.path}",
            )

    def _progress_line(self, now: Progress) -> tuple[float, str]:
        history = now.history
        done = history["rollouts"][now.iteration - 1] or 0
        budget, most = self.identity["rollouts"], self.identity["iterations"]
        cost, best = history["cost"][now.iteration - 1], history["best_cost"][now.iteration - 1]
        line = f"iteration {now.iteration}, {done} of {budget} rollouts, cost {cost:.4g}, best {best:.4g}"
        return max(done / budget, now.iteration / most), line

    def write(self, folder: RunFolder, result: Any) -> list[str]:
        """Curve, recording and results.json, in this order; the verdicts."""
        from ..capabilities import can_record, parameter_names, way_points_of
        from ..files.results import versions
        from ..files.run_folder import recording_entry, scene_entry
        from ..optimization import Problem
        from ..optimization.verdicts import verdicts
        from ..render.run_curve import save_curve
        from ..runs.recorded import save_recording

        identity, path = self.identity, folder.path
        said = verdicts(result, Problem(self.task, self.backend), identity["gradient"])
        history = result.history
        title = f"{self.task.name}: {identity['optimizer']}" + (f", {identity['gradient']}" if self.backend else "")
        save_curve(
            path / CURVE,
            history["rollouts"],
            {"cost": history["cost"], "best so far": history["best_cost"]},
            title=title,
            x_label="rollouts (a backward pass counts as 2)",
        )
        recordings = []
        if can_record(self.task):
            missing = save_recording(lambda: self.task.record(result.theta[None]), path / RECORDING)
            label = identity["gradient"] or identity["optimizer"]
            placed = way_points_of(self.task)
            points = None if placed is None else placed(result.theta[None])[0]
            if missing is None:
                recordings.append(recording_entry(label, RECORDING, result.cost, points, None, result.curve))
            else:
                said.append(missing[0].upper() + missing[1:])
        folder.finish(
            {
                "format": 1,
                "kind": KIND,
                "task": identity["task"] | {"parameter_names": parameter_names(self.task, len(result.theta))},
                "settings": {name: identity[name] for name in _SETTINGS},
                "optimizer": _options_of(self.optimizer),
                "backend": None if self.backend is None else _options_of(self.backend),
                "start_cost": result.start_cost,
                "cost": result.cost,
                "theta": result.theta,
                "rollouts": result.rollouts,
                "forward": result.forward,
                "backward": result.backward,
                "iterations": result.iterations,
                "stop": result.stop,
                "verdicts": said,
                "history": history,
                "recordings": recordings,
                "scene": scene_entry(self.task),
                "versions": versions(),
                "timings": {"seconds": result.seconds},
            }
        )
        return said


def _options_of(strategy: Any) -> dict[str, Any]:
    """A backend or an optimizer, for results.json."""
    # a backend that is not ours need not be a dataclass
    options = asdict(strategy) if is_dataclass(strategy) and not isinstance(strategy, type) else {}
    return {"type": type(strategy).__name__, **options}


def _table(identity: dict[str, Any], result: Any) -> Table:
    table = Table.grid(padding=(0, 2))
    gradient = f", gradient by {identity['gradient']}" if identity["gradient"] else ", without a gradient"
    passes = f" ({result.forward} forward, {result.backward} backward)" if result.backward else ""
    for what, figure in (
        ("task", identity["task"]["name"]),
        ("optimizer", identity["optimizer"] + gradient),
        ("cost", f"{result.start_cost:.4g} at the start, {result.cost:.4g} at best"),
        ("effort", f"{result.iterations} iterations, {result.rollouts} rollouts{passes}, {result.seconds:.3g} s"),
        ("ended", result.stop),
    ):
        table.add_row(Text(what, "bold"), figure)
    return table
