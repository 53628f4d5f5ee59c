"""Piecewise constant algorithms with vector outputs: sorting and shortest paths, as black boxes to be smoothed.

Each is a callable from inputs [batch, inputs] to outputs [batch, outputs]. The exact Jacobian is zero wherever it
exists, so only values help: these are the problems on which Petersen et al. (2024) compare smoothing estimators, and
Berthet et al. (2020) perturbed optimizers. To make a cost of one, compose it with a loss of its outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..errors import TaskError

__all__ = ["Ranks", "ShortestPath", "SortingPermutation"]


@dataclass(frozen=True, kw_only=True)
class _Sized:
    """Base of the algorithms: a size, and a check of the inputs."""

    name: ClassVar[str]

    size: int = 3
    """Number n of numbers."""

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 2:
            raise TaskError(f"{self.name}: size is {self.size!r}: give an integer of at least 2")

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.size

    def _check(self, x: torch.Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise TaskError(f"{self.name}: inputs have shape {list(x.shape)}: give [batch, {self.inputs}]")


@dataclass(frozen=True, kw_only=True)
class SortingPermutation(_Sized):
    """The permutation matrix that sorts n numbers in ascending order: outputs[i * n + j] = 1 if x_j has rank i."""

    name: ClassVar[str] = "sorting"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Permutation matrices row by row, shape [batch, n * n]."""
        self._check(x)
        order = x.argsort(dim=1, stable=True)
        return torch.nn.functional.one_hot(order, self.size).to(x.dtype).flatten(1)


@dataclass(frozen=True, kw_only=True)
class Ranks(_Sized):
    """The rank of each of n numbers: 0 for the smallest, n - 1 for the largest."""

    name: ClassVar[str] = "ranks"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Ranks, shape [batch, n]."""
        self._check(x)
        return x.argsort(dim=1, stable=True).argsort(dim=1).to(x.dtype)


@dataclass(frozen=True, kw_only=True)
class ShortestPath(_Sized):
    """The cheapest path over a square grid of node costs, from the first corner to the last, as a 0/1 image.

    Inputs are the costs of the nodes, row by row, and outputs 1 on the nodes of the path. A step goes right, down or
    right and down: without cycles every cost, negative ones of perturbed inputs too, has a cheapest path. (Petersen et
    al. and Berthet et al. use eight neighbours with costs kept positive.)
    """

    name: ClassVar[str] = "shortest-path"

    size: int = 3
    """Nodes along each side of the grid."""

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.size**2

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Images of the paths row by row, shape [batch, size * size]."""
        self._check(x)
        n = self.size
        steps = ((1, 1), (1, 0), (0, 1))
        worst = torch.full_like(x[:, 0], torch.inf)
        costs = x.view(-1, n, n)
        left: list[list[torch.Tensor]] = [[worst] * (n + 1) for _ in range(n + 1)]  # cost from here to the goal
        choice = torch.zeros(len(x), n, n, dtype=torch.int64, device=x.device)
        for i in reversed(range(n)):
            for j in reversed(range(n)):
                best = torch.stack([left[i + di][j + dj] for di, dj in steps]).min(0)
                ahead = torch.zeros_like(worst) if (i, j) == (n - 1, n - 1) else best.values
                left[i][j], choice[:, i, j] = costs[:, i, j] + ahead, best.indices
        rows = torch.arange(len(x), device=x.device)
        moves = torch.tensor(steps, dtype=torch.int64, device=x.device)
        place = torch.zeros(len(x), 2, dtype=torch.int64, device=x.device)
        path = torch.zeros_like(costs)
        for _ in range(2 * n - 1):
            path[rows, place[:, 0], place[:, 1]] = 1.0
            step = moves[choice[rows, place[:, 0], place[:, 1]]]
            there = (place == n - 1).all(1, keepdim=True)
            place = torch.where(there, place, place + step)
        return path.flatten(1)
