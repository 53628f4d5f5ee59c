"""The ``carom`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.text import Text

from ._version import __version__
from .commands.compare import Compare
from .commands.diagnose import Diagnose
from .commands.optimize import Optimize
from .commands.render import Render
from .commands.run import Run
from .commands.selftest import Selftest
from .commands.tasks import Tasks
from .commands.train import Train
from .commands.variance import Variance
from .commands.view import View
from .files.output_folder import OutputError

__all__ = ["main"]

FAILED, INTERRUPTED = 2, 130
"""Exit codes: bad input (as for bad arguments); Ctrl-C, by the convention of shells."""

Command = (
    Annotated[Compare, tyro.conf.subcommand("compare")]
    | Annotated[Diagnose, tyro.conf.subcommand("diagnose")]
    | Annotated[Optimize, tyro.conf.subcommand("optimize")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Selftest, tyro.conf.subcommand("selftest")]
    | Annotated[Tasks, tyro.conf.subcommand("tasks")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Variance, tyro.conf.subcommand("variance")]
    | Annotated[View, tyro.conf.subcommand("view")]
)


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
    except KeyboardInterrupt as stop:
        progress.print(str(stop) or "interrupted; nothing was written", style="yellow", soft_wrap=True)
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        if not isinstance(error, _known_errors()):
            raise
        progress.print(Text.assemble(("error: ", "bold red"), (str(error), "red")), soft_wrap=True)
        raise SystemExit(FAILED) from None


def _known_errors() -> tuple[type[Exception], ...]:
    """Errors whose message is for the user; any other is a fault of the program and keeps its traceback."""
    from .envs import TaskError
    from .files.run_folder import RunFolderError
    from .gradients import GradientError
    from .runs import RunError
    from .sim import SimulationError
    from .training import TrainingError
    from .viewer.errors import ViewerError

    ours = (TaskError, GradientError, SimulationError, OutputError, RunError, RunFolderError, ViewerError)
    return *ours, TrainingError
