"""Sources of noise: tables of points in the unit cube, random, stratified or of low discrepancy.

A sampling makes a table of ``points`` rows of ``columns`` numbers in (0, 1) from a seed; any part of it can be asked
for, and is the same whatever the chunking, the order or the process. Noise is made of it by quantile functions.

| sampling | points | random | rows independent |
| --- | --- | --- | --- |
| ``monte_carlo`` | independent uniform numbers | yes | yes |
| ``qmc`` | Sobol' points, centred in their cells | no | no |
| ``rqmc`` | Sobol' points, scrambled | yes | no |
| ``latin_hypercube`` | one point in each of n slabs of every column | yes | no |
| ``cartesian`` | midpoints of a grid of k^columns cells | no | no |
| ``cartesian_rqmc`` | one uniform point in each cell of that grid | yes | no |

The rows of a random table are together uniform in the cube, so a mean over all of them is unbiased; dependent rows have
no error bar but that of independent replications of the whole table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from ..core.checks import suggest
from ..core.errors import GradientError
from .counter_random import derive_seed
from .point_tables import CountedTable, GridTable, LatinTable, SobolTable, Table, grid_side

__all__ = [
    "SAMPLINGS",
    "Cartesian",
    "CartesianRQMC",
    "LatinHypercube",
    "MonteCarlo",
    "QuasiMonteCarlo",
    "RandomizedQMC",
    "Sampling",
    "Table",
    "resolve_sampling",
]


@runtime_checkable
class Sampling(Protocol):
    """A kind of table of points in the unit cube: a small frozen dataclass."""

    name: ClassVar[str]
    random: ClassVar[bool]
    """Whether the table depends on the seed, a mean over all its rows being unbiased."""
    independent: ClassVar[bool]
    """Whether its rows are independent of each other: the condition of the usual standard error."""
    mirrored: ClassVar[bool]
    """Whether the table holds 1 - u with every u, so that antithetic pairs would repeat its points."""

    def fitting(self, points: int, columns: int) -> int:
        """The count of points nearest to ``points`` that suits it best."""
        ...

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """The table of this seed and stream; refuses counts of points that it cannot make."""
        ...


@dataclass(frozen=True)
class MonteCarlo:
    """Independent uniform numbers, counter-based: the only sampling whose standard error needs no replications."""

    name: ClassVar[str] = "monte_carlo"
    random: ClassVar[bool] = True
    independent: ClassVar[bool] = True
    mirrored: ClassVar[bool] = False

    def fitting(self, points: int, columns: int) -> int:
        """Any count."""
        return points

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """The table of this seed and stream; any count of points."""
        return CountedTable(seed, stream, columns)


@dataclass(frozen=True)
class QuasiMonteCarlo:
    """The Sobol' sequence from its start, each point moved to the middle of its cell: deterministic, no error bar.

    The middle: half of 2^-m is added to the first 2^m points, in which the origin, whose noise would be infinite, is
    one point like the others (Owen 2020 advises against leaving it out). Powers of two fill the cube evenly; other
    counts are taken, and are less even. The seed has no effect.
    """

    name: ClassVar[str] = "qmc"
    random: ClassVar[bool] = False
    independent: ClassVar[bool] = False
    mirrored: ClassVar[bool] = False

    def fitting(self, points: int, columns: int) -> int:
        """The nearest power of two."""
        return 2 ** round(math.log2(points))

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """The first ``points`` points, centred."""
        return SobolTable(columns, points, None, None)


@dataclass(frozen=True)
class RandomizedQMC:
    """Scrambled Sobol' points (linear matrix scramble and digital shift, scipy): uniform each, even together.

    Powers of two are best. A uniform number of its own fills the last cell of width 2^-32 of every coordinate, so that
    each point is uniform to the last digit and the tails of the noise are not cut.
    """

    name: ClassVar[str] = "rqmc"
    random: ClassVar[bool] = True
    independent: ClassVar[bool] = False
    mirrored: ClassVar[bool] = False

    def fitting(self, points: int, columns: int) -> int:
        """The nearest power of two."""
        return 2 ** round(math.log2(points))

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """Scrambled points of this seed and stream."""
        return SobolTable(columns, points, derive_seed(seed, stream, "sobol"), CountedTable(seed, stream, columns))


@dataclass(frozen=True)
class LatinHypercube:
    """One point in each of ``points`` equal slabs of every column, by independent random permutations (McKay 1979).

    Removes the variance of what is additive over coordinates. Permutations of all points are held, 8 bytes each: the
    one sampling whose memory grows with points * columns.
    """

    name: ClassVar[str] = "latin_hypercube"
    random: ClassVar[bool] = True
    independent: ClassVar[bool] = False
    mirrored: ClassVar[bool] = False

    def fitting(self, points: int, columns: int) -> int:
        """Any count."""
        return points

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """The hypercube of this seed and stream."""
        return LatinTable(seed, stream, points, columns)


@dataclass(frozen=True)
class Cartesian:
    """Midpoints of a grid of k^columns equal cells: deterministic, no error bar; for few parameters only.

    It holds the mirror image of every point, so antithetic pairs would evaluate each point twice. Where the score is
    unbounded its tails are cut at the outermost midpoints: the error then falls slowly with k.
    """

    name: ClassVar[str] = "cartesian"
    random: ClassVar[bool] = False
    independent: ClassVar[bool] = False
    mirrored: ClassVar[bool] = True

    def fitting(self, points: int, columns: int) -> int:
        """The nearest k^columns, of at least 2^columns points: one cell is no grid."""
        side = max(2, math.floor(points ** (1.0 / columns)))
        return min(side**columns, (side + 1) ** columns, key=lambda count: abs(math.log(count / points)))

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """The grid of ``points`` = k^columns midpoints."""
        return GridTable(grid_side(points, columns), columns, None)


@dataclass(frozen=True)
class CartesianRQMC:
    """One uniformly random point in each of k^columns equal cells (stratified sampling; Petersen et al. 2024).

    The variance of a mean falls like points^(-1 - 2/columns) for smooth integrands, and for a jump along a surface
    like points^(-1 - 1/columns): a great gain with few parameters, none with many.
    """

    name: ClassVar[str] = "cartesian_rqmc"
    random: ClassVar[bool] = True
    independent: ClassVar[bool] = False
    mirrored: ClassVar[bool] = False

    def fitting(self, points: int, columns: int) -> int:
        """The nearest k^columns, of at least 2^columns points: one cell is no grid."""
        side = max(2, math.floor(points ** (1.0 / columns)))
        return min(side**columns, (side + 1) ** columns, key=lambda count: abs(math.log(count / points)))

    def table(self, *, seed: int, stream: str, points: int, columns: int) -> Table:
        """One point per cell of a grid of ``points`` = k^columns cells."""
        return GridTable(grid_side(points, columns), columns, CountedTable(seed, stream, columns))


SAMPLINGS: dict[str, type[Sampling]] = {
    kind.name: kind for kind in (MonteCarlo, QuasiMonteCarlo, RandomizedQMC, LatinHypercube, Cartesian, CartesianRQMC)
}
"""Samplings by name: the one place where a new one is registered."""


def resolve_sampling(sampling: str | Sampling) -> Sampling:
    """The sampling meant by a name or an instance."""
    if isinstance(sampling, str):
        if sampling not in SAMPLINGS:
            raise GradientError(suggest("sampling", sampling, SAMPLINGS))
        return SAMPLINGS[sampling]()
    if isinstance(sampling, type) or not isinstance(sampling, Sampling):
        raise GradientError(
            f"sampling is {sampling!r}: give a name ({', '.join(SAMPLINGS)}) or an instance, e.g. MonteCarlo()"
        )
    return sampling
