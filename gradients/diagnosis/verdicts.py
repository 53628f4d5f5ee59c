"""Verdicts on gradients with their causes: the verdict on the slope, and what in the rollout explains it.

The label is that of ``slope.py``: agrees, differs, cannot tell, nothing seen, not finite, failed. The cause is the
first of these that holds:

1. *blind to contact* (exact): the derivative with respect to what enters at each step is exactly 0 in every step, while
   some samples touch what theta does not.
2. *blind*: exactly 0, while the averaged cost has a slope. The reason, if the objective gives its contacts: the share
   of samples that touch what theta does not.
3. *overwhelmed by growth* (exact or averaged exact gradients): disturbances of the state grow more than GROWTH-fold
   over the evaluation, and the gradient is not told to agree, or its variance exceeds the zeroth order's.
4. *biased by jumps* (an average of exact gradients): it differs. Its own error bar cannot show it.
5. *local* (exact): it differs: the slope of the cost as it is. The nearest change of contact is named.

A gradient that agrees has no cause; how much less or more noise than the zeroth order the first has is told, and what
samples touch that theta does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..core.interface import Estimate
from .contacts import ContactChanges
from .kinks import Kink
from .slope import SLOPE_LABELS, SlopeVerdict
from .spectrum import Spectrum

__all__ = ["CAUSES", "GROWTH", "DiagnosisVerdict", "Evidence", "verdict"]

GROWTH = 100.0
"""Growth of a disturbance over an evaluation that counts as overwhelming."""

CAUSES = ("blind to contact", "blind", "overwhelmed by growth", "biased by jumps", "local", "")
"""All causes; empty for none."""


@dataclass(frozen=True)
class DiagnosisVerdict:
    """A label and a cause for programs, and the sentence for people."""

    label: str
    """Label, one of ``SLOPE_LABELS``."""
    text: str
    """The sentence, without a full stop."""
    cause: str = ""
    """Cause, one of ``CAUSES``."""

    def __post_init__(self) -> None:
        assert self.label in SLOPE_LABELS, self.label
        assert self.cause in CAUSES, self.cause

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Evidence:
    """Numbers that the rules use."""

    variance_ratio: float | None
    spectrum: Spectrum | None
    contacts: ContactChanges | None
    kinks: tuple[Kink, ...]
    norm_by_step: torch.Tensor | None


def verdict(name: str, slope: SlopeVerdict, estimate: Estimate | None, evidence: Evidence) -> DiagnosisVerdict:
    """Verdict on the backend of this name.

    Args:
        name: "autodiff" is the exact gradient, "first" the average of exact ones; any other is told without a cause.
        slope: Verdict on its slope.
        estimate: One estimate; None where it gave none.
        evidence: What is known of the rollout.
    """
    if slope.label == "failed" or estimate is None:
        return DiagnosisVerdict("failed", slope.text)
    if slope.label == "not finite":
        return DiagnosisVerdict("not finite", slope.text + _worst_step(evidence))
    cause, detail = _cause(name, slope, evidence)
    if cause:
        return DiagnosisVerdict(slope.label, f"{cause}: {detail}; {slope.text}", cause)
    more = _noise(name, evidence) if slope.label in ("agrees", "cannot tell") else ""
    unmet = _unmet(evidence) if name == "autodiff" else ""
    return DiagnosisVerdict(slope.label, f"{slope.text}{_bar(estimate)}{more}{unmet}")


def _cause(name: str, slope: SlopeVerdict, evidence: Evidence) -> tuple[str, str]:
    """Cause of the verdict with its numbers; empty strings where none is known."""
    norms, unmet = evidence.norm_by_step, _unmet(evidence)
    if name == "autodiff" and unmet and norms is not None and not norms.any():
        return "blind to contact", f"no step's controls change the cost{unmet}"
    if slope.zero and slope.label == "differs":
        return "blind", f"no sample of it sees what changes the cost{unmet}"
    exact = name in ("autodiff", "first")
    noisier = name == "first" and evidence.variance_ratio is not None and evidence.variance_ratio > 1.0
    growth = _growth(evidence)
    if exact and growth > GROWTH and (slope.label != "agrees" or noisier):
        many = f" and its variance is {evidence.variance_ratio:.2g} times the zeroth order's" if noisier else ""
        return "overwhelmed by growth", (
            f"a disturbance of the state grows {growth:.2g} times over the evaluation{many}: "
            "use the zeroth order, a shorter horizon or feedback"
        )
    if name == "first" and slope.label == "differs":
        return "biased by jumps", "its own error bar cannot show it"
    if name == "autodiff" and slope.label == "differs":
        near = f": the nearest change of contact {evidence.kinks[0]} (in units of the noise)" if evidence.kinks else ""
        return "local", f"it is the slope of the cost as it is{near}"
    return "", ""


def _bar(estimate: Estimate) -> str:
    error, length = estimate.standard_error, float(estimate.gradient.double().norm())
    if error is None or estimate.no_error_bar or length == 0.0 or not bool(torch.isfinite(error).all()):
        return ""
    return f", error bar {float(error.double().norm()) / length:.1%}"


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


def _worst_step(evidence: Evidence) -> str:
    norms = evidence.norm_by_step
    if norms is None:
        return ""
    bad = (~torch.isfinite(norms)).nonzero().reshape(-1).tolist()
    return f"; last in step {bad[-1]} by the order of time" if bad else ""
