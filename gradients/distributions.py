"""Noise distributions for randomized smoothing: one small class each.

A distribution is a density at unit scale with location zero. It turns uniform numbers into noise by its quantile
function, one number each: that keeps rows independent of chunking, and lets low-discrepancy points take the place of
random ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch

from .checks import suggest
from .errors import GradientError

__all__ = ["DISTRIBUTIONS", "Distribution", "Gaussian", "resolve_distribution"]


@runtime_checkable
class Distribution(Protocol):
    """A noise density m(w) at unit scale, the same and independent for every coordinate."""

    name: ClassVar[str]
    symmetric: ClassVar[bool]
    """Whether m(-w) = m(w): what antithetic pairs need."""

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1), by the quantile function; same shape."""
        ...

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """Minus d log m / dw at each entry; same shape."""
        ...

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """Logarithm of m at each entry; same shape."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """The normal density: score w, light tails, an infinitely smooth smoothed objective."""

    name: ClassVar[str] = "gaussian"
    symmetric: ClassVar[bool] = True

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        return torch.special.ndtri(uniforms)

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = w."""
        return noise

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-w^2/2 - log(2 pi)/2."""
        return -0.5 * noise.square() - 0.5 * math.log(2.0 * math.pi)


DISTRIBUTIONS: dict[str, type[Distribution]] = {Gaussian.name: Gaussian}
"""Distributions by name."""


def resolve_distribution(distribution: str | Distribution) -> Distribution:
    """The distribution meant by a name or an instance."""
    if isinstance(distribution, str):
        if distribution not in DISTRIBUTIONS:
            raise GradientError(suggest("distribution", distribution, DISTRIBUTIONS))
        return DISTRIBUTIONS[distribution]()
    if isinstance(distribution, type) or not isinstance(distribution, Distribution):
        raise GradientError(
            f"distribution is {distribution!r}: give a name ({', '.join(DISTRIBUTIONS)}) or an instance with "
            "name, symmetric, sample, score and log_density, e.g. Gaussian()"
        )
    return distribution
