"""Gradients by several backends on one objective, a reference, and the studies: the numbers of a comparison."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from ..capabilities import can_soften, has_scene, landscape_axes, parameter_names, smoothing_scale, start_of
from ..gradients import Backend, Comparison, GradientError, Objective, compare_backends
from ..gradients.core.arrays import as_theta
from ..gradients.core.backend_options import in_words
from ..gradients.core.checks import check_count
from ..gradients.core.objective import evaluate, evaluate_with_gradient, objective_name
from ..gradients.core.optional import optional
from ..gradients.diagnosis.slope_reference import SlopeReference, slope_reference
from ..gradients.diagnosis.slopes import SlopePlan, Slopes, measure_slopes
from ..gradients.registry import added_names, make_backends
from .budget import Budget, budget_of
from .cost_slice import cost_along_slice
from .first_look import FirstLook, noise_text, title_of
from .given import Given, given_reference
from .landscape import cost_over_plane
from .race import RacePlan, race
from .result import ComparisonResult
from .rollouts import rollouts_of
from .studies.all import study
from .studies.plan import plan_for
from .trust import trust_of

__all__ = ["compute"]

BACKENDS = ("autodiff", "smoothing", "surrogate")
"""Backends that are compared by default; ``SOFTENED`` too where the objective can soften its contacts, and those that
are registered."""

SOFTENED = "softened"

_SCALE = 0.02
_LEAST_ROLLOUTS = 100
_REPEATS = 1e-5  # relative difference of two calls below which they are the same
_RACE, _STUDIES = 3.0, 3.3  # times the time of the slopes, as measured on the push and on a scene of three way-points
_SETTLE = 10  # times the rollouts of the reference that ``settle=True`` allows


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
    with_race: bool,
    settle: bool | int,
    progress: Callable[[str], None] | None,
    first_look: Callable[[FirstLook], None] | None = None,
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
    notes = _warm_up(objective, theta)
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
        budget = Budget(rollouts, simulated=budget_of(objective).simulated)
    clock = time.perf_counter()
    slopes = _slopes(
        objective,
        theta,
        backends,
        scale,
        budget,
        reference_samples=reference_samples,
        settle=settle,
        seed=seed,
        say=say,
    )
    comparison = _comparison(objective, theta, backends, slopes, samples=budget.slice["samples"], seed=seed)
    timings["slopes"] = time.perf_counter() - clock
    if first_look is not None:
        rest = 1.0 + with_race * _RACE + bool(studies) * _STUDIES
        title, noise = title_of(objective, settings or {}), noise_text(objective, scale)
        first_look(FirstLook(title, noise, comparison, slopes.verdicts, rest * timings["slopes"]))
    names = parameter_names(objective, len(theta))
    say("trusted step lengths")
    clock = time.perf_counter()
    trust = trust_of(objective, theta, scales, slopes.estimates, draws=budget.trust_draws, seed=seed)
    timings["trust"] = time.perf_counter() - clock
    raced = None
    if with_race:
        clock = time.perf_counter()
        raced = race(
            objective, theta, backends, scales,
            plan=RacePlan(budget=budget.race, starts=budget.race_starts, more_starts=budget.race_starts),
            seed=seed, progress=say,
        )  # fmt: skip
        timings["race"] = time.perf_counter() - clock

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
            slope=slopes.reference,
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
    rollouts_ = rollouts_of(objective, theta, gradients, raced, recording)
    timings["total"] = time.perf_counter() - began
    return ComparisonResult(
        objective=objective,
        theta=theta.detach().cpu(),
        names=names,
        comparison=comparison,
        slopes=slopes,
        race=raced,
        trust=trust,
        slice=slice_,
        recording=recording,
        landscape=landscape,
        studies=found,
        rollouts=rollouts_,
        settings={
            "seed": seed,
            "samples": samples,
            "reference_rollouts": slopes.reference.rollouts,
            "settle": settle,
            "rollouts": budget.rollouts,
            "scale": scale,
            "backends": {name: in_words(backend) for name, backend in backends.items()},
            "device": str(theta.device),
            "dtype": str(theta.dtype).removeprefix("torch."),
            **(settings or {}),
        },
        timings=timings,
        notes=notes,
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


def _slopes(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    scale: Any,
    budget: Budget,
    *,
    reference_samples: int | None,
    settle: bool | int,
    seed: int,
    say: Callable[[str], None],
) -> Slopes:
    """Verdicts on the slopes, with a reference of so many draws, or of as many as it needs."""
    reference: SlopeReference | None = None
    if reference_samples is not None:
        check_count("reference_samples", reference_samples, 4, " (so that there is a standard error)")
        say("reference slope")
        reference = slope_reference(
            objective, theta, scale, rollouts=2 * len(theta) * reference_samples, seed=seed, all_coordinates=True
        )
    if not isinstance(settle, bool):
        check_count("settle", settle, 0)
    allowed = (_SETTLE * budget.rollouts if settle else 0) if isinstance(settle, bool) else settle
    plan = SlopePlan(budget.rollouts, seeds=budget.seeds, fitted_seeds=budget.fitted_seeds, settle=allowed)
    return measure_slopes(objective, theta, backends, scale, plan=plan, seed=seed, reference=reference, progress=say)


def _comparison(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    slopes: Slopes,
    *,
    samples: int,
    seed: int,
) -> Comparison:
    """The table: the first estimate of each backend beside the reference."""
    known = {name: Given(slopes.first.get(name), slopes.errors.get(name)) for name in backends}
    reference = given_reference(objective, theta, slopes.reference, samples=samples, seed=seed)
    return compare_backends(objective, theta, known, reference)


def _steepest(slope: torch.Tensor) -> tuple[int, int]:
    """The two parameters along which the cost changes most, in their own order."""
    first, second = sorted(slope.abs().topk(2).indices.tolist())
    return first, second


def _warm_up(objective: Objective, theta: torch.Tensor) -> tuple[str, ...]:
    """Run everything once, so that no backend's time holds the compiler's; sentences on what that shows."""
    first, again = (evaluate(objective, theta[None]) for _ in range(2))
    notes: tuple[str, ...] = ()
    if not torch.allclose(first, again, rtol=_REPEATS, atol=0.0):
        notes = (
            f"The objective gave {float(first[0]):.6g} and {float(again[0]):.6g} in two calls with the same theta: it "
            "is no function of theta, differences of it are noise, and the same seed gives other numbers. Draw its "
            "randomness from a generator of a fixed seed that it makes anew in every call.",
        )
        warnings.warn(notes[0], stacklevel=4)
    with suppress(GradientError):  # a missing exact gradient is reported in its row
        evaluate_with_gradient(objective, theta[None])
    return notes
