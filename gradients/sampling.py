"""Where the noise comes from: tables of points in the unit cube, random, stratified or of low discrepancy.

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
import warnings
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.stats import qmc

from .checks import suggest
from .errors import GradientError
from .noise import derive_seed, draw_uniforms

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

_BITS = 32  # of a Sobol' coordinate: scipy cannot skip ahead with more
_MOST_SOBOL_COLUMNS = 21201  # the direction numbers that scipy ships (Joe and Kuo 2008)


class Table(Protocol):
    """Points of one seed."""

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``, strictly in (0, 1), float64 on the CPU, shape [count, columns]."""
        ...


@runtime_checkable
class Sampling(Protocol):
    """A kind of table of points in the unit cube: a small frozen dataclass."""

    name: ClassVar[str]
    random: ClassVar[bool]
    """Whether the table depends on the seed, a mean over all its rows being unbiased."""
    independent: ClassVar[bool]
    """Whether its rows are independent of each other: what the usual standard error needs."""
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
        return _Counted(seed, stream, columns)


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
        return _Sobol(columns, points, None, None)


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
        return _Sobol(columns, points, derive_seed(seed, stream, "sobol"), _Counted(seed, stream, columns))


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
        return _Latin(seed, stream, points, columns)


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
        return _Grid(_grid_side(points, columns), columns, None)


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
        return _Grid(_grid_side(points, columns), columns, _Counted(seed, stream, columns))


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


def _grid_side(points: int, columns: int) -> int:
    side = round(points ** (1.0 / columns))
    if side**columns != points:
        below = next((k for k in range(side + 1, 0, -1) if k**columns < points), 1)
        raise GradientError(
            f"a Cartesian grid in {columns} parameters holds k^{columns} points, and {points} is not of that form: the "
            f"nearest are {below}^{columns} = {below**columns} and {below + 1}^{columns} = {(below + 1) ** columns}. "
            "points = samples / replications, and half of that with antithetic pairs; or use rqmc or "
            "latin_hypercube, which take any number"
        )
    return side


@dataclass(frozen=True)
class _Counted:
    seed: int
    stream: str
    columns: int

    def rows(self, first: int, count: int) -> torch.Tensor:
        return draw_uniforms(self.seed, self.stream, first=first, rows=count, columns=self.columns)


class _Sobol:
    def __init__(self, columns: int, points: int, seed: int | None, inside: Table | None) -> None:
        if columns > _MOST_SOBOL_COLUMNS:
            raise GradientError(
                f"Sobol' points exist for up to {_MOST_SOBOL_COLUMNS} parameters, not {columns}: use monte_carlo"
            )
        if points > 2**_BITS:
            raise GradientError(f"there are 2^{_BITS} Sobol' points, not {points}: use replications, or monte_carlo")
        random = None if seed is None else np.random.default_rng(seed)
        self._engine = qmc.Sobol(columns, scramble=seed is not None, bits=_BITS, seed=random)
        self._inside = inside
        self._half_cell = 0.5 ** (1 + math.ceil(math.log2(points)))

    def rows(self, first: int, count: int) -> torch.Tensor:
        engine = self._engine
        if engine.num_generated > first:
            engine.reset()
        if engine.num_generated < first:
            engine.fast_forward(first - engine.num_generated)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # counts that are no power of two: documented above
            points = torch.from_numpy(engine.random(count))
        if self._inside is None:
            return points + self._half_cell
        return points + 2.0**-_BITS * self._inside.rows(first, count)


class _Latin:
    def __init__(self, seed: int, stream: str, points: int, columns: int) -> None:
        self._points = points
        self._inside = _Counted(seed, stream, columns)
        orders = [
            np.random.Generator(np.random.Philox(derive_seed(seed, stream, "latin", column))).permutation(points)
            for column in range(columns)
        ]
        self._strata = torch.from_numpy(np.stack(orders, axis=1))

    def rows(self, first: int, count: int) -> torch.Tensor:
        return (self._strata[first : first + count] + self._inside.rows(first, count)) / self._points


class _Grid:
    def __init__(self, side: int, columns: int, inside: Table | None) -> None:
        self._side, self._columns, self._inside = side, columns, inside

    def rows(self, first: int, count: int) -> torch.Tensor:
        index = torch.arange(first, first + count)[:, None]
        places = torch.tensor([self._side**k for k in range(self._columns)])
        digits = ((index // places) % self._side).double()
        inside = 0.5 if self._inside is None else self._inside.rows(first, count)
        return (digits + inside) / self._side
