"""``carom variance``: variance reduction for smoothed gradients, all combinations side by side."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.text import Text

from ..files.output_folder import next_folder, output_folder
from .common import file_name, option, stages

__all__ = ["Variance"]


@dataclass(frozen=True)
class Variance:
    """Error of smoothed Jacobians by baseline, pairs and sampling, all combinations: tables, figure, results.json."""

    problem: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="PROBLEM", help_behavior_hint="By default sorting.")
    ] = "sorting"
    """A black box: sorting (the permutation matrix), ranks or shortest-path."""
    size: int = 3
    """Numbers to sort, or nodes along each side of the grid."""
    samples: int = 1024
    """Approximate number of samples of each estimate; each sampling takes the nearest count that suits it."""
    distributions: Annotated[str | None, option("NAME,...")] = None
    """Names of noise distributions, separated by commas. By default all six."""
    backends: Annotated[str | None, option("NAME,...")] = None
    """Other backends to set beside them, under Gaussian noise. By default those that installed packages add."""
    scale: float = 0.5
    """Scale of the noise; the inputs are drawn from the unit normal distribution."""
    inputs: int = 8
    """Number of inputs over which the error is averaged."""
    repeats: int = 24
    """Number of estimates over which it is averaged, each with a seed of its own."""
    out: Annotated[Path | None, option("FOLDER")] = None
    """Folder for the results, new or empty. By default carom-runs/variance-PROBLEM-<number>."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the results of an earlier run in that folder."""
    seed: int = 0
    """Seed of all randomness; the same seed gives the same numbers on the same machine."""

    def run(self, out: Console, progress: Console) -> None:
        """Compute, show and write."""
        folder = self.out or next_folder(file_name("variance", self.problem))
        with ExitStack() as stack:
            with stages(progress) as say:
                say("loading")
                import torch

                from ..api.variance import FILES, variance
                from ..gradients import DISTRIBUTIONS
                from ..report.variance_table import published_lines

                torch.set_num_threads(1)  # small matrices: more threads would wait for each other
                backends = None
                if self.backends is not None:
                    backends = [name.strip() for name in self.backends.split(",") if name.strip()]
                names = [name.strip() for name in (self.distributions or ",".join(DISTRIBUTIONS)).split(",")]
                staging = stack.enter_context(output_folder(folder, overwrite=self.overwrite, ours=FILES))
                study = variance(
                    self.problem,
                    size=self.size,
                    samples=self.samples,
                    distributions=[name for name in names if name],
                    scale=self.scale,
                    inputs=self.inputs,
                    repeats=self.repeats,
                    seed=self.seed,
                    progress=say,
                    backends=backends,
                )
            for table in study.tables():
                out.print(table)
            for line in published_lines(study):
                out.print(line)
            with stages(progress) as say:
                say("drawing figures")
                study.write(staging)
        out.print(Text(f"written to {folder}", "dim"))
