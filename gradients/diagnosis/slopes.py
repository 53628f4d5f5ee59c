"""The slope of the averaged cost by every backend: estimates over seeds against units of a reference."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..core.backend_options import has_option
from ..core.checked import checked_estimate
from ..core.errors import GradientError
from ..core.interface import Backend, Estimate, Objective
from ..noise.counter_random import derive_seed
from ..statistics.bias_interval import LEVEL
from .slope import SlopeVerdict, failed_slope, slope_verdict
from .slope_reference import SlopeReference, slope_reference

__all__ = ["SlopePlan", "Slopes", "enough_reference", "measure_slopes"]

_REFERENCE_ERROR = 0.04
"""Error of the reference to aim for, relative to the slope."""
_LEAST_UNITS, _PILOT_UNITS = 100, 16
_LONG = 60.0  # seconds after which the display says how long the reference takes
_LOOKS = 3
_MARGIN = 1.3  # times the rollouts that should settle it
_LEAST_GROWTH = 0.25


@dataclass(frozen=True)
class SlopePlan:
    """Extent of the measurement."""

    rollouts: int
    """Rollouts of the reference, at most."""
    seeds: int = 16
    """Estimates of each backend that samples."""
    fitted_seeds: int = 6
    """Estimates of each backend that trains something, which takes longer than its rollouts."""
    settle: int = 0
    """Further rollouts that may be spent on backends whose verdict is "cannot tell"."""


@dataclass(frozen=True)
class Slopes:
    """Reference, estimates and verdicts."""

    reference: SlopeReference
    verdicts: dict[str, SlopeVerdict]
    estimates: dict[str, torch.Tensor]
    """Gradients over seeds, [seeds, parameters], by backend; those that gave any."""
    first: dict[str, Estimate]
    """The estimate of the first seed by backend."""
    errors: dict[str, GradientError]
    rollouts: int
    """Spent in all."""
    settled_with: int = 0
    """Of these, those that ``settle`` allowed."""


def measure_slopes(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    scale: Any,
    *,
    plan: SlopePlan,
    seed: int,
    reference: SlopeReference | None = None,
    progress: Callable[[str], None] | None = None,
) -> Slopes:
    """Verdicts on all backends.

    The first estimate of each has the seed ``seed``; the others have seeds of their own below it.

    Args:
        objective: The cost.
        theta: [parameters].
        backends: By name.
        scale: Standard deviation of the noise, one number or one per parameter.
        plan: Extent.
        seed: Seed of all noise.
        reference: Units of the reference, if they are known.
        progress: Called with the name of each stage.
    """
    say = progress or (lambda stage: None)
    say("reference slope")
    truth = reference or enough_reference(objective, theta, scale, plan.rollouts, seed, say)
    samples = {name: _Seeds(objective, theta, backend, seed) for name, backend in backends.items()}
    spent = truth.rollouts
    for done, (name, found) in enumerate(samples.items(), start=1):
        say(f"gradient {done} of {len(samples)}: {name}")
        found.extend(plan.fitted_seeds if has_option(found.backend, "learning_rate") else plan.seeds)
        spent += found.rollouts
    verdicts = {name: found.verdict(truth) for name, found in samples.items()}
    extra = 0
    if plan.settle:
        say("more rollouts for what is not settled")
        truth, verdicts, extra = _settle(objective, theta, scale, truth, samples, verdicts, plan.settle, seed)
    return Slopes(
        truth,
        verdicts,
        {name: found.gradients for name, found in samples.items() if found.estimates},
        {name: found.estimates[0] for name, found in samples.items() if found.estimates},
        {name: found.error for name, found in samples.items() if found.error is not None},
        spent + extra,
        extra,
    )


def enough_reference(
    objective: Objective,
    theta: torch.Tensor,
    scale: Any,
    rollouts: int,
    seed: int,
    say: Callable[[str], None] = lambda stage: None,
) -> SlopeReference:
    """A reference whose error is ``_REFERENCE_ERROR`` of the slope, as a pilot of a seventh of ``rollouts`` has it.

    It has a hundred units at least, however small its error seems: what one unit in thirty sees, it would else miss.
    Along random directions, of which each sees little of a single parameter, it takes all ``rollouts``. ``say`` is told
    where it takes more than a minute, by the pace of the pilot; nothing else depends on that.
    """
    clock = time.perf_counter()
    pilot = slope_reference(objective, theta, scale, rollouts=rollouts // 7, seed=seed)
    found = pilot.summary
    norm = float(found.mean.norm())
    wanted: float = rollouts
    if pilot.complete and norm > 0.0 and found.count >= _PILOT_UNITS:
        per_unit = pilot.rollouts / found.count
        wanted = max(pilot.rollouts * found.trace / (_REFERENCE_ERROR * norm) ** 2, _LEAST_UNITS * per_unit)
        if wanted <= pilot.rollouts:
            return pilot
    wanted = int(min(rollouts, wanted))
    expected = (time.perf_counter() - clock) / pilot.rollouts * wanted
    if expected > _LONG:
        say(f"the reference takes about {expected / 60.0:.1f} min: {wanted} rollouts; give fewer for less")
    known = pilot if pilot.complete else None  # more rollouts have other, more numerous random directions
    return slope_reference(objective, theta, scale, rollouts=wanted, seed=seed, known=known)


class _Seeds:
    """Estimates of one backend over seeds, more of them on demand."""

    def __init__(self, objective: Objective, theta: torch.Tensor, backend: Backend, seed: int) -> None:
        self.objective, self.theta, self.backend, self.seed = objective, theta, backend, seed
        self.estimates: list[Estimate] = []
        self.error: GradientError | None = None

    @property
    def gradients(self) -> torch.Tensor:
        """[seeds, parameters]; one row where all seeds give the same."""
        found = torch.stack([estimate.gradient.double().cpu() for estimate in self.estimates])
        return found[:1] if self.exact else found

    @property
    def standard_errors(self) -> torch.Tensor | None:
        """[seeds, parameters]; None where the backend has no error bar, but a spread of its own."""
        errors = [estimate.standard_error for estimate in self.estimates]
        spread = any("gradient_spread" in estimate.diagnostics for estimate in self.estimates)
        if spread or any(error is None for error in errors):
            return None
        return torch.stack([error.double().cpu() for error in errors if error is not None])

    @property
    def exact(self) -> bool:
        """Whether the first two seeds give the same gradient, which is then exact and not looked at again."""
        if len(self.estimates) < 2:
            return False
        first, second = (estimate.gradient for estimate in self.estimates[:2])
        return bool((first == second).all()) and bool(first.any())

    @property
    def rollouts(self) -> int:
        """Rollouts of all estimates."""
        return sum(estimate.evaluations for estimate in self.estimates)

    def extend(self, count: int) -> None:
        """Make estimates until there are ``count``, unless the backend is exact or fails."""
        while len(self.estimates) < count and self.error is None and not self.exact:
            number = len(self.estimates)
            seed = self.seed if number == 0 else derive_seed(self.seed, "slope", number)
            try:
                estimate = checked_estimate(self.backend, self.objective, self.theta, seed=seed)
            except GradientError as error:
                self.error = error
                return
            self.estimates.append(estimate)

    def verdict(self, truth: SlopeReference, level: float = LEVEL) -> SlopeVerdict:
        """Verdict on what there is."""
        if not self.estimates or self.error is not None:
            return failed_slope(str(self.error or "no estimate was made"))
        return slope_verdict(
            self.gradients, truth, rollouts=self.estimates[0].evaluations, errors=self.standard_errors, level=level
        )


def _settle(
    objective: Objective,
    theta: torch.Tensor,
    scale: Any,
    truth: SlopeReference,
    samples: Mapping[str, _Seeds],
    verdicts: dict[str, SlopeVerdict],
    allowed: int,
    seed: int,
) -> tuple[SlopeReference, dict[str, SlopeVerdict], int]:
    """Look again at what is not settled, each time with as many rollouts as should settle it, within the allowance.

    Reference and backends grow by the same factor. The looks share the level, so that their number makes no statement
    more often false.
    """
    before = truth.rollouts + sum(found.rollouts for found in samples.values())
    level = 1.0 - (1.0 - LEVEL) / (_LOOKS + 1.0)
    for _ in range(_LOOKS):
        open_ = {name for name, found in verdicts.items() if found.label == "cannot tell"}
        left = allowed - (truth.rollouts + sum(found.rollouts for found in samples.values()) - before)
        base = truth.rollouts + sum(samples[name].rollouts for name in open_ if not samples[name].exact)
        if not open_ or left < _LEAST_GROWTH * base:
            break
        needs = [found.more or left for name, found in verdicts.items() if name in open_]
        factor = 1.0 + min(left, max(_LEAST_GROWTH * base, _MARGIN * max(needs))) / base
        wanted = int(factor * truth.rollouts)
        truth = slope_reference(objective, theta, scale, rollouts=wanted, seed=seed, known=truth)
        for name in open_:
            samples[name].extend(math.ceil(factor * len(samples[name].estimates)))
        verdicts = {**verdicts, **{name: samples[name].verdict(truth, level) for name in open_}}
    after = truth.rollouts + sum(found.rollouts for found in samples.values())
    return truth, verdicts, after - before
