"""Points in the unit cube by row number: the entries of a sampling's table."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.stats import qmc

from ...first_order import eager
from ..core.errors import GradientError
from .counter_random import derive_seed, draw_uniforms

__all__ = ["CountedTable", "GridTable", "LatinTable", "SobolTable", "Table", "grid_side"]

_BITS = 32  # bits of a Sobol' coordinate: scipy cannot skip ahead with more
_BELOW_ONE = 1.0 - 2.0**-53  # replaces numbers that round to 1, whose quantile is infinite
_MOST_SOBOL_COLUMNS = 21201  # the direction numbers that scipy ships (Joe and Kuo 2008)


class Table(Protocol):
    """Points of one seed."""

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``, strictly in (0, 1), float64 on the CPU, shape [count, columns]."""
        ...


def grid_side(points: int, columns: int) -> int:
    """Cells along each side of a grid of so many points; refuses counts that are no power."""
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
class CountedTable:
    """Independent uniform numbers, counter-based."""

    seed: int
    stream: str
    columns: int

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``."""
        return draw_uniforms(self.seed, self.stream, first=first, rows=count, columns=self.columns)


class SobolTable:
    """Sobol' points: scrambled by a seed and filled up ``inside`` their last cell, or plain and centred."""

    @eager
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

    @eager
    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``."""
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
        return (points + 2.0**-_BITS * self._inside.rows(first, count)).clamp_max(_BELOW_ONE)


class LatinTable:
    """A Latin hypercube: permuted slabs, and a uniform place within each."""

    @eager
    def __init__(self, seed: int, stream: str, points: int, columns: int) -> None:
        self._points = points
        self._inside = CountedTable(seed, stream, columns)
        orders = [
            np.random.Generator(np.random.Philox(derive_seed(seed, stream, "latin", column))).permutation(points)
            for column in range(columns)
        ]
        self._strata = torch.from_numpy(np.stack(orders, axis=1))

    @eager
    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``."""
        rows = (self._strata[first : first + count] + self._inside.rows(first, count)) / self._points
        return rows.clamp_max(_BELOW_ONE)


class GridTable:
    """A grid of side^columns cells in lexicographic order, at their midpoints or at the places of ``inside``."""

    def __init__(self, side: int, columns: int, inside: Table | None) -> None:
        self._side, self._columns, self._inside = side, columns, inside

    def rows(self, first: int, count: int) -> torch.Tensor:
        """Rows ``first`` to ``first + count``."""
        index = torch.arange(first, first + count, device="cpu")[:, None]
        places = torch.tensor([self._side**k for k in range(self._columns)], dtype=torch.int64, device="cpu")
        digits = ((index // places) % self._side).double()
        inside = 0.5 if self._inside is None else self._inside.rows(first, count)
        return ((digits + inside) / self._side).clamp_max(_BELOW_ONE)
