"""Error bars: how well a standard error is known, and where the samples say too little for one.

The mean of n samples over its standard error is Student-t with n - 1 degrees of freedom only where samples are normal.
Skewed samples are the rule here (a linear cost gives squares, a rare event gives a few large terms among zeros), and
their mean and standard error are small together, so that the interval ends too early on one side. To first order in
1/n the shortfall of a two-sided interval grows with the square of the skewness g and hardly depends on the kurtosis
(Hall 1992, "The Bootstrap and Edgeworth Expansion", section 2.6); Student's t with

    degrees = (n - 1)/(1 + g^2 (1 + 4 r)/(1 + r^2)),    r = (k - 1 - g^2)/g^2                              (1)

makes up for it. k is the kurtosis, 1 + g^2 the least that it can be: of samples with two values r is 0, and g^2 alone
is about Hall's term (0.9 g^2 - 0.06 (k - 3) at 95 %). The samples of a heavy tail show less skewness than the tail has,
by r of about 0.2 to 0.5, and samples that are nearly symmetric show some by chance, with large r: the factor of g^2,
chosen by simulation, raises the one and lowers the other. Coverage measured: docs/measurements/error_bars.md.

The remainder of a smooth cost beside a plane is cubic and higher: a few large terms carry it, and the skewness that n
samples can show is itself limited (g^2 < n). With g^2/n near a half they show less than half of it. There

    g^2 is replaced by g^2/(1 - g^2/n)^2                                                                    (2)

the power by simulation on polynomials, exponentials and kinks. Plain samples, whose skewness is mostly of rare events
that (1) covers already, are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy.special
import torch

__all__ = [
    "DEPENDENT",
    "FEW",
    "SHARED_BY_FITS",
    "ErrorBar",
    "joined",
    "judged",
    "of_samples",
    "skewed",
    "spread_bar",
    "student_t",
]

FEW = 5
"""Samples other than zero below which there is no error bar. A higher number would leave bars that cover too much:
those left out are the ones that lie too low."""

DEPENDENT = "its points depend on each other, and only replications= of them, 3 or more, show a spread"
"""Why an estimate by one table of dependent points has no error bar."""

SHARED_BY_FITS = (
    "its error is that of the fit, which all networks of an ensemble share, so that their spread does not show it"
)
"""Why a fit has no error bar."""

_LEAST_SEEN = 0.05
_EPSILONS = 16.0  # a spread of so many roundings of the mean is no spread


@dataclass(frozen=True)
class ErrorBar:
    """How well the standard errors of T thetas and C coordinates are known."""

    degrees: torch.Tensor | None
    """Degrees of freedom, shape [T, C]; 0 where there is no error bar; None: normal, or none at all."""
    reason: str | None = None
    """Why some coordinates, or all, have no error bar."""


def student_t(level: float, degrees: torch.Tensor | None, error: torch.Tensor) -> torch.Tensor:
    """Half the length of an interval: ``error`` times the quantile of Student's t; inf where degrees are 0."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level!r}: give a probability between 0 and 1, e.g. 0.95")
    upper = 0.5 + 0.5 * level
    if degrees is None:
        return error * float(scipy.special.ndtri(upper))
    known = degrees > 0
    quantile = scipy.special.stdtrit(degrees.double().clamp(1e-3, 1e9).cpu().numpy(), upper)
    half = error * torch.as_tensor(quantile, dtype=error.dtype, device=error.device)
    return torch.where(known, half, torch.full_like(half, torch.inf))


def skewed(
    count: torch.Tensor,
    second: torch.Tensor,
    third: torch.Tensor,
    fourth: torch.Tensor,
    remainder: torch.Tensor | None = None,
) -> torch.Tensor:
    """Degrees of freedom (1) of ``count`` samples, from the sums of the powers 2, 3, 4 of their deviations.

    ``remainder`` (bool, expands to the shape of the sums) says where the samples are those of a remainder beside a
    plane: equation (2).
    """
    spread = second / count
    spread = torch.where(spread > 0, spread, 1.0)
    skewness = (third / count).square() / spread**3
    excess = (fourth / count / spread.square() - 1.0 - skewness).clamp_min(0.0)
    ratio = excess / skewness.clamp_min(1e-12)
    if remainder is not None:
        seen = (1.0 - skewness / count).clamp_min(_LEAST_SEEN)
        skewness = torch.where(remainder, skewness / seen.square(), skewness)
    return (count - 1.0) / (1.0 + skewness * (1.0 + 4.0 * ratio) / (1.0 + ratio.square()))


def of_samples(samples: torch.Tensor) -> torch.Tensor:
    """Degrees of freedom (1) of the mean over samples [T, n, C], shape [T, C]."""
    deviation = samples.double() - samples.double().mean(1, keepdim=True)
    square = deviation.square()
    count = torch.full_like(square[:, 0], samples.shape[1])
    return skewed(count, square.sum(1), (square * deviation).sum(1), square.square().sum(1))


def judged(
    gradient: torch.Tensor,
    variance: torch.Tensor,
    degrees: torch.Tensor,
    samples: int,
    *,
    epsilon: float,
    events: torch.Tensor | None = None,
    what: str = "samples",
) -> ErrorBar:
    """The error bar of means of ``samples`` samples, without one where the samples say too little.

    Args:
        gradient: Means [T, C].
        variance: Their variances [T, C].
        degrees: Degrees of freedom, a shape that expands to [T, C].
        samples: Number of samples.
        epsilon: Rounding of the type in which the samples were computed.
        events: Samples other than zero, a shape that expands to [T, C]; None where it is not known.
        what: Name of a sample in the plural.
    """
    degrees = degrees.expand_as(gradient).double()
    largest = gradient.double().abs().amax(1, keepdim=True)
    equal = variance * samples <= (_EPSILONS * epsilon * largest).square()
    few = torch.zeros_like(equal)
    if events is not None:
        few = (events.expand_as(gradient) < FEW) & ~equal
    reasons = []
    if bool(equal.any()):
        reasons.append(
            f"all {samples} {what} are equal{_where(equal)}, which says no more than that an event rarer than 3 in "
            f"{samples} was not seen"
        )
    if bool(few.any()):
        assert events is not None
        least = int(events.expand_as(gradient)[few].min())
        reasons.append(
            f"only {least} of {samples} {what} are not zero{_where(few)}: fewer than {FEW} give no error bar"
        )
    return ErrorBar(torch.where(equal | few, 0.0, degrees), "; ".join(reasons) or None)


def spread_bar(gradient: torch.Tensor, variance: torch.Tensor, replications: int, *, epsilon: float) -> ErrorBar:
    """The error bar by the spread of independent replications, groups or repeats."""
    degrees = torch.full_like(gradient, replications - 1.0, dtype=torch.float64)
    return judged(gradient, variance, degrees, replications, epsilon=epsilon, what="replications")


def joined(variances: list[torch.Tensor], degrees: list[torch.Tensor | None]) -> torch.Tensor | None:
    """Degrees of freedom of a sum of independent parts (Welch and Satterthwaite); 0 where a part that varies has 0."""
    if all(part is None for part in degrees):
        return None
    total = torch.stack(variances).sum(0)
    share = torch.zeros_like(total)
    lost = torch.zeros_like(total, dtype=torch.bool)
    for variance, part in zip(variances, degrees, strict=True):
        if part is not None:
            part = part.to(total)
            lost = lost | ((part <= 0) & (variance > 0))
            share = share + variance.square() / part.clamp_min(1e-3)
    found = total.square() / torch.where(share > 0, share, 1.0)
    return torch.where(lost | (total <= 0), 0.0, torch.where(share > 0, found, 1e9))


def _where(which: torch.Tensor) -> str:
    """In which coordinates; empty where in all."""
    if bool(which.all()):
        return ""
    if len(which) > 1:
        return f" in {int(which.any(1).sum())} of {len(which)} thetas"
    return f" in {int(which.sum())} of {which.shape[1]} parameters"
