"""``carom compare``: gradients of a task side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.text import Text

from ..files.output_folder import next_folder, output_folder
from ..quiet import init_warp
from .common import Stages, file_name, make_task, option, stages, task_options

if TYPE_CHECKING:
    from ..comparison.first_look import FirstLook

__all__ = ["Compare"]


@dataclass(frozen=True)
class Compare:
    """Gradient of a task by several backends, side by side: table, report.html, figures and results.json."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK", help_behavior_hint="")]
    """Name of the task; `carom tasks` lists them."""
    out: Annotated[Path | None, option("FOLDER")] = None
    """Folder for the results, new or empty. By default carom-runs/TASK-<number>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the results of an earlier run in that folder."""
    seed: int = 0
    """Seed of all randomness; the same seed gives the same numbers on the same machine, however busy it is."""
    samples: int = 256
    """Rollouts for each backend that samples."""
    reference_samples: Annotated[int | None, option("INT")] = None
    """Noise draws of the reference, each of 2 * parameters + 1 rollouts. By default as many as a pilot finds needed."""
    rollouts: Annotated[int | None, option("INT")] = None
    """Most rollouts of the reference; slice, landscape and studies go with it. By default 12000, fewer for tasks whose
    rollouts compute much (carrots: 3000)."""
    scale: Annotated[float | None, option("FLOAT")] = None
    """Standard deviation of the noise, in the units of the parameters. By default the task's own."""
    backends: Annotated[str | None, option("NAME,...")] = None
    """Names of backends, separated by commas. By default autodiff, smoothing and surrogate, softened where the task has
    contacts to soften, and those that installed packages add."""
    start: Annotated[str | None, option("touching|apart")] = None
    """Start of a push: touching or apart. By default the task's own."""
    options: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Further options of the task, as in --options offset=0.02,friction=0.4."""
    device: Annotated[str | None, option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""
    race: bool = True
    """Whether to race the backends; --no-race is quicker and leaves the advice on descents out."""
    settle: tyro.conf.FlagCreatePairsOff[bool] = False
    """Spend more rollouts on verdicts that are "cannot tell", up to ten times as many."""
    text: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the whole result as plain text of 80 columns."""
    report: bool = True
    """Whether to make report.html and the studies that it shows; --no-report is for the quick table."""

    @staticmethod
    def _first_look(out: Console, say: Stages, look: FirstLook) -> None:
        """Print the table while the rest is computed."""
        from ..report.table import comparison_table, verdict_lines

        with say.paused():
            out.print(comparison_table(look.comparison, title=f"Gradient of {look.title}", noise=look.noise))
            for line in verdict_lines(look.verdicts):
                out.print(line)
        say(f"about {max(1.0, look.seconds_left):.0f} s more for the rest")

    def run(self, out: Console, progress: Console) -> None:
        """Compute, show and write."""
        folder = self.out or next_folder(file_name(self.task, self.start))
        with ExitStack() as stack:
            with stages(progress) as say:
                say("loading")
                import torch

                from ..api.compare import FILES, PAGE, compare
                from ..gradients.registry import check_names

                init_warp()
                # The surrogate's matrices are small: more threads would wait for each other. Rollouts have their own.
                torch.set_num_threads(1)
                options = task_options(self.options, self.start)
                task, theta = make_task(self.task, options, self.device, self.dtype)
                backends = None
                if self.backends is not None:
                    backends = [backend.strip() for backend in self.backends.split(",") if backend.strip()]
                    check_names(backends)  # before anything is computed
                staging = stack.enter_context(output_folder(folder, overwrite=self.overwrite, ours=FILES))
                result = compare(
                    task,
                    theta,
                    backends=backends,
                    scale=self.scale,
                    samples=self.samples,
                    reference_samples=self.reference_samples,
                    rollouts=self.rollouts,
                    seed=self.seed,
                    settings={"options": options},
                    studies=self.report,
                    race=self.race,
                    settle=self.settle,
                    progress=say,
                    first_look=None if self.text else partial(self._first_look, out, say),
                )
            if self.text:
                out.print(Text(result.text()), soft_wrap=True)
            with stages(progress) as say:
                result.write(staging, page=self.report, progress=say)
            if not self.text:
                out.print(Text(result.advice.headline, "bold"))
                for answer in (result.advice.estimate, result.advice.trust):
                    if answer.text != result.advice.headline:
                        out.print(Text(answer.text))
        out.print(Text(f"written to {folder / PAGE if self.report else folder}", "dim"))
