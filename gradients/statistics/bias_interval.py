"""Interval of the length of the difference of two means, both known by independent units only.

D = mean a - mean b has covariance S = S_a + S_b. |D|^2 / s^2 counts as noncentral chi-square with
nu = (tr S)^2 / tr S^2 degrees of freedom, s^2 the larger of tr S^2 / tr S and the variance along D. S is itself an
estimate: its degrees of freedom (Satterthwaite, both sides joined) enter by the level, as the normal tail at Student's
quantile. A noncentral F distribution would bound the standardized difference instead of the difference, and be wrong by
30 % on exact numbers.
"""

from __future__ import annotations

import math

from scipy import optimize, special

from .units import UnitSummary

__all__ = ["LEVEL", "joint_degrees_of_freedom", "length_interval", "length_of_difference"]

LEVEL = 0.99
"""Confidence of each of the two one-sided bounds."""

_LEAST_FREEDOM = 2.0
_FAR = 12.0


def joint_degrees_of_freedom(a: UnitSummary, b: UnitSummary) -> float:
    """Degrees of freedom of tr S_a + tr S_b; infinite where both are exact."""
    trace = a.trace + b.trace
    weights = sum(side.trace**2 / side.degrees_of_freedom for side in (a, b) if side.trace > 0.0)
    return trace**2 / weights if weights > 0.0 else math.inf


def length_of_difference(a: UnitSummary, b: UnitSummary, level: float = LEVEL) -> tuple[float, float]:
    """Lower and upper bound of |E a - E b|, each at the one-sided ``level``; (0, inf) below two degrees of freedom."""
    difference = a.mean - b.mean
    squared, trace = float(difference.square().sum()), a.trace + b.trace
    if trace == 0.0:
        return math.sqrt(squared), math.sqrt(squared)
    freedom = joint_degrees_of_freedom(a, b)
    if freedom < _LEAST_FREEDOM:
        return 0.0, math.inf
    square = a.square + b.square + 2.0 * float((a.residuals @ b.residuals.T).square().sum())
    nu = max(1.0, min(trace**2 / square, float(len(difference))))
    along = sum(float((side.residuals @ difference).square().sum()) for side in (a, b))
    variance = max(trace / nu, along / squared if squared > 0.0 else 0.0)
    quantile = float(special.stdtrit(freedom, level) if math.isfinite(freedom) else special.ndtri(level))
    alpha = float(special.ndtr(-quantile))
    ratio = squared / variance
    root, scale = math.sqrt(ratio), math.sqrt(variance)
    if root > _FAR + 3.0 * quantile:  # far out it is a normal score about the root, less the bias of the square
        middle = math.sqrt(max(0.0, ratio - (nu - 1.0)))
        return scale * max(0.0, middle - quantile), scale * (middle + quantile)
    most = (root + quantile + 8.0 + math.sqrt(nu)) ** 2

    def bound(probability: float) -> float:
        def excess(noncentrality: float) -> float:
            return float(special.chndtr(ratio, nu, noncentrality)) - probability

        return 0.0 if excess(0.0) < 0.0 else float(optimize.brentq(excess, 0.0, most, rtol=3e-4, xtol=1e-4))

    return scale * math.sqrt(bound(1.0 - alpha)), scale * math.sqrt(bound(alpha))


def length_interval(a: UnitSummary, level: float = LEVEL) -> tuple[float, float]:
    """Bounds of |E a|, as for a difference from zero."""
    return length_of_difference(a, UnitSummary.zero(len(a.mean)), level)
