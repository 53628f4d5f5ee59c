"""The ``carom`` command."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.text import Text

from . import __version__
from .quiet import init_warp
from .report.folder import OutputError, next_folder, output_folder

__all__ = ["main"]

FAILED, INTERRUPTED = 2, 130
"""Exit codes: bad input (as for bad arguments); Ctrl-C, by the convention of shells."""


def _option(metavar: str) -> Any:
    """An option that may be left out; its help says what then holds."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclass(frozen=True)
class Compare:
    """Gradient of a task by several backends, side by side: table, figures and results.json."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK", help_behavior_hint="")]
    """Name of the task; `carom tasks` lists them."""
    out: Annotated[Path | None, _option("FOLDER")] = None
    """Folder for the results, new or empty. By default carom-runs/TASK-<number>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the results of an earlier run in that folder."""
    seed: int = 0
    """Seed of all randomness; the same seed gives the same numbers on the same machine."""
    samples: int = 256
    """Rollouts for each backend that samples."""
    reference_samples: Annotated[int | None, _option("INT")] = None
    """Noise draws of the reference, each of 2 * parameters + 1 rollouts. By default as many as a pilot finds needed."""
    scale: Annotated[float | None, _option("FLOAT")] = None
    """Standard deviation of the noise, in the units of the parameters. By default the task's own."""
    backends: Annotated[str, tyro.conf.arg(metavar="NAME,...")] = "autodiff,smoothing,surrogate"
    """Names of backends, separated by commas; smoothing-first is a fourth."""
    start: Annotated[str | None, _option("touching|apart")] = None
    """Where the push starts. By default the task's own."""
    device: Annotated[str | None, _option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, _option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""

    def run(self, out: Console, progress: Console) -> None:
        """Compute, show and write."""
        name = "-".join(_file_name(part) for part in (self.task, self.start) if part)
        folder = self.out or next_folder(name)
        with ExitStack() as stack:
            with _stages(progress) as say:
                say("loading")
                import torch

                from .comparison import FILES, compare
                from .gradients import make_backend
                from .report.table import verdict_lines

                init_warp()
                # The surrogate's matrices are small: more threads would wait for each other. Rollouts have their own.
                torch.set_num_threads(1)
                task, theta = self._make()
                backends = [backend.strip() for backend in self.backends.split(",") if backend.strip()]
                for backend in backends:
                    make_backend(backend)  # refuses an unknown name before anything is computed
                staging = stack.enter_context(output_folder(folder, overwrite=self.overwrite, ours=FILES))
                result = compare(
                    task,
                    theta,
                    backends=backends,
                    scale=self.scale,
                    samples=self.samples,
                    reference_samples=self.reference_samples,
                    seed=self.seed,
                    settings={"options": {} if self.start is None else {"start": self.start}},
                    progress=say,
                )
            out.print(result.table())
            for line in verdict_lines(result.verdicts):
                out.print(line)
            with _stages(progress) as say:
                say("drawing figures")
                result.write(staging)
        out.print(Text(f"written to {folder}", "dim"))

    def _make(self) -> tuple[Any, Any]:
        """The task with the options given, and theta; one without a device or precision of its own follows theta's."""
        from .envs import TaskError, make
        from .envs.registry import TASKS
        from .sim.devices import check_device, check_dtype

        given = {"start": self.start, "device": self.device, "dtype": self.dtype}
        options = {name: value for name, value in given.items() if value is not None}
        taken = signature(TASKS[self.task]).parameters if self.task in TASKS else options
        if self.start is not None and "start" not in taken:
            raise TaskError(f"task {self.task!r} has no start to choose: leave out --start")
        task = make(self.task, **{name: value for name, value in options.items() if name in taken})
        theta = task.initial_parameters()
        if self.device is not None and "device" not in taken:
            theta = theta.to(check_device(self.device))
        if self.dtype is not None and "dtype" not in taken:
            theta = theta.to(check_dtype(self.dtype))
        return task, theta


@dataclass(frozen=True)
class Tasks:
    """List the tasks that can be compared."""

    def run(self, out: Console, progress: Console) -> None:
        """Print names and descriptions."""
        from rich.table import Table

        from .envs import tasks

        table = Table.grid(padding=(0, 2))
        for name, description in tasks().items():
            table.add_row(Text(name, "bold"), description)
        out.print(table)


Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")] | Annotated[Tasks, tyro.conf.subcommand("tasks")]
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends by SystemExit where it fails, with code 2 for bad input and 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    out, progress = Console(), Console(stderr=True)
    if arguments in (["--version"], ["-V"]):
        out.print(f"carom {__version__}", highlight=False)
        return
    command: Any = tyro.cli(Command, prog="carom", description="Gradients through contact.", args=arguments)  # type: ignore[call-overload]
    try:
        command.run(out, progress)
    except KeyboardInterrupt:
        progress.print("interrupted; nothing was written", style="yellow")
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if not isinstance(error, _known_errors()):
            raise
        progress.print(Text.assemble(("error: ", "bold red"), (str(error), "red")), soft_wrap=True)
        raise SystemExit(FAILED) from None


def _known_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is for the user; any other is a fault of ours and keeps its traceback."""
    from .envs import TaskError
    from .gradients import GradientError
    from .sim import SimulationError

    return TaskError, GradientError, SimulationError, OutputError


@contextmanager
def _stages(console: Console) -> Iterator[Any]:
    """A function that shows the stage at work: a spinner on a terminal, a line for each in a log."""
    if not console.is_terminal:
        yield lambda stage: console.print(f"carom: {stage}", highlight=False)
        return
    with console.status("") as status:
        yield lambda stage: status.update(stage)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "_." else "_" for letter in text)
