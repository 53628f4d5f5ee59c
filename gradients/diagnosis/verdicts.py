"""Verdicts on gradients: one per backend, by the rules stated here.

All are held against the zeroth order over the same noise: it is unbiased whatever the cost does, and its error bar is
valid. z is the largest difference in a parameter, over the errors of both; it counts above K, 3 for one parameter and
more for several, so that chance alone exceeds it in one of 370 verdicts. In this order:

1. *not finite*: an entry of the gradient is not finite.
2. *blind*: exactly 0 in a parameter where the zeroth order is more than K standard errors from 0. The reason, if
   the objective gives its contacts: the share of samples that touch what theta does not.
3. *blind to contact* (exact): the derivative with respect to what enters at each step is exactly 0 in every step, while
   some samples touch what theta does not. The rest of the gradient does not come from the simulation.
4. *biased by jumps* (an average of exact gradients): z > K. Its own error bar cannot show it.
5. *overwhelmed by growth* (exact or averaged exact gradients): disturbances of the state grow more than
   GROWTH-fold over the evaluation, and the gradient is off by z > K, or its variance exceeds the zeroth order's.
6. *local* (exact): z > K otherwise: the slope of the cost as it is. The nearest change of contact is named.
7. *noisy*: its error bar is above half of its length; how many samples would bring it to a tenth.
8. *off*: z > K for any other.
9. *undecided* (exact): z <= K, but the zeroth order's own error bar is above half of its length, so that nothing
   follows from it. Contacts that the samples make and theta does not are named.
10. *to be believed* otherwise, with its error bar; for the first order, how much less or more noise than the zeroth;
   for the exact gradient, what samples touch that theta does not.

A backend that gave no gradient has the label *no gradient*, and its error for a sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..core.interface import Estimate
from ..statistics.significance import critical_z
from .contacts import ContactChanges
from .kinks import Kink
from .spectrum import Spectrum

__all__ = ["GROWTH", "LABELS", "DiagnosisVerdict", "Evidence", "verdict"]

GROWTH = 100.0
"""Growth of a disturbance over an evaluation that counts as overwhelming."""

LABELS = (
    "not finite", "blind", "blind to contact", "overwhelmed by growth", "biased by jumps", "local", "exactly 0",
    "noisy", "off", "to be believed", "no gradient",
)  # fmt: skip
"""All labels of a verdict."""


@dataclass(frozen=True)
class DiagnosisVerdict:
    """A label for programs, and the sentence for people."""

    label: str
    """Label, one of ``LABELS``."""
    detail: str = ""
    """The rest of the sentence, with its punctuation."""

    def __post_init__(self) -> None:
        assert self.label in LABELS, self.label

    @property
    def text(self) -> str:
        """The sentence, without a full stop."""
        return self.label + self.detail

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Evidence:
    """Numbers that the rules use."""

    zeroth: Estimate
    samples: int
    variance_ratio: float | None
    spectrum: Spectrum | None
    contacts: ContactChanges | None
    kinks: tuple[Kink, ...]
    norm_by_step: torch.Tensor | None


def verdict(name: str, estimate: Estimate, evidence: Evidence) -> DiagnosisVerdict:
    """Verdict on this estimate."""
    gradient, truth = estimate.gradient.double(), evidence.zeroth.gradient.double()
    error = evidence.zeroth.standard_error
    assert error is not None
    if not bool(torch.isfinite(gradient).all()):
        return DiagnosisVerdict("not finite", ": of no use" + _worst_step(evidence))
    k = critical_z(len(truth))
    floor = 1e-9 * float(truth.norm()) + 1e-300
    missed = (gradient == 0.0) & (truth.abs() > k * error.double().clamp_min(floor))
    if bool(missed.any()):
        count = int(missed.sum())
        where = f"exactly 0 in {count} of {len(gradient)} parameters where the cost is not flat"
        return DiagnosisVerdict("blind", f": {where}{_unmet(evidence)}")
    if (
        name == "autodiff"
        and _unmet(evidence)
        and evidence.norm_by_step is not None
        and not evidence.norm_by_step.any()
    ):
        return DiagnosisVerdict("blind to contact", f": no step's controls change the cost{_unmet(evidence)}")
    own = None if name == "autodiff" or estimate.standard_error is None else estimate.standard_error.double()
    both = torch.hypot(error.double(), torch.zeros_like(truth) if own is None else own).clamp_min(floor)
    z = float(((gradient - truth).abs() / both).max()) if name != "zeroth" else 0.0
    exact = name in ("autodiff", "first")
    noisier = name == "first" and evidence.variance_ratio is not None and evidence.variance_ratio > 1.0
    growth = _growth(evidence)
    if exact and growth > GROWTH and (z > k or noisier):
        many = f" and its variance is {evidence.variance_ratio:.2g} times the zeroth order's" if noisier else ""
        return DiagnosisVerdict(
            "overwhelmed by growth",
            f": a disturbance of the state grows {growth:.2g} times over the evaluation{many}; "
            "use the zeroth order, a shorter horizon or feedback",
        )
    if name == "first" and z > k:
        return DiagnosisVerdict(
            "biased by jumps",
            f": {z:.1f} standard errors from the zeroth order, and its own error bar cannot show it",
        )
    if name == "autodiff" and z > k:
        return DiagnosisVerdict(
            "local",
            f": the slope of the cost as it is, {z:.1f} standard errors from that of its average{_near(evidence)}",
        )
    length = float(gradient.norm())
    if own is not None and float(own.norm()) > 0.5 * length:
        if length == 0.0 and float(own.norm()) == 0.0:
            return DiagnosisVerdict("exactly 0", ": no sample changed the cost; use a larger scale" + _unmet(evidence))
        need = evidence.samples * (float(own.norm()) / (0.1 * length)) ** 2 if length > 0.0 else math.inf
        more = f"; about {need:.2g} samples would make it a tenth" if math.isfinite(need) else ""
        share = float(own.norm()) / max(length, 1e-300)
        return DiagnosisVerdict("noisy", f": its error bar is {share:.0%} of it{more}")
    if z > k:
        return DiagnosisVerdict("off", f": {z:.1f} standard errors from the zeroth order")
    bar = "" if own is None or length == 0.0 else f", error bar {float(own.norm()) / length:.1%}"
    unmet = _unmet(evidence) if name == "autodiff" else ""
    return DiagnosisVerdict("to be believed", f"{bar}{_noise(name, evidence)}{unmet}")


def _noise(name: str, evidence: Evidence) -> str:
    ratio = evidence.variance_ratio
    if name != "first" or ratio is None:
        return ""
    if ratio > 1.0:
        return f", {ratio:.2g} times the variance of the zeroth order: no gain"
    return ", no noise at all" if ratio == 0.0 else f", 1/{1.0 / ratio:.2g} of the variance of the zeroth order"


def _growth(evidence: Evidence) -> float:
    if evidence.spectrum is None:
        return 0.0
    return math.exp(min(700.0, float(evidence.spectrum.log_singular_values[-1].max())))


def _unmet(evidence: Evidence) -> str:
    contacts = evidence.contacts
    if contacts is None or contacts.other_pairs == 0.0:
        return ""
    pair = contacts.pairs[0]
    does = "is touched by theta and not by" if pair.at_theta else "is not touched by theta and is by"
    return f"; {pair.name} {does} {pair.other:.0%} of the samples, first in step {pair.first_step}"


def _near(evidence: Evidence) -> str:
    return (
        f"; the nearest change of contact {evidence.kinks[0]} (distance in units of the noise)"
        if evidence.kinks
        else ""
    )


def _worst_step(evidence: Evidence) -> str:
    norms = evidence.norm_by_step
    if norms is None:
        return ""
    bad = (~torch.isfinite(norms)).nonzero().reshape(-1).tolist()
    return f"; last in step {bad[-1]} by the order of time" if bad else ""
