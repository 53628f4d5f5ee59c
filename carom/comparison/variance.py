"""Every combination of variance reduction on one black box, each against a reference of many samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import torch

from ..envs.testbeds.blackbox import Ranks, ShortestPath, SortingPermutation
from ..files.results import versions
from ..gradients import SAMPLINGS, Backend, GradientError, Smoothing, smoothed_jacobian
from ..gradients.core.checked import checked_batch
from ..gradients.core.checks import check_count, suggest
from ..gradients.noise.counter_random import draw_uniforms
from ..gradients.noise.distributions import resolve_distribution
from ..gradients.noise.sampling import resolve_sampling
from ..gradients.registry import added_names, make_backends

__all__ = ["NOISE", "PROBLEMS", "BackendRow", "VarianceResult", "VarianceRow", "compute_variance"]

PROBLEMS: dict[str, Callable[..., Any]] = {
    problem.name: problem for problem in (SortingPermutation, Ranks, ShortestPath)
}
"""Black boxes by name."""

NOISE = "gaussian"
"""Noise over which the Jacobian is averaged that other backends than ``Smoothing`` are held against."""

BASELINES = ("none", "value", "leave_one_out")
_REFERENCE_REPLICATIONS = 16
_REFERENCE_CHUNK = 2**17
_MOST_TIMES = 4


@dataclass(frozen=True)
class VarianceRow:
    """The error of one combination."""

    distribution: str
    sampling: str
    antithetic: bool
    baseline: str
    samples: int
    """Samples of each estimate: the count nearest to the one asked for that suits the sampling."""
    error: float
    """Root mean square over inputs and repeats of |J - reference|, the L2 norm over all entries."""
    error_standard_error: float | None
    """Standard error of ``error``, by the spread over repeats; None for points that do not depend on the seed."""
    scale_error: float
    """Error of the derivative of the smoothed outputs with respect to the scale."""


@dataclass(frozen=True)
class BackendRow:
    """The error of a backend, which gives the Jacobian an output at a time; None where it fails."""

    name: str
    samples: int | None = None
    """Rows of the black box that one output's gradient takes at one input; the outputs share their seed."""
    error: float | None = None
    """As of ``VarianceRow``, against the Jacobian under Gaussian noise."""
    error_standard_error: float | None = None
    failure: str | None = None
    """Reason for which there is none."""


@dataclass(frozen=True)
class VarianceResult:
    """The errors of all combinations; ``VarianceStudy`` adds methods to show and to keep them."""

    problem: str
    settings: dict[str, Any]
    rows: tuple[VarianceRow, ...]
    references: dict[str, dict[str, float]]
    """Per distribution: root mean square ``norm`` and ``standard_error`` of the reference, for theta and for scale."""
    timings: dict[str, float] = field(default_factory=dict)
    backends: tuple[BackendRow, ...] = ()
    """The errors of other backends."""

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of the distributions, in the order computed."""
        return tuple(self.references)

    def row(self, distribution: str, sampling: str, *, antithetic: bool, baseline: str) -> VarianceRow | None:
        """Row of one combination; None for pairs of skewed noise or of a grid's mirrored points, and for huge grids."""
        wanted = (distribution, sampling, antithetic, baseline)
        found = (row for row in self.rows if (row.distribution, row.sampling, row.antithetic, row.baseline) == wanted)
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, as ``results.json`` has them."""
        return {
            "format": 1,
            "problem": self.problem,
            "settings": self.settings,
            "references": self.references,
            "rows": [asdict(row) for row in self.rows],
            "backends": [asdict(row) for row in self.backends],
            "versions": versions(),
            "timings": self.timings,
        }


def compute_variance(
    problem: str,
    *,
    size: int,
    samples: int,
    distributions: Sequence[str],
    scale: float,
    inputs: int,
    repeats: int,
    reference_samples: int,
    seed: int,
    progress: Callable[[str], None] | None,
    backends: Sequence[str] | Mapping[str, Backend] | None = None,
) -> VarianceResult:
    """All numbers of ``carom.variance``, which describes the arguments."""
    if problem not in PROBLEMS:
        raise GradientError(suggest("problem", problem, PROBLEMS))
    for name, least in (("samples", 8), ("inputs", 1), ("repeats", 2), ("reference_samples", 1024)):
        check_count(name, locals()[name], least)
    box = PROBLEMS[problem](size=size)
    for name in distributions:
        resolve_distribution(name)
    others = added_names() if backends is None else backends
    if not isinstance(others, Mapping):
        others = make_backends(others, scale=scale, samples=samples)
    if backends and NOISE not in distributions:
        raise GradientError(f"backends are held against the Jacobian under {NOISE} noise: add {NOISE} to distributions")
    began, say = time.perf_counter(), progress or (lambda stage: None)
    uniforms = draw_uniforms(seed, "variance inputs", first=0, rows=inputs, columns=box.inputs)
    theta = torch.special.ndtri(uniforms)
    rows, references = [], {}
    named: list[BackendRow] = []
    for place, distribution in enumerate(distributions):
        say(f"{distribution} ({place + 1} of {len(distributions)}): reference")
        each = 2 ** round(math.log2(reference_samples / _REFERENCE_REPLICATIONS))
        backend = Smoothing(
            scale=scale,
            samples=each * _REFERENCE_REPLICATIONS,
            distribution=distribution,
            antithetic=False,
            sampling="rqmc",
            replications=_REFERENCE_REPLICATIONS,
            chunk=_REFERENCE_CHUNK,
        )
        truth = smoothed_jacobian(box, theta, backend, seed=seed, with_scale=True)
        references[distribution] = {
            f"{kind}_{what}": _norm(getattr(part, attribute))
            for kind, part in zip(("theta", "scale"), truth, strict=True)
            for what, attribute in (("norm", "gradient"), ("standard_error", "standard_error"))
        }
        for sampling, antithetic, baseline in _combinations(distribution):
            if not antithetic and baseline == BASELINES[0]:
                say(f"{distribution} ({place + 1} of {len(distributions)}): {sampling}")
            signs = 2 if antithetic else 1
            count = signs * resolve_sampling(sampling).fitting(max(1, samples // signs), box.inputs)
            if count > _MOST_TIMES * samples:
                continue  # the smallest grid, of two cells a side, has too many points to compare
            backend = Smoothing(
                scale=scale,
                samples=count,
                distribution=distribution,
                antithetic=antithetic,
                baseline=baseline,
                sampling=sampling,
            )
            random = resolve_sampling(sampling).random
            squares = torch.stack(
                [
                    _squares(smoothed_jacobian(box, theta, backend, seed=seed + 1 + k, with_scale=True), truth)
                    for k in range(repeats if random else 1)
                ]
            )
            error, scale_error = squares.mean(0).sqrt().tolist()
            spread = float(squares[:, 0].std()) / len(squares) ** 0.5 / (2.0 * error) if random and error else None
            rows.append(VarianceRow(distribution, sampling, antithetic, baseline, count, error, spread, scale_error))
        if distribution == NOISE:
            for name, other in others.items():
                say(f"{distribution} ({place + 1} of {len(distributions)}): {name}")
                named.append(_backend_row(name, other, box, theta, truth[0].gradient, repeats=repeats, seed=seed))
    settings = {
        "size": size,
        "samples": samples,
        "scale": scale,
        "inputs": inputs,
        "repeats": repeats,
        "reference_samples": reference_samples,
        "seed": seed,
    }
    seconds = {"total": time.perf_counter() - began}
    return VarianceResult(problem, settings, tuple(rows), references, seconds, tuple(named))


def _backend_row(
    name: str, backend: Backend, box: Any, theta: torch.Tensor, truth: torch.Tensor, *, repeats: int, seed: int
) -> BackendRow:
    """The error of a backend over ``repeats`` seeds; ``truth`` is [inputs, outputs, parameters]."""

    def output(k: int) -> Any:
        def one(rows: torch.Tensor) -> torch.Tensor:
            column: torch.Tensor = box(rows).flatten(1)[:, k]
            return column

        one.name = f"{box.name}, output {k}"  # type: ignore[attr-defined]
        return one

    squares, count = [], 0
    try:
        for repeat in range(repeats):
            estimates = [
                checked_batch(backend, output(k), theta, seed=seed + 1 + repeat) for k in range(truth.shape[1])
            ]
            found = torch.stack([estimate.gradient for estimate in estimates], dim=1)
            if not bool(torch.isfinite(found).all()):
                raise GradientError("a gradient is not finite")
            squares.append(_norm(found - truth) ** 2)
            count = estimates[0].evaluations // len(theta)
    except GradientError as failure:
        return BackendRow(name, failure=str(failure))
    several = torch.tensor(squares, dtype=torch.float64, device="cpu")
    error = float(several.mean().sqrt())
    spread = float(several.std()) / len(several) ** 0.5 / (2.0 * error) if error > 0.0 else None
    return BackendRow(name, count, error, spread)


def _combinations(distribution: str) -> Iterator[tuple[str, bool, str]]:
    symmetric = resolve_distribution(distribution).symmetric
    for sampling, antithetic, baseline in product(SAMPLINGS, (False, True), BASELINES):
        if not antithetic or (symmetric and not resolve_sampling(sampling).mirrored):
            yield sampling, antithetic, baseline


def _norm(entries: torch.Tensor) -> float:
    """Root mean square over inputs of the L2 norm over the rest."""
    return float(entries.flatten(1).square().sum(1).mean().sqrt())


def _squares(found: Sequence[Any], truth: Sequence[Any]) -> torch.Tensor:
    """Mean square distance over inputs, of theta's and the scale's derivative."""
    return torch.tensor(
        [_norm(one.gradient - other.gradient) ** 2 for one, other in zip(found, truth, strict=True)],
        dtype=torch.float64,
        device="cpu",
    )
