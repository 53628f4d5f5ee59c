"""Independent, equally distributed vectors in a few numbers: mean, covariance, and what its estimate is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["UnitSummary", "summarize"]

_EQUAL = 1e-24
"""Squared spread, relative to the squared mean, below which all units count as one number."""


@dataclass(frozen=True)
class UnitSummary:
    """Mean of independent units with the covariance S of that mean; float64 on the CPU."""

    mean: torch.Tensor
    """[parameters]."""
    residuals: torch.Tensor
    """[units, parameters]; residuals.T @ residuals is S."""
    trace: float
    """tr S, unbiased."""
    square: float
    """tr S^2, unbiased for normal units."""
    degrees_of_freedom: float
    """Degrees of freedom of ``trace``: units - 1 for normal units, fewer where the tails are heavy; infinite where all
    units are equal, which is an exact number."""
    distinct: int
    """Units that are not equal to the most common one."""
    count: int
    """Units."""

    @property
    def exact(self) -> bool:
        """Whether all units are equal."""
        return self.trace == 0.0

    @classmethod
    def zero(cls, parameters: int) -> UnitSummary:
        """The exact vector of zeros."""
        nothing = torch.zeros(1, parameters, dtype=torch.float64, device="cpu")
        return cls(nothing[0], nothing, 0.0, 0.0, math.inf, 0, 1)


def summarize(units: torch.Tensor) -> UnitSummary:
    """Summary of ``units`` [units, parameters].

    The degrees of freedom are Satterthwaite's: those of a chi-square whose relative variance is that of the units'
    squared distances from their mean.
    """
    units = units.double().cpu()
    count, parameters = units.shape
    mean = units.mean(0)
    rest = units - mean
    squares = rest.square().sum(1)
    if count == 1 or float(squares.max()) <= _EQUAL * float(mean.square().sum()):
        zero = torch.zeros(1, parameters, dtype=torch.float64, device="cpu")
        return UnitSummary(mean, zero, 0.0, 0.0, math.inf, 0, count)
    trace = float(squares.sum()) / (count - 1)
    gram = rest @ rest.T if count < parameters else rest.T @ rest
    raw = float(gram.square().sum()) / (count - 1) ** 2
    square = (raw - trace**2 / (count - 1)) * (count - 1) ** 2 / ((count + 1) * max(count - 2, 1))
    square = min(max(square, trace**2 / parameters), trace**2)
    normal = 2.0 * square / trace**2
    spread = float(squares.square().sum()) / float(squares.sum()) ** 2 * count - 1.0
    freedom = max(1.0, min(count - 1.0, count * normal / max(spread, normal)))
    distinct = int((units != units.mode(0).values).any(1).sum())
    return UnitSummary(
        mean, rest / math.sqrt(count * (count - 1.0)), trace / count, square / count**2, freedom, distinct, count
    )
