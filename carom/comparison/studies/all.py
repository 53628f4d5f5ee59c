"""All studies of a report, one after the other; what cannot be made is named with the reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ...capabilities import horizons_of, stiffnesses_of
from ...gradients.compare import Comparison
from ...gradients.core.checks import suggest
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.diagnosis import Diagnosis, DiagnosisVerdict, diagnose
from ...gradients.estimators.central_differences import CentralDifferences
from .descents import Curve, descents
from .downhill_steps import Nudges, nudge
from .gradient_field import ArrowField, arrow_field
from .plan import Plan
from .single_samples import Singles, single_samples
from .sweep import Law, Sweep, Truth, sweep
from .vary import has_option, with_option

__all__ = ["STUDIES", "Studies", "study"]

_STEP = 0.75  # of the reference's differences, in noise scales, as in the comparison


@dataclass(frozen=True)
class Studies:
    """What was found. Parts that could not be made are None or missing, and ``missing`` says why."""

    arrows: ArrowField | None = None
    singles: Singles | None = None
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    """By what changes: samples, scale, horizon, stiffness."""
    diagnosis: Diagnosis | None = None
    nudges: Nudges | None = None
    curves: dict[str, Curve] = field(default_factory=dict)
    """Descents by backend."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a study was not made, by its name: field, singles, samples, scale, horizon, stiffness,
    growth, bodies, curves."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each study."""

    @property
    def squared_errors(self) -> dict[str, float]:
        """Mean squared error of each backend's estimate as compared, where it was measured over seeds."""
        found = self.sweeps.get("samples")
        last = {} if found is None else {name: row[-1] for name, row in found.points.items()}
        return {name: point.squared_error for name, point in last.items() if point is not None and point.repeats > 1}

    @property
    def verdicts(self) -> dict[str, DiagnosisVerdict]:
        """The diagnosis' verdicts by backend; empty without one."""
        return {} if self.diagnosis is None else self.diagnosis.verdicts

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, without the seconds."""
        return {
            "field": None if self.arrows is None else self.arrows.as_dict(),
            "singles": None if self.singles is None else self.singles.as_dict(),
            "sweeps": {name: found.as_dict() for name, found in self.sweeps.items()},
            "diagnosis": None if self.diagnosis is None else _growth(self.diagnosis),
            "nudges": None if self.nudges is None else self.nudges.as_dict(),
            "curves": {name: curve.as_dict() for name, curve in self.curves.items()},
        }


@dataclass
class _Work:
    """What every study reads."""

    objective: Objective
    theta: torch.Tensor
    backends: Mapping[str, Backend]
    comparison: Comparison
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
        """Of another objective than the one compared."""
        backend = CentralDifferences(scale=self.scale.tolist(), samples=self.plan.reference_samples, step=_STEP)
        return Truth.of(backend.estimate(objective, self.theta, seed=self.seed))

    @property
    def truth(self) -> Truth:
        """The reference of the comparison."""
        row = self.comparison.reference
        gradient = torch.tensor(row.gradient, dtype=torch.float64, device="cpu")
        error = torch.tensor(row.standard_error or [0.0] * len(gradient), dtype=torch.float64, device="cpu")
        return Truth(gradient, error)


class _NotOfferedError(Exception):
    """Why a study cannot be made."""


def study(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    comparison: Comparison,
    *,
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
        objective: What was compared.
        theta: Where [parameters].
        backends: By name.
        comparison: What came of it.
        scale: Standard deviation of the noise [parameters].
        axes: The two parameters of the map, if there is one.
        samples: Of each estimate in the comparison.
        plan: How much of each study.
        seed: Of all noise.
        progress: Called with the name of each study before it begins.
        only: Names of ``STUDIES``; None for all.

    Raises:
        GradientError: An unknown study.
    """
    for name in only or ():
        if name not in STUDIES:
            raise GradientError(suggest("study", name, STUDIES))
    work = _Work(objective, theta, backends, comparison, scale.double().cpu(), axes, samples, plan, seed)
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name, (words, make) in STUDIES.items():
        if only is not None and name not in only:
            missing[name] = "not computed: it was not among the studies asked for"
            continue
        progress(words)
        clock = time.perf_counter()
        try:
            found[name] = make(work)
        except (_NotOfferedError, GradientError) as reason:
            missing[name] = str(reason)
        seconds[name] = time.perf_counter() - clock
    sweeps: dict[str, Sweep] = {
        name: found[name] for name in ("samples", "scale", "horizon", "stiffness") if name in found
    }
    if "growth" in found and found["growth"].spectrum is None and found["growth"].gradient_norm_by_step is None:
        missing["growth"] = found["growth"].notes[0]
    return Studies(
        arrows=found.get("field"),
        singles=found.get("singles"),
        sweeps=sweeps,
        diagnosis=found.get("growth"),
        nudges=found.get("bodies"),
        curves=found.get("curves", {}),
        missing=missing,
        seconds=seconds,
    )


def _field(work: _Work) -> ArrowField:
    if work.axes is None:
        raise _NotOfferedError("there is one parameter only, and a map takes two")
    return arrow_field(
        work.objective, work.theta, work.few, work.axes, work.scale,
        points=work.plan.field, samples=work.plan.samples, seed=work.seed,
    )  # fmt: skip


def _singles(work: _Work) -> Singles:
    exact = {name: backend for name, backend in work.backends.items() if not has_option(backend, "samples")}
    return single_samples(
        work.objective, work.theta, exact, work.truth.gradient, work.scale, samples=work.plan.singles, seed=work.seed
    )


def _samples(work: _Work) -> Sweep:
    counts = sorted({max(2, 2 * round(share * work.samples / 2)) for share in work.plan.shares})
    if not any(has_option(backend, "samples") for backend in work.backends.values()):
        raise _NotOfferedError("none of the backends compared takes samples")
    return sweep(
        work.theta, work.backends, counts,
        label="samples", unit="",
        objective=lambda value: work.objective,
        truth=lambda value: work.truth,
        varied=lambda backend, value: with_option(backend, "samples", round(value)),
        repeats=work.repeats, seed=work.seed, law=Law("1/samples", -1.0, each=True),
    )  # fmt: skip


def _scale(work: _Work) -> Sweep:
    few = work.few
    if not any(has_option(backend, "scale") for backend in few.values()):
        raise _NotOfferedError("none of the backends compared takes a noise scale")
    base = float(work.scale.mean())
    return sweep(
        work.theta, few, [factor * base for factor in work.plan.scales],
        label="noise scale", unit=str(getattr(work.objective, "parameter_unit", "")),
        objective=lambda value: work.objective,
        truth=lambda value: work.truth,
        varied=lambda backend, value: with_option(backend, "scale", (work.scale * (value / base)).tolist()),
        repeats=work.repeats, seed=work.seed, law=Law("1/scale², rough costs", -2.0, each=False),
    )  # fmt: skip


def _horizon(work: _Work) -> Sweep:
    offered = horizons_of(work.objective, work.plan.points)
    if offered is None:
        raise _NotOfferedError("the objective offers no shorter horizon: no at_horizon(steps) and steps")
    return _remade(work, *offered, "horizon", "steps", None)


def _stiffness(work: _Work) -> Sweep:
    offered = stiffnesses_of(work.objective, work.plan.points)
    if offered is None:
        raise _NotOfferedError(
            "the objective offers no other contact stiffness: no at_stiffness(stiffness) and stiffness_range"
        )
    return _remade(work, *offered, "contact stiffness", "N/m", Law("stiffness², explicit springs", 2.0, each=False))


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
        varied=lambda backend, value: backend,
        repeats=work.repeats, seed=work.seed, law=law,
    )  # fmt: skip


def _diagnosis(work: _Work) -> Diagnosis:
    return diagnose(
        work.objective, work.theta, scale=work.scale.tolist(), samples=work.plan.diagnosis, leading=4, seed=work.seed
    )


def _bodies(work: _Work) -> Nudges:
    if not callable(getattr(work.objective, "record", None)):
        raise _NotOfferedError("the objective simulates no bodies that could be drawn: it has no record(theta)")
    rows = [work.comparison.reference, *work.comparison.rows]
    gradients = {row.name: row.gradient for row in rows if row.gradient is not None}
    return nudge(work.objective, work.theta, gradients, work.scale, seed=work.seed)


def _curves(work: _Work) -> dict[str, Curve]:
    return descents(
        work.objective, work.theta, work.backends, work.scale,
        samples=work.plan.samples, rollouts=work.plan.curve, steps=work.plan.steps, seed=work.seed,
    )  # fmt: skip


STUDIES: dict[str, tuple[str, Callable[[_Work], Any]]] = {
    "field": ("arrows over the plane", _field),
    "singles": ("single samples", _singles),
    "samples": ("bias and variance by samples", _samples),
    "scale": ("bias and variance by noise scale", _scale),
    "horizon": ("bias and variance by horizon", _horizon),
    "stiffness": ("bias and variance by contact stiffness", _stiffness),
    "growth": ("growth step by step, contacts and kinks", _diagnosis),
    "bodies": ("where a step moves the bodies", _bodies),
    "curves": ("a descent with each backend", _curves),
}
"""By name: what the progress says, and what makes it. The order of the work."""


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
