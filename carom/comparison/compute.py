"""Gradients by several backends on one objective, a reference, and the studies: the numbers of a comparison."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from ..capabilities import can_soften, has_scene, landscape_axes, parameter_names, smoothing_scale, start_of
from ..gradients import Backend, CentralDifferences, GradientError, Objective, compare_backends
from ..gradients.core.arrays import as_theta
from ..gradients.core.checks import check_count
from ..gradients.core.objective import evaluate, evaluate_with_gradient, objective_name
from ..gradients.core.optional import optional
from ..gradients.registry import added_names, make_backends
from .budget import Budget, budget_of
from .cost_slice import cost_along_slice
from .landscape import cost_over_plane
from .result import ComparisonResult
from .rollouts import rollouts_of
from .studies.all import study
from .studies.backend_options import in_words
from .studies.plan import plan_for
from .verdicts import verdict

__all__ = ["compute"]

BACKENDS = ("autodiff", "smoothing", "surrogate")
"""Backends that are compared by default; ``SOFTENED`` too where the objective can soften its contacts, and those that
are registered."""

SOFTENED = "softened"

_REFERENCE_ERROR = 0.05  # standard error of the reference to aim for, relative to its norm
_REFERENCE_STEP = 0.75  # of scale: less noise than at the usual 0.5, for a bias of half a percent on a jump
_SCALE = 0.02
_LONG = 60.0  # seconds after which the display says how long the reference takes
_LEAST_ROLLOUTS, _LEAST_SAMPLES = 100, 16


def compute(
    objective: Objective,
    theta: torch.Tensor | None,
    *,
    backends: Sequence[str] | Mapping[str, Backend] | None,
    scale: float | Sequence[float] | None,
    samples: int,
    reference_samples: int | None,
    rollouts: int | None,
    seed: int,
    settings: Mapping[str, Any] | None,
    studies: bool | Collection[str],
    progress: Callable[[str], None] | None,
) -> ComparisonResult:
    """All numbers of ``carom.compare``, which describes the arguments."""
    say = progress or (lambda stage: None)
    began = time.perf_counter()
    timings: dict[str, float] = {}
    theta = _theta(objective, theta)
    if scale is None:
        scale = smoothing_scale(objective, _SCALE)
    scale = scale.tolist() if isinstance(scale, torch.Tensor) else scale
    if backends is None:
        backends = (*BACKENDS, *((SOFTENED,) if can_soften(objective) else ()), *added_names())
    if not isinstance(backends, Mapping):
        backends = make_backends(backends, scale=scale, samples=samples)
    if not backends:
        raise GradientError("no backend to compare: name at least one, e.g. autodiff")
    say("compiling kernels (about a minute the first time)")
    _warm_up(objective, theta)
    for backend in backends.values():
        if warm_up := optional(backend, "warm_up"):
            with suppress(Exception):  # a backend that fails here gets a row with the error
                warm_up(objective, theta)
    timings["compile"] = time.perf_counter() - began

    scales = torch.as_tensor(scale, dtype=torch.float64, device="cpu").expand(len(theta))
    if rollouts is None:
        budget = budget_of(objective)
    else:
        check_count("rollouts", rollouts, _LEAST_ROLLOUTS, " (so that slice and reference have points enough)")
        budget = Budget(rollouts)
    if reference_samples is None:
        say("how many rollouts the reference needs")
        reference_samples, pace = _enough_samples(objective, theta, scale, seed, budget)
        expected = pace * reference_samples
        if expected > _LONG:
            say(f"the reference takes about {expected / 60.0:.1f} min: {budget.rollouts} rollouts; give fewer for less")
    reference = CentralDifferences(scale=scale, samples=reference_samples, step=_REFERENCE_STEP)

    def report(name: str, done: int, total: int) -> None:
        if name != "done":
            say(f"gradient {done + 1} of {total}: {name}")

    comparison = compare_backends(objective, theta, backends, reference, seed=seed, progress=report)
    names = parameter_names(objective, len(theta))
    rounding = 64.0 * torch.finfo(theta.dtype).eps
    verdicts = {row.name: verdict(row, comparison.reference, names, rounding=rounding) for row in comparison.rows}

    say("cost along a slice")
    clock = time.perf_counter()
    target = torch.tensor(comparison.reference.gradient, dtype=torch.float64, device="cpu")
    slice_ = cost_along_slice(objective, theta, target, scales, seed=seed, **budget.slice)
    timings["slice"] = time.perf_counter() - clock
    recording = objective.record(theta[None]) if has_scene(objective) else None  # type: ignore[attr-defined]
    axes = landscape_axes(objective)
    if axes is None and studies and len(theta) > 1:
        axes = _steepest(target * scales)
    landscape = None
    if axes is not None:
        say("cost over a plane")
        clock = time.perf_counter()
        landscape = cost_over_plane(objective, theta, axes, scales, seed=seed, **budget.landscape)
        timings["landscape"] = time.perf_counter() - clock
    found = None
    if studies:
        found = study(
            objective,
            theta,
            backends,
            comparison,
            scale=scales,
            axes=axes,
            samples=samples,
            plan=plan_for(budget, samples, len(theta)),
            seed=seed,
            progress=say,
            only=None if studies is True else studies,
        )
        timings.update({f"study {name}": seconds for name, seconds in found.seconds.items()})
    gradients = {row.name: row.gradient for row in comparison.rows if row.gradient is not None}
    rollouts_ = rollouts_of(objective, theta, gradients, {} if found is None else found.curves, recording)
    timings["total"] = time.perf_counter() - began
    return ComparisonResult(
        objective=objective,
        theta=theta.detach().cpu(),
        names=names,
        comparison=comparison,
        verdicts=verdicts,
        slice=slice_,
        recording=recording,
        landscape=landscape,
        studies=found,
        rollouts=rollouts_,
        settings={
            "seed": seed,
            "samples": samples,
            "reference_samples": reference_samples,
            "rollouts": budget.rollouts,
            "scale": scale,
            "backends": {name: in_words(backend) for name, backend in backends.items()},
            "device": str(theta.device),
            "dtype": str(theta.dtype).removeprefix("torch."),
            **(settings or {}),
        },
        timings=timings,
    )


def _theta(objective: object, theta: torch.Tensor | None) -> torch.Tensor:
    if theta is None:
        theta = start_of(objective)
    if theta is None:
        raise GradientError(
            f"objective {objective_name(objective)!r} has no initial_parameters(): say where to differentiate, "
            "compare(objective, theta)"
        )
    return as_theta(theta).detach()


def _enough_samples(
    objective: Objective, theta: torch.Tensor, scale: Any, seed: int, budget: Budget
) -> tuple[int, float]:
    """Noise draws that bring the reference's standard error down to its target, as far as the budget goes.

    Returns:
        The draws, and the seconds that each has taken so far: for the display alone.
    """
    width = 2 * len(theta) + 1
    pilot_samples = max(_LEAST_SAMPLES, budget.pilot // width // 2 * 2)
    pilot = CentralDifferences(scale=scale, samples=pilot_samples, step=_REFERENCE_STEP).estimate(
        objective, theta, seed=seed
    )
    most = max(pilot_samples, budget.rollouts // width // 2 * 2)
    norm, error = float(pilot.gradient.norm()), float(pilot.standard_error.norm())  # type: ignore[union-attr]
    pace = pilot.seconds / pilot_samples
    if error > 0.0 and norm == 0.0:
        return most, pace
    wanted = pilot_samples * (error / (_REFERENCE_ERROR * norm)) ** 2 if error > 0.0 else 0.0
    return int(min(most, max(pilot_samples, wanted))) // 2 * 2, pace


def _steepest(slope: torch.Tensor) -> tuple[int, int]:
    """The two parameters along which the cost changes most, in their own order."""
    first, second = sorted(slope.abs().topk(2).indices.tolist())
    return first, second


def _warm_up(objective: Objective, theta: torch.Tensor) -> None:
    """Run everything once, so that no backend's time holds the compiler's."""
    evaluate(objective, theta[None])
    with suppress(GradientError):  # a missing exact gradient is reported in its row
        evaluate_with_gradient(objective, theta[None])
