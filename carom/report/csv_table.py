"""The table of a comparison as comma-separated values, a row for each backend."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from .table import no_bar

if TYPE_CHECKING:
    from ..comparison.result import ComparisonResult

__all__ = ["COLUMNS", "render_csv"]

COLUMNS = (
    "backend", "value", "norm", "cosine", "relative_error", "standard_error_norm", "rollouts", "seconds", "verdict",
    "bias_low", "bias_high", "rollouts_to_tenth", "race_factor", "race_low", "race_high", "race_relation",
    "trust_low", "trust_high", "error",
)  # fmt: skip
"""Names of the columns; trust is that of the cost as it is, in noise scales."""


def render_csv(result: ComparisonResult) -> str:
    """The reference first; an empty field where there is no number."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    raced = {} if result.race is None else result.race.by_name
    for row in (result.comparison.reference, *result.comparison.rows):
        found: dict[str, Any] = {
            "backend": row.name,
            "value": row.value,
            "norm": row.norm,
            "cosine": row.cosine,
            "relative_error": row.relative_error,
            "standard_error_norm": None if no_bar(row) else row.standard_error_norm,
            "rollouts": row.evaluations,
            "seconds": row.seconds,
            "error": row.error,
        }
        if row.name in result.verdicts:
            verdict = result.verdicts[row.name].as_dict()
            found["verdict"] = verdict["label"]
            found |= {key: verdict[key] for key in ("bias_low", "bias_high", "rollouts_to_tenth")}
        if row.name in raced:
            relation = raced[row.name].relation
            found["race_relation"] = "best" if relation is None else relation.label
            if relation is not None:
                found |= {"race_factor": relation.factor, "race_low": relation.low, "race_high": relation.high}
        if row.name in result.trust:
            band = result.trust[row.name].as_is
            found |= {"trust_low": band.low, "trust_high": band.high}
        writer.writerow({key: value for key, value in found.items() if value is not None})
    return buffer.getvalue()
