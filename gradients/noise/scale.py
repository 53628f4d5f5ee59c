"""The scale of the noise: one number, one per coordinate, or a full matrix L; theta + L e, and both its gradients.

With noise e of density prod m(e_i) and s = -d log m / de, the perturbed theta has the density
m(L^-1 (y - x)) / |det L|, and differentiating that gives, for any f for which the averages exist,

    zeroth order   d/dx E f = E[f L^-T s]        d/dL E f = E[f L^-T (s e^T - I)]
    first order    d/dx E f = E[grad f]          d/dL E f = E[grad f e^T]

of which one scale per coordinate takes the diagonal and one number the trace. Both zeroth-order factors have mean zero
(E s = 0, E s_i e_j = delta_ij), so a constant may be subtracted from f in either. s e^T is even in e for a symmetric
density: antithetic pairs use (f(+) - f(-))/2 for the first and (f(+) + f(-))/2 for the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..core.errors import GradientError

__all__ = ["DiagonalScale", "MatrixScale", "PlainScale", "ScalarScale", "ScaleMap", "check_scale_map", "scale_map"]

PlainScale = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
"""A scale as plain numbers: one, one per coordinate, or the rows of L."""

_WORST_CONDITION = 1e12  # beyond it L^-1 has fewer than four digits in float64


class ScaleMap(Protocol):
    """The linear map e -> L e on rows of noise [..., d], with its adjoints."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the gradient with respect to the scale: [], [d] or [d, d]."""
        ...

    def move(self, noise: torch.Tensor) -> torch.Tensor:
        """L e, shape [..., d]."""
        ...

    def pull(self, scores: torch.Tensor) -> torch.Tensor:
        """L^-T s, shape [..., d]."""
        ...

    def score(self, noise: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """L^-T (s e^T - I), or its diagonal, or its trace, flattened: shape [..., components]."""
        ...

    def pathwise(self, gradients: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """G e^T, or its diagonal, or its trace, flattened: shape [..., components]."""
        ...

    def widths(self) -> torch.Tensor:
        """Scale of the move of each coordinate, shape [d]: the length of each row of L."""
        ...


@dataclass(frozen=True)
class ScalarScale:
    """L = number * I."""

    number: float
    columns: int
    device: torch.device | str = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its gradient."""
        return ()

    def move(self, noise: torch.Tensor) -> torch.Tensor:
        """Number * e."""
        return self.number * noise

    def pull(self, scores: torch.Tensor) -> torch.Tensor:
        """S / number."""
        return scores / self.number

    def score(self, noise: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """(s . e - d) / number, shape [..., 1]."""
        return ((scores * noise).sum(-1, keepdim=True) - self.columns) / self.number

    def pathwise(self, gradients: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """G . e, shape [..., 1]."""
        return (gradients * noise).sum(-1, keepdim=True)

    def widths(self) -> torch.Tensor:
        """The number for each coordinate."""
        return torch.full((self.columns,), self.number, dtype=torch.float64, device=self.device)


@dataclass(frozen=True)
class DiagonalScale:
    """L = diag(numbers); numbers float64, shape [d]."""

    numbers: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its gradient."""
        return tuple(self.numbers.shape)

    def move(self, noise: torch.Tensor) -> torch.Tensor:
        """Numbers * e."""
        return self.numbers * noise

    def pull(self, scores: torch.Tensor) -> torch.Tensor:
        """S / numbers."""
        return scores / self.numbers

    def score(self, noise: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """(s_i e_i - 1) / numbers_i, shape [..., d]."""
        return (scores * noise - 1.0) / self.numbers

    def pathwise(self, gradients: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """G_i e_i, shape [..., d]."""
        return gradients * noise

    def widths(self) -> torch.Tensor:
        """The numbers."""
        return self.numbers


@dataclass(frozen=True)
class MatrixScale:
    """A full matrix L, float64, shape [d, d], with its inverse."""

    matrix: torch.Tensor
    inverse: torch.Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of its gradient."""
        return tuple(self.matrix.shape)

    def move(self, noise: torch.Tensor) -> torch.Tensor:
        """L e."""
        return noise @ self.matrix.T

    def pull(self, scores: torch.Tensor) -> torch.Tensor:
        """L^-T s."""
        return scores @ self.inverse

    def score(self, noise: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """L^-T (s e^T - I), row by row: shape [..., d * d]."""
        return (self.pull(scores).unsqueeze(-1) * noise.unsqueeze(-2) - self.inverse.T).flatten(-2)

    def pathwise(self, gradients: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """G e^T, row by row: shape [..., d * d]."""
        return (gradients.unsqueeze(-1) * noise.unsqueeze(-2)).flatten(-2)

    def widths(self) -> torch.Tensor:
        """Lengths of the rows of L."""
        return torch.linalg.vector_norm(self.matrix, dim=1)


def check_scale_map(scale: float | Sequence | torch.Tensor) -> PlainScale:
    """The scale as plain numbers: positive (one, or one per coordinate), or the rows of a non-singular matrix."""
    try:
        numbers = torch.as_tensor(scale, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise GradientError(
            f"scale is {scale!r}: give a number, one number per coordinate, or a square matrix"
        ) from None
    if numbers.numel() == 0 or numbers.ndim > 2 or (numbers.ndim == 2 and numbers.shape[0] != numbers.shape[1]):
        raise GradientError(
            f"scale has shape {list(numbers.shape)}: give a number, one number per coordinate, or a square matrix"
        )
    if numbers.ndim == 2:
        _check_matrix(numbers)
        return tuple(tuple(row) for row in numbers.tolist())
    flat = numbers.reshape(-1).tolist()
    for index, number in enumerate(flat):
        if not (math.isfinite(number) and number > 0.0):
            where = f"scale[{index}]" if numbers.ndim else "scale"
            raise GradientError(
                f"{where} is {number}: give a positive scale in the units of theta, e.g. 0.02. "
                "For the gradient without smoothing use Autodiff(); to leave a coordinate unperturbed name the others "
                "in parameters="
            )
    return tuple(flat) if numbers.ndim else flat[0]


def _check_matrix(matrix: torch.Tensor) -> None:
    if not bool(torch.isfinite(matrix).all()):
        raise GradientError("the scale matrix L has entries that are not finite")
    singular = torch.linalg.svdvals(matrix)
    largest, smallest = float(singular[0]), float(singular[-1])
    condition = largest / smallest if smallest > 0.0 else math.inf
    if not condition < _WORST_CONDITION:
        raise GradientError(
            f"the scale matrix L is singular (condition number {condition:.3g}, the limit is {_WORST_CONDITION:.0e}): "
            "the noise would not reach every direction, and the score needs L^-1. Give a non-singular L, e.g. a "
            "Cholesky factor of the noise's covariance plus a small multiple of the identity, or smooth fewer "
            "parameters with parameters="
        )


def scale_map(scale: PlainScale, batch: torch.Tensor) -> ScaleMap:
    """The map of a checked scale for thetas ``batch`` [batch, d], on its device; refused if theta cannot resolve it."""
    columns = batch.shape[1]
    numbers = torch.as_tensor(scale, dtype=torch.float64, device=batch.device)
    if numbers.ndim and len(numbers) != columns:
        has = f"{len(numbers)} entries" if numbers.ndim == 1 else f"shape {list(numbers.shape)}"
        need = f"{columns}" if numbers.ndim == 1 else f"{columns} x {columns}"
        raise GradientError(f"scale has {has} but theta has {columns} parameters to smooth: give one number, or {need}")
    made: ScaleMap
    if numbers.ndim == 0:
        made = ScalarScale(float(numbers), columns, batch.device)
    elif numbers.ndim == 1:
        made = DiagonalScale(numbers)
    else:
        made = MatrixScale(numbers, torch.linalg.inv(numbers))
    widths = made.widths()
    coarse = torch.finfo(batch.dtype).eps * batch.abs().amax(0).double()
    lost = (widths < 16.0 * coarse).nonzero().reshape(-1).tolist()
    if lost:
        i = lost[0]
        raise GradientError(
            f"scale {widths[i].item():.3g} of coordinate {i} drowns in the rounding of {batch.dtype} at theta = "
            f"{batch[:, i].abs().max().item():.6g}: use a larger scale, a float64 theta, or other units"
        )
    return made
