"""Streamed moments: the sums that an estimate keeps of its samples, whatever their number, and their merging.

Sums are float64 about a shift (the first sample seen), so that a large common offset costs no digits and a constant
sample gives sums of exactly zero. Two parts, from two ranges of samples, two chunks or two processes, ``merge`` into
the moments of both by moving one to the other's shift, which is exact algebra (binomials). ``tensors()`` are plain
tensors whose shapes do not depend on the range, in a fixed order: send them as they are, ``load`` them elsewhere.

R replications (1 unless the sampling has more), T thetas of a batch, C components of a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import torch

from ..core.error_bars import skewed
from .leave_one_out import leave_one_out

__all__ = ["CovarianceMoments", "MeanMoments", "central"]


def _first_kept(samples: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    """The first kept sample of each theta, shape [T, ...] of [n, T, ...]; any where there is none."""
    if keep is None:
        return samples[0]
    index = keep.to(torch.uint8).argmax(0)
    return samples[index, torch.arange(samples.shape[1], device=samples.device)]


@dataclass
class MeanMoments:
    """Moments of samples y [n, T, C]: for the mean over units and its variance."""

    count: torch.Tensor
    """Samples kept, shape [R, T]."""
    shift: torch.Tensor
    """Shape [R, T, C]."""
    first: torch.Tensor
    """Sum of y - shift, shape [R, T, C]."""
    second: torch.Tensor
    """Sum of (y - shift)^2, shape [R, T, C]."""
    third: torch.Tensor
    """Sum of (y - shift)^3, shape [R, T, C]."""
    fourth: torch.Tensor
    """Sum of (y - shift)^4, shape [R, T, C]."""
    nonzero: torch.Tensor
    """Samples other than exactly zero, shape [R, T, C]."""

    @classmethod
    def zeros(cls, replications: int, thetas: int, components: int, device: torch.device | str = "cpu") -> MeanMoments:
        """Moments of no samples."""
        count = torch.zeros(replications, thetas, dtype=torch.float64, device=device)
        shift, first, second, third, fourth, other = (
            count.new_zeros(replications, thetas, components) for _ in range(6)
        )
        return cls(count, shift, first, second, third, fourth, other)

    def add(self, replication: int, samples: torch.Tensor, keep: torch.Tensor | None = None) -> None:
        """Add samples [n, T, C] of one replication; ``keep`` [n, T] says which count."""
        r = replication
        samples = samples.double()
        fresh = (self.count[r] == 0)[:, None]
        if bool(fresh.any()):
            self.shift[r] = torch.where(fresh, _first_kept(samples, keep).nan_to_num(), self.shift[r])
        moved = samples - self.shift[r]
        if keep is not None:
            moved = torch.where(keep[..., None], moved, torch.zeros_like(moved))
        self.count[r] += len(samples) if keep is None else keep.double().sum(0)
        squares = moved.square()
        self.first[r] += moved.sum(0)
        self.second[r] += squares.sum(0)
        self.third[r] += (squares * moved).sum(0)
        self.fourth[r] += squares.square().sum(0)
        other = samples != 0
        self.nonzero[r] += (other if keep is None else other & keep[..., None]).double().sum(0)

    def merge(self, other: MeanMoments) -> MeanMoments:
        """Moments of both."""
        shift = torch.where((self.count > 0)[..., None], self.shift, other.shift)
        mine, theirs = self._about(shift), other._about(shift)
        return MeanMoments(
            self.count + other.count,
            shift,
            mine.first + theirs.first,
            mine.second + theirs.second,
            mine.third + theirs.third,
            mine.fourth + theirs.fourth,
            mine.nonzero + theirs.nonzero,
        )

    def _about(self, shift: torch.Tensor) -> MeanMoments:
        count = self.count[..., None]
        by = torch.where(count > 0, shift - self.shift, torch.zeros_like(shift))
        sums = _shifted(torch.stack([count.expand_as(by), self.first, self.second, self.third, self.fourth]), by)
        _, first, second, third, fourth = sums
        return MeanMoments(self.count, shift, first, second, third, fourth, self.nonzero)

    def tensors(self) -> list[torch.Tensor]:
        """All sums as tensors, in a fixed order."""
        return [self.count, self.shift, self.first, self.second, self.third, self.fourth, self.nonzero]

    def load(self, tensors: Sequence[torch.Tensor]) -> MeanMoments:
        """Moments like these from what ``tensors`` gave elsewhere."""
        return MeanMoments(*tensors)

    def estimate(self, *, independent: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Mean [T, C] and its variance [T, C].

        One replication: the usual variance of a mean where samples are ``independent``, else None. Several: the mean
        of their means, and its variance by their spread.
        """
        count = self.count[..., None]
        means = self.shift + self.first / count
        if len(means) > 1:
            return _spread(means)
        if not independent:
            return means[0], None
        n = count[0]
        variance = (self.second[0] - self.first[0].square() / n).clamp_min(0.0) / (n * (n - 1.0))
        return means[0], variance

    def degrees(self, remainder: torch.Tensor | None = None) -> torch.Tensor:
        """Degrees of freedom of that variance, [T, C]: by the skewness of independent samples, or replications - 1.

        ``remainder`` [T, 1] says of which thetas the samples are those of a remainder; see ``skewed``.
        """
        if len(self.count) > 1:
            return _of_replications(self.first)
        n = self.count[0][:, None]
        mean = self.first[0] / n
        return skewed(n, *central(n, mean, self.second[0], self.third[0], self.fourth[0]), remainder)

    def events(self) -> torch.Tensor | None:
        """Samples other than zero, [T, C]; None with replications, which are judged by their spread."""
        return self.nonzero[0] if len(self.count) == 1 else None


@dataclass
class CovarianceMoments:
    """Moments of products of weights w [n, T] (values of an objective) and factors y [n, C] (scores, of mean zero).

    ``table[p, q]`` is the sum of (w - shift)^p y^q: all that an average of (w - b) y needs, with b nothing, a constant
    or the mean of the other weights, and for its variance. Every baseline is known in the end only, in one pass.
    """

    shift: torch.Tensor
    """Shape [R, T]; adopted from the first sample where ``centred``, else zero."""
    base: torch.Tensor
    """Sums of (w - shift)^p, p = 0, 1, 2, shape [3, R, T]; the first is the count."""
    table: torch.Tensor
    """Sums of (w - shift)^p y^q, p = 0, 1, 2, q = 1, 2 (stored at q - 1), shape [3, 2, R, T, C]."""
    cubes: torch.Tensor
    """Sums of (w - shift)^p y^3, p = 0 to 3, shape [4, R, T, C]; where not ``centred`` of p = 3 alone."""
    fourths: torch.Tensor
    """Sums of (w - shift)^p y^4, p = 0 to 4, shape [5, R, T, C]; where not ``centred`` of p = 4 alone."""
    nonzero: torch.Tensor
    """Weights other than exactly zero, shape [R, T]."""
    centred: bool
    """Whether the mean of the other weights is subtracted (leave-one-out)."""

    @classmethod
    def zeros(
        cls,
        replications: int,
        thetas: int,
        components: int,
        *,
        centred: bool,
        device: torch.device | str = "cpu",
    ) -> CovarianceMoments:
        """Moments of no samples."""
        kind = {"dtype": torch.float64, "device": device}
        return cls(
            torch.zeros(replications, thetas, **kind),  # type: ignore[call-overload]
            torch.zeros(3, replications, thetas, **kind),  # type: ignore[call-overload]
            torch.zeros(3, 2, replications, thetas, components, **kind),  # type: ignore[call-overload]
            torch.zeros(4, replications, thetas, components, **kind),  # type: ignore[call-overload]
            torch.zeros(5, replications, thetas, components, **kind),  # type: ignore[call-overload]
            torch.zeros(replications, thetas, **kind),  # type: ignore[call-overload]
            centred,
        )

    @property
    def count(self) -> torch.Tensor:
        """Samples kept, shape [R, T]."""
        return self.base[0]

    def add(
        self, replication: int, weights: torch.Tensor, factors: torch.Tensor, keep: torch.Tensor | None = None
    ) -> None:
        """Add weights [n, T] with their factors [n, C], of one replication; ``keep`` [n, T] says which count."""
        r, (n, thetas) = replication, weights.shape
        weights = weights.double()
        if self.centred:
            fresh = self.count[r] == 0
            if bool(fresh.any()):
                self.shift[r] = torch.where(fresh, _first_kept(weights, keep).nan_to_num(), self.shift[r])
        moved = weights - self.shift[r]
        kept = torch.ones_like(moved) if keep is None else keep.double()
        if keep is not None:
            moved = torch.where(keep, moved, torch.zeros_like(moved))
        powers = torch.stack([kept, moved, moved.square()], dim=1)  # [n, 3, T]
        self.base[:, r] += powers.sum(0)
        rows = powers.reshape(n, 3 * thetas).T
        squares = factors.square()
        self.table[:, 0, r] += (rows @ factors).view(3, thetas, -1)
        self.table[:, 1, r] += (rows @ squares).view(3, thetas, -1)
        self._add_high(r, powers, squares * factors, squares.square())
        self.nonzero[r] += ((weights != 0) & (kept != 0)).double().sum(0)

    def _add_high(self, r: int, powers: torch.Tensor, third: torch.Tensor, fourth: torch.Tensor) -> None:
        """Add to the sums for skewness and kurtosis, from powers [n, 3, T] of weights and y^3, y^4 [n, C]."""
        square = powers[:, 2]
        high = torch.stack([square * powers[:, 1], square.square()], dim=1)
        if self.centred:
            high = torch.cat([powers, high], dim=1)  # [n, 5, T]
            self.cubes[:, r] += torch.einsum("npt,nc->ptc", high[:, :4], third)
            self.fourths[:, r] += torch.einsum("npt,nc->ptc", high, fourth)
        else:
            self.cubes[3, r] += high[:, 0].T @ third
            self.fourths[4, r] += high[:, 1].T @ fourth

    def merge(self, other: CovarianceMoments) -> CovarianceMoments:
        """Moments of both."""
        shift = torch.where(self.count > 0, self.shift, other.shift)
        mine, theirs = self.about(shift), other.about(shift)
        return CovarianceMoments(
            shift,
            mine.base + theirs.base,
            mine.table + theirs.table,
            mine.cubes + theirs.cubes,
            mine.fourths + theirs.fourths,
            mine.nonzero + theirs.nonzero,
            self.centred,
        )

    def about(self, shift: torch.Tensor) -> CovarianceMoments:
        """The same moments about another shift [R, T]."""
        by = torch.where(self.count > 0, shift - self.shift, torch.zeros_like(shift))
        table, cubes, fourths = (_shifted(part, by[..., None]) for part in (self.table, self.cubes, self.fourths))
        return CovarianceMoments(shift, _shifted(self.base, by), table, cubes, fourths, self.nonzero, self.centred)

    def tensors(self) -> list[torch.Tensor]:
        """All sums as tensors, in a fixed order."""
        return [self.shift, self.base, self.table, self.cubes, self.fourths, self.nonzero]

    def load(self, tensors: Sequence[torch.Tensor]) -> CovarianceMoments:
        """Moments like these from what ``tensors`` gave elsewhere."""
        shift, base, table, cubes, fourths, nonzero = tensors
        return CovarianceMoments(shift, base, table, cubes, fourths, nonzero, self.centred)

    def estimate(self, *, independent: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Mean of (w - b) y, shape [T, C], and its variance [T, C] or None.

        Where ``centred``, b is the mean of the other *units of independence*: the other samples where samples are
        ``independent`` (sum (w - mean) y / (n - 1), the sample covariance; variance by the jackknife), the other
        replications where there are several (a U-statistic; jackknife over replications), and of all samples of a
        single table of dependent points (then biased by minus the covariance of mean w and mean y; no variance).
        """
        if self.count.shape[0] > 1:
            return _over_replications(self) if self.centred else _spread(self.table[1, 0] / self.count[..., None])
        count = self.count[0][:, None]
        if not self.centred:
            mean = self.table[1, 0, 0] / count
            if not independent:
                return mean, None
            variance = self.table[2, 1, 0] / count - mean.square()
            return mean, variance.clamp_min(0.0) / (count - 1.0)
        return leave_one_out(self.table[:, :, 0], self.base[:, 0], count, independent)

    def degrees(self, remainder: torch.Tensor | None = None) -> torch.Tensor:
        """Degrees of freedom of that variance, [T, C]: by the skewness of independent samples, or replications - 1.

        With ``centred`` the skewness is that of (w - mean w) y, without the mean of y, which is 0 but for chance.
        ``remainder`` [T, 1] says of which thetas the samples are those of a remainder; see ``skewed``.
        """
        if self.count.shape[0] > 1:
            return _of_replications(self.table[0, 0])
        count = self.count[0][:, None]
        sums = self
        if self.centred:
            mean = torch.where(self.count > 0, self.base[1] / self.count.clamp_min(1.0), 0.0)
            sums = self.about(self.shift + mean)
        mean = sums.table[1, 0, 0] / count
        sums_of_powers = central(count, mean, sums.table[2, 1, 0], sums.cubes[3, 0], sums.fourths[4, 0])
        return skewed(count, *sums_of_powers, remainder)

    def events(self) -> torch.Tensor | None:
        """Weights other than zero, [T, 1]; None with replications, and where a mean is subtracted from weights."""
        return None if self.centred or self.count.shape[0] > 1 else self.nonzero[0][:, None]


def central(
    count: torch.Tensor, mean: torch.Tensor, second: torch.Tensor, third: torch.Tensor, fourth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sums of the powers 2, 3, 4 of deviations from the mean, from the plain sums of these powers."""
    return (
        (second - count * mean.square()).clamp_min(0.0),
        third - 3.0 * mean * second + 2.0 * count * mean**3,
        fourth - 4.0 * mean * third + 6.0 * mean.square() * second - 3.0 * count * mean**4,
    )


def _of_replications(like: torch.Tensor) -> torch.Tensor:
    """Replications - 1 for ``like`` [R, T, C], shape [T, C]."""
    return torch.full_like(like[0], len(like) - 1.0)


def _shifted(sums: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Sums of powers 0, 1, 2 ... (leading dimension) about a shift moved by ``by``."""
    return torch.stack(
        [sum(comb(p, k) * (-by) ** (p - k) * sums[k] for k in range(p + 1)) for p in range(len(sums))]  # type: ignore[misc]
    )


def _spread(means: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of independent replications [R, T, C] and its variance."""
    return means.mean(0), means.var(0) / len(means)


def _over_replications(moments: CovarianceMoments) -> tuple[torch.Tensor, torch.Tensor]:
    """Each replication less the mean weight of the others: U-statistic over replications and its jackknife variance."""
    moments = moments.about(moments.shift[:1].expand_as(moments.shift))  # one shift: constants then cancel
    count = moments.count[..., None]
    products = moments.table[1, 0] / count  # [R, T, C], as the next two
    weights = moments.base[1][..., None] / count
    factors = moments.table[0, 0] / count

    both = weights * factors
    n = len(products)
    product, weight, factor, pair = (part.sum(0) for part in (products, weights, factors, both))
    whole = product / n - (weight * factor - pair) / (n * (n - 1))
    # The same of all replications but one, for each of them.
    crossed = (weight - weights) * (factor - factors) - (pair - both)
    without = (product - products) / (n - 1) - crossed / ((n - 1) * (n - 2))
    variance = (without - without.mean(0)).square().sum(0) * (n - 1) / n
    return whole, variance
