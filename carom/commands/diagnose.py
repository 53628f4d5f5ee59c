"""``carom diagnose``: why the gradient of a task is good or bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..quiet import init_warp
from .common import make_task, option, stages, task_options

__all__ = ["Diagnose"]

_SHOWN = 5


@dataclass(frozen=True)
class Diagnose:
    """Growth of disturbances, contacts met, kinks nearby, and a verdict on each gradient."""

    task: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TASK", help_behavior_hint="")]
    """Name of the task; `carom tasks` lists them."""
    seed: int = 0
    """Seed of all randomness."""
    samples: int = 256
    """Samples of either order of smoothing; a quarter of them for the contacts."""
    backends: Annotated[str | None, option("NAME,...")] = None
    """Further backends to judge, separated by commas. By default those that installed packages add."""
    scale: Annotated[float | None, option("FLOAT")] = None
    """Standard deviation of the noise, in the units of the parameters. By default the task's own."""
    start: Annotated[str | None, option("touching|apart")] = None
    """Start of a push: touching or apart. By default the task's own."""
    options: Annotated[str | None, option("NAME=VALUE,...")] = None
    """Further options of the task, as in --options offset=0.02,friction=0.4."""
    device: Annotated[str | None, option("cpu|cuda")] = None
    """Device of the simulation. By default cpu."""
    dtype: Annotated[str | None, option("float32|float64")] = None
    """Precision of the simulation. By default the task's own."""

    def run(self, out: Console, progress: Console) -> None:
        """Compute and show."""
        with stages(progress) as say:
            say("loading")
            from ..api.diagnose import diagnose
            from ..gradients.registry import check_names

            init_warp()
            names: Sequence[str] | None = None
            if self.backends is not None:
                names = [name.strip() for name in self.backends.split(",") if name.strip()]
                check_names(names)  # before anything is computed
            task, theta = make_task(self.task, task_options(self.options, self.start), self.device, self.dtype)
            say("looking into the gradient (compiling kernels takes about a minute the first time)")
            found = diagnose(task, theta, backends=names, scale=self.scale, samples=self.samples, seed=self.seed)
        table = Table.grid(padding=(0, 2))
        for name, verdict in found.verdicts.items():
            table.add_row(Text(name, "bold"), verdict.text)
        out.print(table)
        norms = found.gradient_norm_by_step
        if found.spectrum is not None:
            values = found.spectrum.log_singular_values[-1]
            out.print(
                f"a disturbance of the state grows up to {float(values.max().exp()):.3g} times over the evaluation; "
                f"largest Lyapunov exponent {found.spectrum.largest:.3g} per unit of time"
            )
        if norms is not None:
            out.print(
                f"|gradient| by step: {float(norms[0]):.3g} at the start, {float(norms.max()):.3g} at most, in step "
                f"{int(norms.argmax())}, {float(norms[-1]):.3g} at the end"
            )
        if found.contacts is not None:
            contacts = found.contacts
            out.print(
                f"of {contacts.samples} samples {contacts.other_pairs:.0%} touch other pairs than theta, "
                f"{contacts.other_order:.0%} another number of times, {contacts.other_steps:.0%} in other steps"
            )
            for pair in contacts.pairs[:_SHOWN]:
                out.print(
                    f"  {pair.name}: other in {pair.other:.0%}, retimed in {pair.retimed:.0%}, from step "
                    f"{pair.first_step} on"
                )
        for kink in found.kinks:
            out.print(f"kink {kink} (along the zeroth order's descent, in units of the noise)")
        for note in found.notes:
            out.print(Text(note, "dim"))
