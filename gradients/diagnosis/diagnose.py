"""Diagnosis of a gradient in numbers and verdicts, with all parts that the objective supports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.backend_options import with_option
from ..core.checked import checked_estimate
from ..core.checks import Scale, as_batch
from ..core.errors import GradientError
from ..core.interface import Backend, Estimate, Objective
from ..estimators.autodiff import Autodiff
from ..estimators.smoothing.estimator import Smoothing
from .contacts import ContactChanges, contact_changes
from .horizon import HorizonVariance, variance_by_horizon
from .kinks import Kink, nearby_kinks
from .linearized_rollout import steps_of, supports
from .slope import failed_slope
from .slope_reference import SlopeReference
from .slopes import SlopePlan, measure_slopes
from .spectrum import Spectrum, spectrum
from .verdicts import DiagnosisVerdict, Evidence, verdict

__all__ = ["Diagnosis", "diagnose"]

_SEEDS, _REFERENCE = 8, 8
_LEAST_SAMPLES = 16


@dataclass(frozen=True)
class Diagnosis:
    """Findings around one theta. Parts that the objective does not support are None or empty."""

    estimates: dict[str, Estimate]
    """Estimates by backend: ``"autodiff"``, ``"first"``, ``"zeroth"``, and those asked for."""
    errors: dict[str, str]
    """Reason for which a backend gave no gradient, by backend."""
    verdicts: dict[str, DiagnosisVerdict]
    """Verdict on each, a label and a sentence; the rules are in ``verdicts.py``."""
    variance_ratio: float | None
    """Trace variance of one sample, first over zeroth order."""
    gradient_norm_by_step: torch.Tensor | None
    """Length of the cost's derivative with respect to the controls (or the state) of every step, [T]."""
    spectrum: Spectrum | None
    contacts: ContactChanges | None
    kinks: tuple[Kink, ...] = ()
    """The nearest ones on the line of the zeroth order's gradient, distance in units of the noise."""
    horizons: HorizonVariance | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    """Parts left out, with the reason."""

    def __repr__(self) -> str:
        return f"Diagnosis of {', '.join(self.estimates) or 'nothing'}; print() shows it"

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """The verdicts, a line each, and the further findings."""
        lines = [f"{name}: {text}" for name, text in self.verdicts.items()]
        if self.spectrum is not None:
            time = float(self.spectrum.horizons[-1])
            lines.append(f"largest Lyapunov exponent {self.spectrum.largest:.3g} per unit of time, over {time:.3g}")
        if self.horizons is not None:
            cross = self.horizons.crossing
            where = "not within the horizons looked at" if cross is None else f"from {cross:.0f} steps on"
            lines.append(f"the first order is noisier than the zeroth {where}")
        lines.extend(f"kink {kink}" for kink in self.kinks)
        lines.extend(self.notes)
        return "\n".join(lines)


@plain_numbers
def diagnose(
    objective: Objective,
    theta: torch.Tensor,
    *,
    scale: Scale = 0.02,
    samples: int = 256,
    backends: dict[str, Backend] | None = None,
    horizons: Sequence[int] | None = None,
    leading: int = 8,
    seed: int = 0,
    reference: SlopeReference | None = None,
) -> Diagnosis:
    """Diagnose the gradient of an objective at one theta.

    Uses the capabilities of the objective: an exact gradient; ``unroll(theta)`` for Jacobians step by step;
    ``contact_history(theta)`` for contacts; ``at_horizon(steps)`` for shorter versions of itself. Tasks made with
    ``carom.sim`` have the first three. The verdicts on the slope, by the rules of ``slope.py``, take estimates over
    eight seeds with a quarter of ``samples`` each and a reference of eight times as many rollouts: about ``14 samples``
    rollouts in all; each horizon another three.

    Args:
        objective: Objective to differentiate.
        theta: [parameters].
        scale: Standard deviation of the noise, one number or one per coordinate.
        samples: Samples of either order of smoothing; a quarter of them for the contacts.
        backends: Further backends to compare with the zeroth order, by name.
        horizons: Steps at which to compare the variances; None leaves it out.
        leading: Number of singular values and of exponents.
        seed: Seed of all noise.
        reference: Units of the slope of the averaged cost, if they are known.

    Raises:
        GradientError: A bad argument, or an objective that fails where theta is.
    """
    theta = as_theta(theta)
    _, single = as_batch(theta)
    if not single:
        raise GradientError(f"diagnose takes one theta, shape [parameters], not {list(theta.shape)}")
    first = Smoothing(scale=scale, samples=samples, order="first", antithetic=False)
    zeroth = Smoothing(scale=scale, samples=samples, antithetic=False)
    asked: dict[str, Backend] = {"autodiff": Autodiff(), "first": first, "zeroth": zeroth, **(backends or {})}
    estimates: dict[str, Estimate] = {}
    errors: dict[str, str] = {}
    for name, backend in asked.items():
        try:
            estimates[name] = checked_estimate(backend, objective, theta, seed=seed)
        except GradientError as error:
            errors[name] = str(error)
    if "zeroth" not in estimates:
        raise GradientError(errors["zeroth"])
    slopes = measure_slopes(
        objective, theta, {name: _fewer(asked[name], samples // 4) for name in estimates}, scale,
        plan=SlopePlan(rollouts=_REFERENCE * samples, seeds=_SEEDS, fitted_seeds=_SEEDS), seed=seed,
        reference=reference,
    )  # fmt: skip
    notes: list[str] = []
    norms, growth, contacts, curve = None, None, None, None
    kinks: tuple[Kink, ...] = ()
    if supports(objective, "unroll") and "autodiff" in estimates:
        steps = steps_of(objective, theta)
        if steps.gradient_by_step is not None:
            norms = steps.gradient_by_step.double().reshape(steps.steps, -1).norm(dim=1)
        growth = spectrum(steps, leading=leading, seed=seed)
    else:
        notes.append("no Jacobians by step: the objective has no unroll(theta), or no exact gradient")
    if supports(objective, "contact_history"):
        contacts = contact_changes(objective, theta, scale=scale, samples=max(8, samples // 4), seed=seed)
        kinks = _kinks(objective, theta, scale, estimates["zeroth"])
    else:
        notes.append("no contacts: the objective has no contact_history(theta)")
    if horizons is not None and "first" in estimates:
        curve = variance_by_horizon(objective, theta, horizons, first=first, zeroth=zeroth, seed=seed)
    ratio = _variance_ratio(estimates)
    evidence = Evidence(variance_ratio=ratio, spectrum=growth, contacts=contacts, kinks=kinks, norm_by_step=norms)
    judged = {**{name: failed_slope(error) for name, error in errors.items()}, **slopes.verdicts}
    verdicts = {name: verdict(name, judged[name], estimates.get(name), evidence) for name in asked}
    return Diagnosis(estimates, errors, verdicts, ratio, norms, growth, contacts, kinks, curve, tuple(notes))


def _fewer(backend: Backend, samples: int) -> Backend:
    """The backend with so many samples, if it takes that many."""
    with suppress(GradientError):
        return with_option(backend, "samples", max(_LEAST_SAMPLES, samples)) or backend
    return backend


def _kinks(objective: Any, theta: torch.Tensor, scale: Scale, zeroth: Estimate) -> tuple[Kink, ...]:
    """Kinks along the direction of the zeroth order, up to a standard deviation of the noise to either side."""
    spread = torch.as_tensor(scale, dtype=torch.float64, device=theta.device).expand(theta.shape)
    direction = -zeroth.gradient.double() * spread.square()
    length = float((direction / spread).norm())
    if length == 0.0:
        return ()
    return nearby_kinks(objective, theta, (direction / length).to(theta.dtype))


def _variance_ratio(estimates: dict[str, Estimate]) -> float | None:
    if "first" not in estimates:
        return None
    first, zeroth = (float(estimates[name].standard_error.double().square().sum()) for name in ("first", "zeroth"))  # type: ignore[union-attr]
    if zeroth == 0.0:
        return None if first == 0.0 else math.inf
    return first / zeroth
