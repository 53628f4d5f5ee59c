"""Noise distributions for randomized smoothing: one small class each.

A distribution is a density m at unit scale with location zero, the same and independent for every coordinate. It turns
uniform numbers into noise by its quantile function, one number each: that keeps rows independent of chunking, and lets
low-discrepancy points take the place of random ones.

*Conditions on a density.* The zeroth order, with respect to x and to the scale, needs m absolutely continuous
(no jumps) with E|s| and E|s w| finite, s = -d log m / dw. Kinks are allowed (Laplace and triangular at 0, triangular at
its ends): s is then undefined on a set of measure zero only, and no boundary term appears, because m itself is
continuous. A support that ends in a kink (triangular) is allowed too; one that ends in a jump (uniform) is not, since
the score misses the two ends: such a distribution sets ``orders = ("first",)``. The first order asks nothing of m
but that the averages exist. (Petersen et al. 2024 derive this; scores as given there.)

| name | score s | mean | variance | E s^2 |
| --- | --- | --- | --- | --- |
| gaussian | w | 0 | 1 | 1 |
| logistic | tanh(w/2) | 0 | pi^2/3 | 1/3 |
| gumbel | 1 - exp(-w) | 0.5772 | pi^2/6 | 1 |
| cauchy | 2w/(1 + w^2) | none | none | 1/2 |
| laplace | sgn(w) | 0 | 2 | 1 |
| triangular | sgn(w)/(1 - abs(w)) | 0 | 1/6 | infinite |

The scale of an estimate multiplies w: it is the distribution's conventional scale parameter, and a standard deviation
for the Gaussian only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch

from ..core.checks import suggest
from ..core.errors import GradientError

__all__ = [
    "DISTRIBUTIONS",
    "Cauchy",
    "Distribution",
    "Gaussian",
    "Gumbel",
    "Laplace",
    "Logistic",
    "Triangular",
    "orders_of",
    "resolve_distribution",
]


@runtime_checkable
class Distribution(Protocol):
    """A noise density m(w) at unit scale, the same and independent for every coordinate.

    Optional class attributes: ``orders``, the orders of smoothing it can give (default both); ``information``, E s^2,
    which marks estimates without a variance where it is infinite; ``mean`` and ``variance``, for documentation.
    """

    name: ClassVar[str]
    symmetric: ClassVar[bool]
    """Whether m(-w) = m(w): the condition of antithetic pairs."""

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1), by the quantile function; same shape."""
        ...

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """Minus d log m / dw at each entry; same shape."""
        ...

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """Logarithm of m at each entry; same shape."""
        ...


def _fold(uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sign of the noise and probability of its tail, in (0, 1/2]: symmetric quantiles keep their digits in both."""
    return torch.sign(uniforms - 0.5), torch.minimum(uniforms, 1.0 - uniforms)


@dataclass(frozen=True)
class Gaussian:
    """The normal density: score w, light tails, an infinitely smooth smoothed objective; scale = standard deviation."""

    name: ClassVar[str] = "gaussian"
    symmetric: ClassVar[bool] = True
    mean: ClassVar[float] = 0.0
    variance: ClassVar[float] = 1.0
    information: ClassVar[float] = 1.0

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        return torch.special.ndtri(uniforms)

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = w."""
        return noise

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-w^2/2 - log(2 pi)/2."""
        return -0.5 * noise.square() - 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Logistic:
    """The logistic density: exponential tails, bounded score tanh(w/2). A smoothed max(x, 0) is a softplus."""

    name: ClassVar[str] = "logistic"
    symmetric: ClassVar[bool] = True
    mean: ClassVar[float] = 0.0
    variance: ClassVar[float] = math.pi**2 / 3.0
    information: ClassVar[float] = 1.0 / 3.0

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        return torch.logit(uniforms)

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = tanh(w/2)."""
        return torch.tanh(0.5 * noise)

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-|w| - 2 log(1 + exp(-|w|))."""
        far = noise.abs()
        return -far - 2.0 * torch.log1p(torch.exp(-far))


@dataclass(frozen=True)
class Gumbel:
    """The standard Gumbel density: skewed, mode 0, **mean 0.5772**: it shifts the smoothed objective.

    exp(-w) is exponentially distributed, so the score 1 - exp(-w) is unbounded to the left, with light tails. The
    density whose perturbed argmax is the softmax. Not symmetric: no antithetic pairs.
    """

    name: ClassVar[str] = "gumbel"
    symmetric: ClassVar[bool] = False
    mean: ClassVar[float] = 0.5772156649015329
    variance: ClassVar[float] = math.pi**2 / 6.0
    information: ClassVar[float] = 1.0

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        return -torch.log(-torch.log(uniforms))

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = 1 - exp(-w)."""
        return -torch.expm1(-noise)

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-w - exp(-w)."""
        return -noise - torch.exp(-noise)


@dataclass(frozen=True)
class Cauchy:
    """The Cauchy density: tails so heavy that it has **no mean and no variance**, score 2w/(1 + w^2) bounded by 1.

    The smoothed value exists only for objectives that grow slower than |x|: of a linear or quadratic cost there is
    none, the sample mean never settles, and its standard error means nothing. For bounded objectives value, gradient
    and the gradient with respect to the scale exist, with finite variances (s and s w are bounded). The scale is the
    half-width at half maximum: half of the noise lies within it, one draw in 32 farther than 20 scales away.
    """

    name: ClassVar[str] = "cauchy"
    symmetric: ClassVar[bool] = True
    mean: ClassVar[float] = math.nan
    variance: ClassVar[float] = math.inf
    information: ClassVar[float] = 0.5

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        sign, tail = _fold(uniforms)
        return sign / torch.tan(math.pi * tail)

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = 2w/(1 + w^2)."""
        return 2.0 * noise / (1.0 + noise.square())

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-log(pi) - log(1 + w^2)."""
        return -math.log(math.pi) - torch.log1p(noise.square())


@dataclass(frozen=True)
class Laplace:
    """The double-exponential density of variance 2: score sgn(w), so |s| = 1 everywhere; a kink at 0 (harmless)."""

    name: ClassVar[str] = "laplace"
    symmetric: ClassVar[bool] = True
    mean: ClassVar[float] = 0.0
    variance: ClassVar[float] = 2.0
    information: ClassVar[float] = 1.0

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1)."""
        sign, tail = _fold(uniforms)
        return -sign * torch.log(2.0 * tail)

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = sgn(w)."""
        return torch.sign(noise)

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """-|w| - log 2."""
        return -noise.abs() - math.log(2.0)


@dataclass(frozen=True)
class Triangular:
    """The triangular density 1 - |w| on (-1, 1): bounded noise, which never leaves theta by more than the scale.

    The zeroth order is unbiased (E|s| = 2), but **its variance is infinite**: E s^2 = integral of 1/(1 - |w|) diverges
    logarithmically at the ends, unless the objective less its baseline is zero there. The standard error is then
    computed from a variance that does not exist. (estimate - truth) / standard error still tends to N(0, 1) (Gine,
    Goetze and Mason 1997, as the truncated second moment varies slowly), but slowly: on a bounded cost of two
    parameters two standard errors held 91 % instead of 95 % of the estimates at 256 samples and 93 % at 4,096 (for the
    scale with pairs, 81 and 89 %), what lies outside being on one side: a rare sample near an end that is missing. The
    error falls like sqrt(log(samples) / samples). Do not average squared standard errors over seeds or extrapolate
    them to other sample counts. Diagnostics of such estimates have ``infinite_variance`` true. The first order has all
    its moments.
    """

    name: ClassVar[str] = "triangular"
    symmetric: ClassVar[bool] = True
    mean: ClassVar[float] = 0.0
    variance: ClassVar[float] = 1.0 / 6.0
    information: ClassVar[float] = math.inf

    def sample(self, uniforms: torch.Tensor) -> torch.Tensor:
        """Noise from numbers in (0, 1); |w| < 1."""
        sign, tail = _fold(uniforms)
        return sign * (1.0 - torch.sqrt(2.0 * tail))

    def score(self, noise: torch.Tensor) -> torch.Tensor:
        """-d log m / dw = sgn(w)/(1 - |w|); noise outside (-1, 1) is refused."""
        left = 1.0 - noise.abs()
        if not bool((left > 0.0).all()):
            raise GradientError("triangular noise lies in (-1, 1): beyond it the density is zero and has no score")
        return torch.sign(noise) / left

    def log_density(self, noise: torch.Tensor) -> torch.Tensor:
        """log(1 - |w|), minus infinity outside (-1, 1)."""
        return torch.log((1.0 - noise.abs()).clamp_min(0.0))


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    kind.name: kind for kind in (Gaussian, Logistic, Gumbel, Cauchy, Laplace, Triangular)
}
"""Distributions by name: the one place where a new one is registered."""


def orders_of(distribution: Distribution) -> tuple[str, ...]:
    """The orders of smoothing that a distribution can give: its ``orders`` where it says so, else both."""
    return tuple(getattr(distribution, "orders", ("zeroth", "first")))


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
