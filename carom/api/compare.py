"""Gradient backends side by side on one objective, with the numbers and figures to judge them by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..comparison.compute import compute
from ..comparison.figure_kinds import MAIN, MISSING
from ..comparison.first_look import FirstLook
from ..comparison.result import ComparisonResult
from ..files.output_folder import LAST, OutputError, output_folder
from ..files.results import write_json
from ..gradients import Backend, Objective
from ..plain import plain_numbers
from ..report.csv_table import render_csv
from ..report.table import comparison_table
from ..report.text import render_text
from .named import named_objective

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["FILES", "PAGE", "CompareResult", "compare"]


@dataclass(frozen=True)
class CompareResult(ComparisonResult):
    """Result of ``compare``: numbers and verdicts, with methods to show and to keep them."""

    def table(self) -> Table:
        """A ``rich`` table, one row per backend; print it with ``rich.print``."""
        return comparison_table(self.comparison, title=f"Gradient of {self.title}", noise=self.noise)

    def text(self) -> str:
        """The whole result as plain text of 80 columns."""
        return render_text(self)

    def csv(self) -> str:
        """The table as comma-separated values."""
        return render_csv(self)

    def figure(self, kind: str = "compare") -> Figure:
        """A matplotlib figure: ``"compare"`` (all in one), or one of the other ``figure_kinds``."""
        from ..report.figures.all import draw

        return draw(self, kind)

    def __repr__(self) -> str:
        return f"CompareResult of {self.title}: {', '.join(row.name for row in self.comparison.rows)}; print() shows it"

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        """Summary, table and main figure in a notebook."""
        from ..report.page import render_fragment

        return render_fragment(self)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``report.html``, ``results.json``, ``table.csv`` and the figures to a folder; returns its path.

        The folder is new or empty. The page holds everything that it shows, and lists what it does not show.

        Raises:
            OutputError: The folder cannot be written, or exists and is not empty; with ``overwrite``, it holds
                something that carom did not write.
        """
        with output_folder(Path(folder), overwrite=overwrite, ours=FILES) as staging:
            self.write(staging)
        return Path(folder)

    def write(self, folder: Path, *, page: bool = True, progress: Callable[[str], None] | None = None) -> None:
        """Write the files into a folder that exists, ``report.html`` only if ``page``."""
        say = progress or (lambda stage: None)
        from ..render.save import save_figure
        from ..report.page import render_page

        try:
            for kind in self.figure_kinds:
                say(f"drawing {kind}")
                save_figure(self.figure(kind), folder / kind)
            for rollout in self.rollouts:
                rollout.save(folder)
            if page:
                pictures = {kind: folder / kind for kind in self.figure_kinds if kind != MAIN}
                (folder / PAGE).write_text(render_page(self, pictures), encoding="utf-8")
            (folder / TABLE).write_text(self.csv(), encoding="utf-8")
            traces = [f"{row.name}\n\n{row.trace}" for row in self.comparison.rows if row.trace is not None]
            if traces:
                (folder / ERRORS).write_text("\n".join(traces), encoding="utf-8")
            write_json(folder / LAST, self.as_dict())
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror or error}") from None


PAGE = "report.html"
TABLE = "table.csv"
ERRORS = "errors.txt"
"""Tracebacks of the backends that raised what is no refusal; only where there are any."""
FILES = (
    LAST,
    PAGE,
    TABLE,
    ERRORS,
    "recording-*.npz",
    *(f"{kind}.{ending}" for kind in (MAIN, *MISSING) for ending in ("png", "svg")),
)
"""Names and patterns of all files that a comparison may write."""


@plain_numbers
def compare(
    objective: Objective | str,
    theta: torch.Tensor | None = None,
    *,
    backends: Sequence[str] | Mapping[str, Backend] | None = None,
    scale: float | Sequence[float] | None = None,
    samples: int = 256,
    reference_samples: int | None = None,
    rollouts: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    studies: bool | Collection[str] = False,
    race: bool = True,
    settle: bool | int = False,
    progress: Callable[[str], None] | None = None,
    first_look: Callable[[FirstLook], None] | None = None,
) -> CompareResult:
    """Take the gradient of ``objective`` at ``theta`` by several backends and hold each against a reference.

    The reference is the gradient of the cost averaged over Gaussian noise of standard deviation ``scale``, by central
    differences with common random numbers: values only, and no formula in common with any backend.

    Args:
        objective: Name of a task, a task of ``carom.envs``, or any function of theta [batch, parameters] -> [batch], of
            tensors or of NumPy arrays.
        theta: Point at which to differentiate [parameters], a tensor, or a list or array (then float64); by default
            ``objective.initial_parameters()``.
        backends: Names (see ``carom.gradients.backend_names``), or a mapping from names of your own to backends. By
            default autodiff, smoothing and surrogate, softened where the objective has softened contacts, and those
            that were registered (``carom.gradients.register``). One that raises gets a row with its error.
        scale: Standard deviation of the noise, one number or one per parameter; by default the objective's
            ``smoothing_scale``, else 0.02.
        samples: Rollouts for each backend that samples.
        reference_samples: Noise draws of the reference, each of 2 * parameters rollouts; by default as many as a pilot
            says are needed for a standard error of 4 % of the gradient, within ``rollouts``. Where these leave fewer
            than 24 antithetic pairs (many parameters), the slope is taken along random directions instead.
        rollouts: Rollouts of the reference, at most; those of slice, landscape and studies are in proportion to them.
            By default 12,000; 3,000, 750 or 187 where the objective's ``rollout_work`` (steps times bodies of a
            rollout) is beyond 2,500, 10,000 or 40,000. No time is measured for it.
        seed: Seed of all randomness; the same seed gives the same numbers on the same machine, however busy it is.
        settings: Further entries for ``results.json``.
        studies: Whether to make also the studies of a whole report: arrows over the plane, single samples, bias and
            variance by samples, noise, horizon and stiffness, and growth by step. Takes a few times as long.
            Or the names of some of them: field, singles, samples, scale, horizon, stiffness, growth, bodies.
        race: Whether to race the backends, for the advice which to descend with.
        settle: Whether to spend more rollouts on verdicts that are "cannot tell", up to ten times ``rollouts``; or how
            many.
        progress: Called with the name of each stage before it begins.
        first_look: Called with the table and the verdicts as soon as they are there, before the race and the studies.

    Raises:
        TaskError: There is no task of this name.
        GradientError: An unknown backend, a bad option, or a theta or cost that is not finite.
    """
    found = compute(
        named_objective(objective), theta, backends=backends, scale=scale, samples=samples,
        reference_samples=reference_samples, rollouts=rollouts, seed=seed, settings=settings, studies=studies,
        with_race=race, settle=settle, progress=progress, first_look=first_look,
    )  # fmt: skip
    return CompareResult(**{one.name: getattr(found, one.name) for one in fields(found)})
