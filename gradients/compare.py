"""Several backends on one objective, each against one reference: numbers only, nothing is printed."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from ..plain import plain_numbers
from .core.arrays import as_theta
from .core.checked import checked_estimate
from .core.errors import GradientError
from .core.interface import Backend, Estimate, Objective

__all__ = ["Comparison", "ComparisonRow", "compare_backends"]


@dataclass(frozen=True)
class ComparisonRow:
    """One backend's answer and its distance from the reference; plain numbers, None where there is none."""

    name: str
    value: float | None = None
    gradient: tuple[float, ...] | None = None
    norm: float | None = None
    """Length of the gradient."""
    cosine: float | None = None
    """Cosine of the angle to the reference; None where either gradient is exactly zero."""
    relative_error: float | None = None
    """|gradient - reference| / |reference|; None where the reference is exactly zero."""
    standard_error: tuple[float, ...] | None = None
    standard_error_norm: float | None = None
    """Length of the standard error: the expected distance from the backend's own mean."""
    error_bar: tuple[float, ...] | None = None
    """Half the length of the 95 % interval of each parameter, by Student's t; infinite (None in json) where the samples
    say too little; None where the backend has no error bar at all, with a reason in ``no_error_bar``, or is exact."""
    no_error_bar: str | None = None
    """Why some parameters, or all, have no error bar."""
    trace_variance: float | None = None
    """Variance of the estimate, summed over coordinates: the square of ``standard_error_norm``."""
    z_norm: float | None = None
    """Distance from the reference over the length of both standard errors together; None without a standard error."""
    evaluations: int = 0
    seconds: float = 0.0
    diagnostics: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    """Reason for which there is no gradient: a refusal, an exception (type, message, line), or an answer that is none;
    the other fields are then empty."""
    trace: str | None = field(default=None, compare=False)
    """Traceback of an exception that was not a refusal; not among the numbers."""

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists that ``json.dump`` takes; numbers that are not finite become None."""
        return {key: _jsonable(entry) for key, entry in asdict(self).items() if key != "trace"}


@dataclass(frozen=True)
class Comparison:
    """The reference and the backends' rows, in the order given."""

    reference: ComparisonRow
    rows: tuple[ComparisonRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings and lists that ``json.dump`` takes."""
        return {"reference": self.reference.as_dict(), "rows": [row.as_dict() for row in self.rows]}


@plain_numbers
def compare_backends(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    reference: Backend,
    *,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Estimates of all ``backends`` at one ``theta`` [parameters], held against ``reference``.

    ``progress(name, done, total)`` is called before each estimate, the reference first under the name
    ``"reference"``, and once more with ``done == total``. Any exception of a backend, and an answer that is no
    estimate at theta, goes into its row's ``error`` and ends nothing; one of the reference is raised. All get the same
    ``seed``; each kind of backend has noise of its own under it, independent of the reference's.
    """
    theta = as_theta(theta)
    if theta.ndim != 1:
        raise GradientError(
            f"compare_backends takes one theta, shape [parameters], not {list(theta.shape)}: call it once per theta"
        )
    total = len(backends) + 1

    def report(name: str, done: int) -> None:
        if progress is not None:
            progress(name, done, total)

    report("reference", 0)
    truth = reference.estimate(objective, theta, seed=seed)
    if not bool(torch.isfinite(truth.gradient).all()):
        raise GradientError("the reference gradient is not finite: nothing can be compared with it")
    rows = []
    for done, (name, backend) in enumerate(backends.items(), start=1):
        report(name, done)
        try:
            estimate = checked_estimate(backend, objective, theta, seed=seed)
        except GradientError as error:
            rows.append(ComparisonRow(name=name, error=str(error), trace=_trace(error)))
        else:
            rows.append(_row(name, estimate, truth))
    report("done", total)
    return Comparison(_row("reference", truth, truth), tuple(rows))


def _trace(error: GradientError) -> str | None:
    cause = error.__cause__
    if cause is None:
        return None
    return "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))


def _row(name: str, estimate: Estimate, truth: Estimate) -> ComparisonRow:
    gradient, target = estimate.gradient.double().cpu(), truth.gradient.double().cpu()
    norm, length = float(gradient.norm()), float(target.norm())
    distance = float((gradient - target).norm())
    error = None if estimate.standard_error is None else estimate.standard_error.double().cpu()
    if error is not None and not bool(torch.isfinite(error).all()):
        error = None  # a backend's way to say that it has none
    noise = 0.0 if truth.standard_error is None else float(truth.standard_error.double().norm())
    both = None if error is None else math.hypot(float(error.norm()), noise)
    ends = estimate.interval(0.95)
    spread = estimate.diagnostics.get("gradient_spread")
    if error is None and isinstance(spread, torch.Tensor):
        error = spread.double().cpu()  # of an ensemble: no error bar, and marked as that by ``gradient_spread``
    return ComparisonRow(
        name=name,
        value=float(estimate.value),
        gradient=tuple(gradient.tolist()),
        norm=norm,
        cosine=float(gradient @ target) / (norm * length) if norm > 0.0 and length > 0.0 else None,
        relative_error=distance / length if length > 0.0 else None,
        standard_error=None if error is None else tuple(error.tolist()),
        standard_error_norm=None if error is None else float(error.norm()),
        error_bar=None if ends is None else tuple((0.5 * (ends[1] - ends[0])).double().tolist()),
        no_error_bar=estimate.no_error_bar,
        trace_variance=None if error is None else float(error.square().sum()),
        z_norm=distance / both if both else None,
        evaluations=estimate.evaluations,
        seconds=estimate.seconds,
        diagnostics=dict(estimate.diagnostics),
    )


def _jsonable(entry: Any) -> Any:
    if isinstance(entry, torch.Tensor):
        entry = entry.tolist()
    if isinstance(entry, Mapping):
        return {str(key): _jsonable(value) for key, value in entry.items()}
    if isinstance(entry, (list, tuple)):
        return [_jsonable(value) for value in entry]
    if isinstance(entry, float) and not math.isfinite(entry):
        return None
    return entry
