"""All studies of a report, one after the other; those that cannot be made are named with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ...capabilities import horizons_of, stiffnesses_of
from ...gradients.compare import Comparison
from ...gradients.core.backend_options import has_option, with_option
from ...gradients.core.checks import suggest
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.core.optional import has_methods, optional
from ...gradients.diagnosis import Diagnosis, diagnose
from ...gradients.diagnosis.slope_reference import SlopeReference
from ...gradients.estimators.central_differences import CentralDifferences
from .downhill_steps import DownhillSteps, downhill_steps
from .gradient_field import GradientField, gradient_field
from .plan import Plan
from .single_samples import SingleSamples, single_samples
from .sweep import Law, Sweep, Truth, sweep

__all__ = ["STUDIES", "Studies", "study"]

_STEP = 0.75  # of the reference's differences, in noise scales, as in the comparison


@dataclass(frozen=True)
class Studies:
    """Results of the studies. Parts that could not be made are None or missing, and ``missing`` says why."""

    gradient_field: GradientField | None = None
    single_samples: SingleSamples | None = None
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    """Sweeps by the quantity that changes: samples, scale, horizon, stiffness."""
    diagnosis: Diagnosis | None = None
    downhill_steps: DownhillSteps | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """Reasons why studies were not made, by name: field, singles, samples, scale, horizon, stiffness, growth,
    bodies."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds of each study."""

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, without the seconds."""
        return {
            "field": None if self.gradient_field is None else self.gradient_field.as_dict(),
            "singles": None if self.single_samples is None else self.single_samples.as_dict(),
            "sweeps": {name: found.as_dict() for name, found in self.sweeps.items()},
            "diagnosis": None if self.diagnosis is None else _growth(self.diagnosis),
            "nudges": None if self.downhill_steps is None else self.downhill_steps.as_dict(),
        }


@dataclass
class _Work:
    """Inputs of every study."""

    objective: Objective
    theta: torch.Tensor
    backends: Mapping[str, Backend]
    comparison: Comparison
    slope: SlopeReference
    scale: torch.Tensor
    axes: tuple[int, int] | None
    samples: int
    plan: Plan
    seed: int

    @property
    def few(self) -> dict[str, Backend]:
        """The backends, those that sample with the plan's number."""
        found = {}
        for name, backend in self.backends.items():
            try:
                found[name] = with_option(backend, "samples", self.plan.samples) or backend
            except GradientError:
                found[name] = backend
        return found

    def repeats(self, backend: Backend) -> int:
        """Seeds for a backend."""
        return self.plan.fitted_repeats if has_option(backend, "learning_rate") else self.plan.repeats

    def reference(self, objective: Objective) -> Truth:
        """Reference of another objective than the one compared."""
        backend = CentralDifferences(scale=self.scale.tolist(), samples=self.plan.reference_samples, step=_STEP)
        return Truth.of(backend.estimate(objective, self.theta, seed=self.seed))

    @property
    def truth(self) -> Truth:
        """The reference of the comparison."""
        row = self.comparison.reference
        gradient = torch.tensor(row.gradient, dtype=torch.float64, device="cpu")
        error = torch.tensor(row.standard_error or [0.0] * len(gradient), dtype=torch.float64, device="cpu")
        return Truth(gradient, error)


class _UnsupportedError(Exception):
    """Reason why a study cannot be made."""


def study(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    comparison: Comparison,
    *,
    slope: SlopeReference,
    scale: torch.Tensor,
    axes: tuple[int, int] | None,
    samples: int,
    plan: Plan,
    seed: int,
    progress: Callable[[str], None],
    only: Collection[str] | None = None,
) -> Studies:
    """Make all studies, or those asked for.

    Args:
        objective: Objective that was compared.
        theta: Point of the comparison [parameters].
        backends: Backends by name.
        comparison: Numbers of the comparison.
        slope: Reference of the comparison, in units.
        scale: Standard deviation of the noise [parameters].
        axes: The two parameters of the map, if there is one.
        samples: Samples of each estimate in the comparison.
        plan: Numbers of points and rollouts of each study.
        seed: Seed of all noise.
        progress: Called with the name of each study before it begins.
        only: Names of ``STUDIES``; None for all.

    Raises:
        GradientError: An unknown study.
    """
    for name in only or ():
        if name not in STUDIES:
            raise GradientError(suggest("study", name, STUDIES))
    work = _Work(objective, theta, backends, comparison, slope, scale.double().cpu(), axes, samples, plan, seed)
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name, (stage, make) in STUDIES.items():
        if only is not None and name not in only:
            missing[name] = "not computed: it was not among the studies asked for"
            continue
        progress(stage)
        clock = time.perf_counter()
        try:
            found[name] = make(work)
        except (_UnsupportedError, GradientError) as reason:
            missing[name] = str(reason)
        seconds[name] = time.perf_counter() - clock
    sweeps: dict[str, Sweep] = {
        name: found[name] for name in ("samples", "scale", "horizon", "stiffness") if name in found
    }
    if "growth" in found and found["growth"].spectrum is None and found["growth"].gradient_norm_by_step is None:
        missing["growth"] = found["growth"].notes[0]
    return Studies(
        gradient_field=found.get("field"),
        single_samples=found.get("singles"),
        sweeps=sweeps,
        diagnosis=found.get("growth"),
        downhill_steps=found.get("bodies"),
        missing=missing,
        seconds=seconds,
    )


def _gradient_field(work: _Work) -> GradientField:
    if work.axes is None:
        raise _UnsupportedError("there is one parameter only, and a map takes two")
    return gradient_field(
        work.objective, work.theta, work.few, work.axes, work.scale,
        points=work.plan.arrows, samples=work.plan.samples, seed=work.seed,
    )  # fmt: skip


def _single_samples(work: _Work) -> SingleSamples:
    # a backend that is not ours may sample without an option that says so
    single = {row.name for row in work.comparison.rows if row.evaluations <= 1}
    exact = {
        name: backend
        for name, backend in work.backends.items()
        if name in single and not has_option(backend, "samples")
    }
    return single_samples(
        work.objective,
        work.theta,
        exact,
        work.truth.gradient,
        work.scale,
        samples=work.plan.single_samples,
        seed=work.seed,
    )


def _samples(work: _Work) -> Sweep:
    counts = sorted({max(2, 2 * round(share * work.samples / 2)) for share in work.plan.shares})
    if not any(has_option(backend, "samples") for backend in work.backends.values()):
        raise _UnsupportedError("none of the backends compared takes samples")
    return sweep(
        work.theta, work.backends, counts,
        label="samples", unit="",
        objective=lambda value: work.objective,
        truth=lambda value: work.truth,
        backend_at=lambda backend, value: with_option(backend, "samples", round(value)),
        repeats=work.repeats, seed=work.seed, law=Law("1/samples", -1.0, each=True),
    )  # fmt: skip


def _scale(work: _Work) -> Sweep:
    few = work.few
    if not any(has_option(backend, "scale") for backend in few.values()):
        raise _UnsupportedError("none of the backends compared takes a noise scale")
    base = float(work.scale.mean())
    return sweep(
        work.theta, few, [factor * base for factor in work.plan.scales],
        label="noise scale", unit=str(optional(work.objective, "parameter_unit", "")),
        objective=lambda value: work.objective,
        truth=lambda value: work.truth,
        backend_at=lambda backend, value: with_option(backend, "scale", (work.scale * (value / base)).tolist()),
        repeats=work.repeats, seed=work.seed, law=Law("1/scale², rough costs", -2.0, each=False),
    )  # fmt: skip


def _horizon(work: _Work) -> Sweep:
    variants = horizons_of(work.objective, work.plan.points)
    if variants is None:
        raise _UnsupportedError("the objective has no shorter horizon: no at_horizon(steps) and steps")
    return _remade(work, *variants, "horizon", "steps", None)


def _stiffness(work: _Work) -> Sweep:
    variants = stiffnesses_of(work.objective, work.plan.points)
    if variants is None:
        raise _UnsupportedError(
            "the objective has no other contact stiffness: no at_stiffness(stiffness) and stiffness_range"
        )
    return _remade(work, *variants, "contact stiffness", "N/m", Law("stiffness², explicit springs", 2.0, each=False))


def _remade(
    work: _Work, make: Callable[[float], Objective], values: list[float], label: str, unit: str, law: Law | None
) -> Sweep:
    """A sweep over objectives, each with a reference of its own."""
    objectives = {value: make(value) for value in values}
    return sweep(
        work.theta, work.few, values,
        label=label, unit=unit,
        objective=objectives.__getitem__,
        truth=lambda value: work.reference(objectives[value]),
        backend_at=lambda backend, value: backend,
        repeats=work.repeats, seed=work.seed, law=law,
    )  # fmt: skip


def _diagnosis(work: _Work) -> Diagnosis:
    return diagnose(
        work.objective,
        work.theta,
        scale=work.scale.tolist(),
        samples=work.plan.diagnosis,
        leading=4,
        seed=work.seed,
        reference=work.slope,
    )


def _bodies(work: _Work) -> DownhillSteps:
    if not has_methods(work.objective, "record"):
        raise _UnsupportedError("the objective simulates no bodies that could be drawn: it has no record(theta)")
    rows = [work.comparison.reference, *work.comparison.rows]
    gradients = {row.name: row.gradient for row in rows if row.gradient is not None}
    return downhill_steps(work.objective, work.theta, gradients, work.scale, seed=work.seed)


STUDIES: dict[str, tuple[str, Callable[[_Work], Any]]] = {
    "field": ("arrows over the plane", _gradient_field),
    "singles": ("single samples", _single_samples),
    "samples": ("bias and variance by samples", _samples),
    "scale": ("bias and variance by noise scale", _scale),
    "horizon": ("bias and variance by horizon", _horizon),
    "stiffness": ("bias and variance by contact stiffness", _stiffness),
    "growth": ("growth step by step, contacts and kinks", _diagnosis),
    "bodies": ("where a step moves the bodies", _bodies),
}
"""Studies by name, in the order of the work: the text of the progress, and the function."""


def _growth(diagnosis: Diagnosis) -> dict[str, Any]:
    norms, spectrum = diagnosis.gradient_norm_by_step, diagnosis.spectrum
    return {
        "verdicts": {name: found.text for name, found in diagnosis.verdicts.items()},
        "notes": list(diagnosis.notes),
        "kinks": [str(kink) for kink in diagnosis.kinks],
        "gradient_norm_by_step": None if norms is None else norms.tolist(),
        "horizons": None if spectrum is None else spectrum.horizons.tolist(),
        "log_singular_values": None if spectrum is None else spectrum.log_singular_values.tolist(),
        "lyapunov_exponents": None if spectrum is None else spectrum.exponents.tolist(),
    }
