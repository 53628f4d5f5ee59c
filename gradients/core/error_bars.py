"""Error bars: how well a standard error is known, and where the samples say too little for one.

The mean of n samples over its standard error is Student-t with n - 1 degrees of freedom only where samples are normal.
Skewed samples are the rule here (a linear cost gives squares, a rare event gives a few large terms among zeros), and
their mean and standard error are small together, so that the interval ends too early on one side. To first order in
1/n the shortfall of a two-sided interval grows with the square of the skewness g and hardly depends on the kurtosis
(Hall 1992, "The Bootstrap and Edgeworth Expansion", section 2.6); Student's t with

    degrees = (n - 1)/(1 + g^2)                                                                           (1)

makes up for it at 95 % (the factor of g^2 is 0.9 there, that of the excess kurtosis -0.06). Measured in docs/gradients.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy.special
import torch

__all__ = ["FEW", "ErrorBar", "joined", "judged", "skewed", "spread_bar", "student_t"]

FEW = 10
"""Samples other than zero below which there is no error bar: their number alone is then known to a third."""

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
    quantile = scipy.special.stdtrit(degrees.double().clamp_min(1e-3).cpu().numpy(), upper)
    half = error * torch.as_tensor(quantile, dtype=error.dtype, device=error.device)
    return torch.where(known, half, torch.full_like(half, torch.inf))


def skewed(count: torch.Tensor, second: torch.Tensor, third: torch.Tensor) -> torch.Tensor:
    """Degrees of freedom (1) of ``count`` samples, from the sums of their squared and cubed deviations."""
    spread = second / count
    skewness = (third / count).square() / torch.where(spread > 0, spread, 1.0) ** 3
    return (count - 1.0) / (1.0 + skewness)


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
    equal = variance * samples <= (_EPSILONS * epsilon * gradient.double()).square()
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
