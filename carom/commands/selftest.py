"""``carom selftest``: carom's own statements held against problems whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from ..quiet import init_warp
from .common import option

__all__ = ["Selftest"]


@dataclass(frozen=True)
class Selftest:
    """Score the advice of `carom compare` on problems whose answers are known."""

    what: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="advice", help_behavior_hint="")] = "advice"
    """Statements to score; there is one kind, advice."""
    seeds: int = 20
    """Runs of every problem."""
    effort: float = 1.0
    """Share of the rollouts of a full comparison."""
    problems: Annotated[str | None, option("NAME;...")] = None
    """Names of problems, separated by semicolons. By default all."""
    race: bool = True
    """Whether to race the backends too."""

    def run(self, out: Console, progress: Console) -> None:
        """Compute and show."""
        import torch

        from ..gradients import GradientError
        from ..gradients.core.checks import suggest
        from ..selftest.advice import score_advice
        from ..selftest.problems import PROBLEMS

        if self.what != "advice":
            raise GradientError(suggest("selftest", self.what, ("advice",)))
        if self.seeds < 1 or not 0.0 < self.effort <= 1.0:
            raise GradientError(
                f"seeds is {self.seeds} and effort {self.effort}: give at least one seed, and a share of up to 1"
            )
        names = None if self.problems is None else [name.strip() for name in self.problems.split(";")]
        for name in names or ():
            if name not in PROBLEMS:
                raise GradientError(suggest("problem", name, PROBLEMS))
        init_warp()
        torch.set_num_threads(1)
        score = score_advice(
            seeds=self.seeds, effort=self.effort, names=names, with_race=self.race,
            progress=lambda line: progress.print(line, style="dim", highlight=False),
        )  # fmt: skip
        for line in score.lines():
            out.print(line, highlight=False)
