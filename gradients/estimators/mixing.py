"""Rules for alpha, the weight of the first order in a mixture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from ...plain import plain_numbers
from ..core.checks import suggest
from ..core.error_bars import joined
from ..core.errors import GradientError
from ..core.interface import Estimate

__all__ = ["AlphaOrder", "InverseVariance", "Mixture", "Remainder", "Rule", "inverse_variance"]

UNITS = ("zeroth", "eps", "absolute")


@dataclass(frozen=True)
class Mixture:
    """A gradient, the variance of it and the degrees of freedom of that, all [batch, parameters], float64."""

    gradient: torch.Tensor
    variance: torch.Tensor
    diagnostics: dict[str, torch.Tensor] = field(default_factory=dict)
    degrees: torch.Tensor | None = None
    reason: str | None = None
    """Why some coordinates, or all, have no error bar."""


@runtime_checkable
class Rule(Protocol):
    """A way to mix batched estimates of both orders, all with standard errors."""

    @property
    def parts(self) -> int:
        """Independent estimates of each order that are wanted."""
        ...

    def mix(self, firsts: Sequence[Estimate], zeroths: Sequence[Estimate]) -> Mixture:
        """The mixture of ``parts`` estimates of each order."""
        ...


@dataclass(frozen=True)
class InverseVariance:
    """alpha = V0 / (V0 + V1): the least variance of all unbiased mixtures, if both orders are unbiased.

    Weights estimated from the data that they weigh depend on them: the mixture is then biased, by about
    cov(alpha, F1 - F0), and its error looks smaller than it is. (With a skewed contribution the sample mean and the
    sample variance are low together, and a low variance gets more weight.) With ``split`` (default) both orders are
    estimated twice, each with *its own* full number of samples, and each part is weighted by the variances of the
    other (cross-fitting): unbiased whenever both orders are, and the standard error, taken at the weights as they are,
    is valid (it neglects a covariance of the parts of fourth order in the relative error of the weights). It costs
    twice the rollouts and gives half the variance. Without, one estimate of each order, weighted by its own
    variances: biased as said, less so the more samples.
    """

    per: str = "coordinate"
    """``"coordinate"``: an alpha for each parameter; ``"gradient"``: one for all, from trace variances."""
    split: bool = True
    """Whether to weigh each of two parts by the other's variances."""

    def __post_init__(self) -> None:
        if self.per not in ("coordinate", "gradient"):
            raise GradientError(suggest("per", self.per, ("coordinate", "gradient")))

    @property
    def parts(self) -> int:
        """Two parts with ``split``, else one."""
        return 2 if self.split else 1

    def mix(self, firsts: Sequence[Estimate], zeroths: Sequence[Estimate]) -> Mixture:
        """Mean over the parts, each with the alpha of the other."""
        alphas = [self._alpha(first, zeroth) for first, zeroth in zip(firsts, zeroths, strict=True)]
        gradients, variances = [], []
        for first, zeroth, alpha in zip(firsts, zeroths, reversed(alphas), strict=True):
            gradients.append(alpha * first.gradient.double() + (1 - alpha) * zeroth.gradient.double())
            variances.append(alpha.square() * _variance(first) + (1 - alpha).square() * _variance(zeroth))
        alpha = torch.stack(alphas).mean(0)
        variance = torch.stack(variances).sum(0) / len(variances) ** 2
        degrees, reason = _degrees(firsts, zeroths, list(reversed(alphas)))
        if not self.split:
            degrees, reason = torch.zeros_like(variance), _OWN_WEIGHTS
        elif bool(((alpha > 0) & (variance == 0)).any()):
            degrees, reason = torch.where((alpha > 0) & (variance == 0), 0.0, degrees), _NO_NOISE
        return Mixture(
            torch.stack(gradients).mean(0),
            variance,
            {"alpha": alpha if self.per == "coordinate" else alpha[:, 0]},
            degrees,
            reason,
        )

    def _alpha(self, first: Estimate, zeroth: Estimate) -> torch.Tensor:
        v1, v0 = _variance(first), _variance(zeroth)
        if self.per == "gradient":
            v1, v0 = v1.sum(1, keepdim=True), v0.sum(1, keepdim=True)
        return inverse_variance(v1, v0)


_DOUBT = 9.0  # times the variance of a first order, over its square, at which nothing of it is used


@dataclass(frozen=True)
class Remainder:
    """The first order, and the zeroth order of what it leaves: unbiased for every cost, with a valid error bar.

        g = a F1 + F0[f(x) - a F1.(x - theta)]                                                              (1)

    F0[.] is the zeroth-order estimate of a function, from samples independent of F1. The averaged slope of the plane
    a F1.(x - theta) is a F1 for every noise, so that g has the mean of F0 whatever F1 and a are: F1 is a control
    variate. Where it misses jumps, F0 has them; where the cost is near its plane, hardly anything is left for F0, and
    with pairs, which take out the curvature, the noise is nearer to that of the first order. The error bar is that of
    the second term, at the F1 found: valid, as the mean is right for each.

    a = max(0, 1 - 9 V1/|F1|^2), with V1 the trace variance of F1: nothing is used of an F1 within three standard errors
    of zero, as on a chaotic cost, or of which too few samples are not zero for an error bar. With V1 instead of 9 V1 a
    third of all F1 that are pure noise would be used. What F1 is off by, E = grad F - a F1, adds about
    (d + 1)|E|^2/samples to the variance.
    """

    def share(self, first: Estimate) -> torch.Tensor:
        """a, shape [batch], of a batched first order."""
        square, variance = first.gradient.double().square().sum(1), _variance(first)
        share = torch.where(square > 0, 1.0 - _DOUBT * variance.sum(1) / square.clamp_min(1e-300), 0.0).clamp_min(0.0)
        if first.degrees_of_freedom is not None:
            rounding = 16.0 * torch.finfo(first.gradient.dtype).eps * square.sqrt()
            few = ((first.degrees_of_freedom <= 0) & (variance > rounding[:, None].square())).any(1)
            share = torch.where(few, 0.0, share)
        return share


@plain_numbers
@dataclass(frozen=True)
class AlphaOrder:
    """The alpha-order batched gradient of Suh et al. 2022 (AoBG): inverse-variance weights under a confidence bound.

    With N samples of the zeroth order, v the variance of one of them (of the whole vector), d parameters and L a bound
    on the length of one sample about its mean, the matrix Bernstein inequality gives, with probability 1 - delta,

        |F0 - grad F| <= eps = sqrt(2 v log((d + 1)/delta) / N) + 2 L log((d + 1)/delta) / (3 N)                 (1)

    and then alpha F1 + (1 - alpha) F0 is within gamma of the truth, whatever F1 is, if alpha |F1 - F0| <= gamma - eps:

        alpha = 0                                           if eps > gamma,
        alpha = min(V0/(V0 + V1), (gamma - eps)/|F1 - F0|)  otherwise.                                           (2)

    That holds for any gamma, one that depends on the data as well: it may be given in units of |F0| or of eps. In
    units of eps (default) the bias that can get in falls with N, to at most gamma - eps; in fixed units it does not.
    At a jump, with 1,000 samples, 1.5 eps admitted 2 % of the gradient, |F0|/4 18 %; on smooth costs both used the
    first order. v is estimated from the samples, and Gaussian scores have no bound L: by default its term, of higher
    order in 1/N, is left out.

    It is not unbiased: where F1 is biased, up to gamma - eps of that enters, which ``bias_bound`` states and the error
    bar does not. The error bar is the noise of the mixture. At alpha = V0/(V0 + V1) it takes alpha as it is; at
    the bound of (2), where F1 adds a step of fixed length to F0, towards F1 (so that along it the noise is all of
    F0's), it is propagated through (2), neglecting correlations between coordinates; at alpha = 0 it is that of F0.

    Diagnostics: ``alpha``; ``eps``; ``gamma``, in the gradient's unit; ``admitted``, whether eps <= gamma;
    ``capped``, whether the bound held alpha down; ``bias_bound``, the most of F1's bias that can have
    got in, with probability 1 - delta: alpha (|F1 - F0| + eps).
    """

    gamma: float = 1.5
    """Error that is allowed, in ``unit``: not exceeded with probability 1 - delta where the bound admits F1."""
    delta: float = 0.05
    """Probability that the bound fails."""
    bound: float = 0.0
    """L, a bound on the length of one zeroth-order sample about its mean; 0 leaves its term out."""
    unit: str = "eps"
    """Unit of gamma: ``"eps"``, the bound (1); ``"zeroth"``, |F0|; ``"absolute"``, the gradient's, as published."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise GradientError(suggest("unit", self.unit, UNITS))
        if not _number(self.gamma) or not 0.0 < self.gamma < math.inf:
            raise GradientError(f"gamma is {self.gamma!r}: give a positive number, e.g. 1.5 with unit='eps'")
        if self.unit == "eps" and self.gamma <= 1.0:
            raise GradientError(f"gamma is {self.gamma} in units of eps: nothing would be admitted; give e.g. 2")
        if not _number(self.delta) or not 0.0 < self.delta < 1.0:
            raise GradientError(f"delta is {self.delta!r}: give a probability of failure between 0 and 1, e.g. 0.05")
        if not _number(self.bound) or not 0.0 <= self.bound < math.inf:
            raise GradientError(f"bound is {self.bound!r}: give a bound on one zeroth-order sample, or 0 for none")

    @property
    def parts(self) -> int:
        """One part."""
        return 1

    def mix(self, firsts: Sequence[Estimate], zeroths: Sequence[Estimate]) -> Mixture:
        """Equation (2)."""
        (first,), (zeroth,) = firsts, zeroths
        f1, f0 = first.gradient.double(), zeroth.gradient.double()
        v1, v0 = _variance(first), _variance(zeroth)
        thetas, parameters = f0.shape
        log_term = math.log((parameters + 1) / self.delta)
        samples = zeroth.evaluations / thetas
        eps = (2.0 * v0.sum(1) * log_term).sqrt() + 2.0 * self.bound * log_term / (3.0 * samples)
        size = f0.norm(dim=1)
        gamma = self.gamma * {"zeroth": size, "eps": eps, "absolute": torch.ones_like(eps)}[self.unit]
        admitted = eps <= gamma
        gap = f1 - f0
        length = gap.norm(dim=1)
        free = inverse_variance(v1.sum(1), v0.sum(1))
        cap = torch.where(length > 0, (gamma - eps) / length, torch.inf)
        capped = admitted & (cap < free)
        alpha = torch.where(admitted, torch.minimum(free, cap), 0.0)
        # dg = A dF0 + B dF1: B = alpha I, less along the gap where the cap keeps the step's length; A = I - B, and the
        # step grows with |F0| where gamma does.
        along = gap / torch.where(length > 0, length, 1.0)[:, None]
        projector = along[:, :, None] * along[:, None, :] * capped[:, None, None]
        eye = torch.eye(parameters, dtype=f0.dtype, device=f0.device)
        of_first = alpha[:, None, None] * (eye - projector)
        of_zeroth = eye - of_first
        if self.unit == "zeroth":
            direction = f0 / torch.where(size > 0, size, 1.0)[:, None]
            growth = self.gamma * along[:, :, None] * direction[:, None, :]
            of_zeroth = of_zeroth + growth * capped[:, None, None]
        variance = (of_zeroth.square() @ v0[:, :, None] + of_first.square() @ v1[:, :, None]).squeeze(-1)
        measures = {"alpha": alpha, "eps": eps, "gamma": gamma, "admitted": admitted, "capped": capped}
        measures["bias_bound"] = alpha * (length + eps)
        degrees = torch.full_like(variance, 1e9) if zeroth.degrees_of_freedom is None else zeroth.degrees_of_freedom
        degrees, reason = degrees.double(), zeroth.no_error_bar
        used = alpha > 0
        if bool(used.any()):
            degrees = torch.where(used[:, None], 0.0, degrees)
            reason = (
                f"the first order enters with a weight of up to {float(alpha.max()):.2g}, and its bias at jumps, of up "
                f"to {float(measures['bias_bound'].max()):.2g}, is not in the spread"
            )
        return Mixture(f0 + alpha[:, None] * gap, variance, measures, degrees, reason)


_OWN_WEIGHTS = "its weights come from the variances of the samples that they weigh: split=True makes them independent"
_NO_NOISE = "the first order has no variance in its samples, which says no more than that they saw no change"


def _degrees(
    firsts: Sequence[Estimate], zeroths: Sequence[Estimate], alphas: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, str | None]:
    """Degrees of freedom of the mean over parts at their weights, and the reasons that parts have."""
    variances, degrees, reasons = [], [], []
    for first, zeroth, alpha in zip(firsts, zeroths, alphas, strict=True):
        for part, weight in ((first, alpha), (zeroth, 1.0 - alpha)):
            variances.append(weight.square() * _variance(part))
            degrees.append(part.degrees_of_freedom)
            reasons.append(part.no_error_bar)
    found = joined(variances, degrees)
    if found is None:
        return torch.full_like(variances[0], 1e9), None
    return found, next((reason for reason in reasons if reason), None) if bool((found == 0).any()) else None


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _variance(estimate: Estimate) -> torch.Tensor:
    assert estimate.standard_error is not None
    return estimate.standard_error.double().square()


def inverse_variance(first: torch.Tensor, zeroth: torch.Tensor) -> torch.Tensor:
    """Weight of the first order; 0 where neither varies."""
    both = first + zeroth
    return torch.where(both > 0, zeroth / torch.where(both > 0, both, 1.0), 0.0)
