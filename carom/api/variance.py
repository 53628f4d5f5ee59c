"""Every combination of variance reduction on one black box, each against a reference of many samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison.variance import VarianceResult, compute_variance
from ..files.output_folder import LAST, OutputError
from ..files.results import write_json
from ..gradients import Backend
from ..gradients.noise.distributions import DISTRIBUTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["FILES", "VarianceStudy", "variance"]

FILES = (LAST, "variance.png", "variance.svg")
"""Names of all files that a study writes."""


@dataclass(frozen=True)
class VarianceStudy(VarianceResult):
    """Result of ``variance``."""

    def tables(self) -> list[Table]:
        """``rich`` tables: one per distribution, and one of the other backends where there are any."""
        from ..report.variance_table import backend_table, variance_table

        tables = [variance_table(self, distribution) for distribution in self.distributions]
        return [*tables, backend_table(self)] if self.backends else tables

    def figure(self) -> Figure:
        """A matplotlib figure: a panel per distribution, the error of every combination."""
        from ..report.figures.variance import draw_variance

        return draw_variance(self)

    def write(self, folder: Path) -> None:
        """Write figure and numbers into a folder that exists."""
        from ..render.save import save_figure

        try:
            save_figure(self.figure(), folder / "variance")
            write_json(folder / LAST, self.as_dict())
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from None


def variance(
    problem: str = "sorting",
    *,
    size: int = 3,
    samples: int = 1024,
    distributions: Sequence[str] = tuple(DISTRIBUTIONS),
    scale: float = 0.5,
    inputs: int = 8,
    repeats: int = 24,
    reference_samples: int = 2**19,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    backends: Sequence[str] | Mapping[str, Backend] | None = None,
) -> VarianceStudy:
    """Error of the smoothed Jacobian of a black box, for all combinations of baseline, pairs and sampling.

    The comparison of Petersen et al. (2024, sorting and shortest paths), with Sobol' points besides.

    Args:
        problem: ``"sorting"`` (the permutation matrix), ``"ranks"`` or ``"shortest-path"``.
        size: Numbers to sort, or nodes along each side of the grid.
        samples: About how many samples each estimate takes; every sampling takes the nearest count that suits it.
        distributions: Names of noise distributions.
        scale: Scale of the noise; the inputs are drawn from the unit normal distribution.
        inputs: Number of inputs over which the error is averaged.
        repeats: Number of estimates, each with a seed of its own.
        reference_samples: Samples of the reference (scrambled Sobol' points in 16 replications), rounded to suit.
        seed: Seed of all randomness.
        progress: Called with the name of each stage before it begins.
        backends: Other backends beside them, under Gaussian noise: names, or a mapping from names of your own. Each
            gives the Jacobian an output at a time. By default those that were registered
            (``carom.gradients.register``). One that raises gets a row with its error.

    Raises:
        GradientError: An unknown name or a bad number.
    """
    found = compute_variance(
        problem, size=size, samples=samples, distributions=distributions, scale=scale, inputs=inputs, repeats=repeats,
        reference_samples=reference_samples, seed=seed, progress=progress, backends=backends,
    )  # fmt: skip
    return VarianceStudy(**{one.name: getattr(found, one.name) for one in fields(found)})
