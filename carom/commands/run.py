"""``carom run``: one rollout of a task, recorded and drawn."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..files.output_folder import LAST, next_folder, output_folder
from ..quiet import init_warp
from .common import file_name, make_task, option, stages, task_options

if TYPE_CHECKING:
    import torch

    from ..sim import Recording

__all__ = ["FILES", "Run"]

RECORDING, ANIMATION = "recording.npz", "animation.gif"
FILES = (LAST, RECORDING, ANIMATION)
"""Names of all files that a run may write."""


@dataclass(frozen=True)
class Run:
    """One rollout of a task: recording.npz (poses, contacts, forces), animation.gif and results.json."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK", help_behavior_hint="")]
    """Name of the task; `carom tasks` lists them."""
    out: Annotated[Path | None, option("FOLDER")] = None
    """Folder for the results, new or empty. By default carom-runs/run-TASK-<number>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the results of an earlier run in that folder."""
    theta: Annotated[str | None, option("NUMBER,...")] = None
    """Parameters of the rollout, separated by commas. By default the task's initial ones."""
    fps: float = 25.0
    """Pictures a second."""
    speed: float = 1.0
    """Seconds of the run in a second of the animation."""
    size: int = 480
    """Width of the animation in pixels."""
    forces: bool = True
    """Mark contacts and draw their horizontal forces."""
    start: Annotated[str | None, option("touching|apart")] = None
    """Start of a push: touching or apart. By default the task's own."""
    options: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Further options of the task, as in --options offset=0.02,friction=0.4."""
    device: Annotated[str | None, option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""

    def run(self, out: Console, progress: Console) -> None:
        """Simulate, show and write."""
        folder = self.out or next_folder(file_name("run", self.task, self.start))
        with ExitStack() as stack:
            with stages(progress) as say:
                say("loading")
                from ..capabilities import can_record, parameter_names, scene_of
                from ..envs import TaskError
                from ..files.results import versions, write_json
                from ..files.run_folder import recording_entry, scene_entry
                from ..render.animation import animate
                from ..render.film import film_interval, film_steps

                init_warp()
                options = task_options(self.options, self.start)
                task, theta = make_task(self.task, options, self.device, self.dtype)
                if not can_record(task):
                    raise TaskError(f"task {self.task!r} simulates no bodies: there is nothing to record")
                theta = self._theta(task, theta)
                staging = stack.enter_context(output_folder(folder, overwrite=self.overwrite, ours=FILES))
                say("simulating (compiling kernels takes about a minute the first time)")
                clock = time.perf_counter()
                recording = task.record(theta[None])
                seconds = time.perf_counter() - clock
                film_steps(
                    recording, film_interval(Path(ANIMATION), self.fps), self.speed
                )  # refuses what cannot be before anything is written
                cost = float(task(theta[None])[0])
                say("writing the recording")
                recording.save(staging / RECORDING)
                say("drawing the animation")
                animate(
                    recording, staging / ANIMATION, fps=self.fps, speed=self.speed, size=self.size, forces=self.forces,
                    title=task.name, **scene_of(task),
                )  # fmt: skip
                content = {
                    "format": 1,
                    "task": {
                        "name": task.name,
                        "parameter_names": parameter_names(task, len(theta)),
                        "options": options,
                    },
                    "theta": theta.tolist(),
                    "cost": cost,
                    "recordings": [recording_entry(task.name, RECORDING, cost, _way_points(task, theta))],
                    "scene": scene_entry(task),
                    "run": _summary(recording),
                    "versions": versions(),
                    "timings": {"simulate_and_record": seconds},
                }
                write_json(staging / LAST, content)
            out.print(_table(task.name, cost, _summary(recording)))
        out.print(Text(f"written to {folder}", "dim"))

    def _theta(self, task: Any, theta: torch.Tensor) -> torch.Tensor:
        if self.theta is None:
            return theta
        from ..envs import TaskError

        try:
            numbers = [float(part) for part in self.theta.split(",")]
        except ValueError:
            raise TaskError(f"--theta takes numbers separated by commas, got {self.theta!r}") from None
        if len(numbers) != len(theta):
            from ..capabilities import parameter_names

            names = ", ".join(parameter_names(task, len(theta)))
            raise TaskError(f"--theta has {len(numbers)} numbers, and {task.name} {len(theta)} parameters: {names}")
        return theta.new_tensor(numbers)


def _way_points(task: Any, theta: torch.Tensor) -> Any:
    """Points that the parameters place, where the task has way-points."""
    from ..capabilities import way_points_of

    place = way_points_of(task)
    return None if place is None else place(theta[None])[0]


def _summary(recording: Recording) -> dict[str, float]:
    """The figures of a run that a user would ask for first."""
    import numpy as np

    each = np.diff(recording.contact_start)
    force = np.linalg.norm(recording.contact_force, axis=1)
    return {
        "seconds": float(recording.times[-1]),
        "steps": recording.steps,
        "bodies": len(recording.body_names),
        "most_contacts": int(each.max()),
        "mean_contacts": float(each.mean()),
        "largest_force": float(force.max(initial=0.0)),
        "deepest_contact": float(np.maximum(-recording.contact_gap, 0.0).max(initial=0.0)),
    }


def _table(name: str, cost: float, summary: dict[str, float]) -> Table:
    table = Table.grid(padding=(0, 2))
    for what, figure in (
        ("task", name),
        ("cost", f"{cost:.4g}"),
        ("simulated", f"{summary['seconds']:g} s in {summary['steps']} steps, {summary['bodies']} bodies"),
        ("contacts", f"{summary['mean_contacts']:.1f} a step, at most {summary['most_contacts']}"),
        ("largest force", f"{summary['largest_force']:.3g} N"),
        ("deepest contact", f"{1000.0 * summary['deepest_contact']:.2g} mm"),
    ):
        table.add_row(Text(what, "bold"), figure)
    return table
