"""A study of variance reduction as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..comparison.variance import VarianceResult

__all__ = ["backend_table", "published_lines", "variance_table"]

HEADS = {"none": "none", "value": "f(x)", "leave_one_out": "l-o-o"}


def variance_table(study: VarianceResult, distribution: str) -> Table:
    """Error of the Jacobian by sampling (rows), baseline and pairs (columns), the least in bold."""
    reference = study.references[distribution]
    table = Table(
        title=f"{study.problem}, size {study.settings['size']}: error of the Jacobian under {distribution} noise",
        caption=(
            f"L2 error, root mean square over {study.settings['inputs']} inputs and {study.settings['repeats']} seeds; "
            f"the Jacobian's own norm is {reference['theta_norm']:.3g}, known to "
            f"{reference['theta_standard_error']:.1g}. Subtracted: nothing, f(x), or the mean by leave-one-out; "
            "±: antithetic pairs, from which a baseline cancels"
        ),
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        collapse_padding=True,
    )  # fmt: skip
    table.add_column("sampling", no_wrap=True)
    table.add_column("samples", justify="right", no_wrap=True)
    for antithetic in (False, True):
        for name in HEADS.values():
            table.add_column(f"{'±' if antithetic else ''}{name}", justify="right", no_wrap=True)
    mine = [row for row in study.rows if row.distribution == distribution]
    best = min(row.error for row in mine)
    for sampling in dict.fromkeys(row.sampling for row in mine):
        cells: list[Text] = []
        counts: list[int] = []
        for antithetic in (False, True):
            for baseline in HEADS:
                row = study.row(distribution, sampling, antithetic=antithetic, baseline=baseline)
                if row is None:
                    cells.append(Text("-", "dim"))
                else:
                    counts.append(row.samples)
                    cells.append(Text(f"{row.error:.3g}", "bold green" if row.error == best else ""))
        table.add_row(sampling, ", ".join(str(count) for count in dict.fromkeys(counts)), *cells)
    return table


def backend_table(study: VarianceResult) -> Table:
    """Error of the Jacobian of the other backends; the reason where one gave none."""
    table = Table(
        title=f"{study.problem}, size {study.settings['size']}: error of the Jacobian by other backends",
        caption=(
            "an output at a time, against the Jacobian under gaussian noise; samples: rows for each output, which "
            "share their noise as far as a backend draws the same from the same seed"
        ),
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    table.add_column("backend", no_wrap=True)
    for name in ("samples", "error", "± s.e."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in study.backends:
        if row.error is None:
            table.add_row(row.name, "-", "-", "-", Text(f"no Jacobian: {row.failure}", "red"))
        else:
            spread = "-" if row.error_standard_error is None else f"{row.error_standard_error:.1g}"
            table.add_row(row.name, str(row.samples), f"{row.error:.3g}", spread, "")
    return table


def published_lines(study: VarianceResult) -> list[Text]:
    """For each distribution, whether the published order holds: none > leave-one-out > that with a randomized grid."""
    lines = []
    published = ", as published" if study.problem == "sorting" else ""
    for distribution in study.distributions:
        found = [
            study.row(distribution, sampling, antithetic=False, baseline=baseline)
            for sampling, baseline in (
                ("monte_carlo", "none"), ("monte_carlo", "leave_one_out"), ("cartesian_rqmc", "leave_one_out")
            )
        ]  # fmt: skip
        errors = [row.error for row in found if row is not None]
        if len(errors) == 3:
            holds = errors[0] > errors[1] > errors[2]
            lines.append(
                Text.assemble(
                    (distribution.ljust(12), "bold"),
                    f"Monte Carlo {errors[0]:.4f}, with leave-one-out {errors[1]:.4f}, "
                    f"on a randomized grid {errors[2]:.4f}: ",
                    (f"each better than the last{published}", "green") if holds else ("not in that order", "yellow"),
                )
            )
    return lines
