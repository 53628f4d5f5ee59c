"""Smooth problems, where every backend must agree and the variances of the estimators are known.

Variances are those of one sample, summed over the coordinates of the gradient, for the same Gaussian noise on every
coordinate; the zeroth order has f(theta) subtracted. N samples have an N-th of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ..errors import TaskError
from .testbed import Scale, Testbed, check_count

__all__ = ["Horizon", "Linear", "Quadratic"]


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Linear(Testbed):
    """f(x) = a.x: what smoothing leaves as it is.

    The first order has no variance; the zeroth has (d + 1) |a|^2, whatever the scale.
    """

    name: ClassVar[str] = "linear"
    description: ClassVar[str] = "a slope: a.x, which smoothing leaves as it is"

    slope: Sequence[float] = (1.0, -2.0, 0.5)
    """Gradient a; kept as plain numbers."""

    def __post_init__(self) -> None:
        slope = tuple(float(a) for a in self.slope)
        if not slope or not all(map(math.isfinite, slope)):
            raise TaskError(f"{self.name}: slope is {self.slope}: give one finite number or more")
        object.__setattr__(self, "slope", slope)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"x{i}" for i in range(len(self.slope)))

    def _start(self) -> Sequence[float]:
        return [0.1] * len(self.slope)

    def _vector(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.slope, dtype=theta.dtype, device=theta.device)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return self._check(theta) @ self._vector(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), self._vector(theta).expand(theta.shape).clone()

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) = f(theta), shape [batch]."""
        self._scales(self._check(theta), scale)
        return self(theta)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value``, a; shape [batch, parameters]."""
        self._scales(self._check(theta), scale)
        return self.value_and_gradient(theta)[1]

    def zeroth_order_variance(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Trace variance of one zeroth-order sample, shape [batch]."""
        self._scales(self._check(theta), scale)
        square = sum(a * a for a in self.slope)
        return torch.full(theta.shape[:-1], (len(self.slope) + 1) * square, dtype=theta.dtype, device=theta.device)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Quadratic(Testbed):
    """f(x) = x^T H x / 2 with H symmetric: the smooth case, where every backend must agree.

    Gradient H x, smoothed or not; smoothing adds sum_i scale_i^2 H_ii / 2 to the value. Per sample, the first order
    has trace variance scale^2 |H|_F^2, and exactly none with antithetic pairs.
    """

    name: ClassVar[str] = "quadratic"
    description: ClassVar[str] = "a bowl: x^T H x / 2, the smooth case where every backend must agree"

    hessian: Sequence[Sequence[float]] | torch.Tensor = ((2.0, 0.5), (0.5, 1.0))
    """Symmetric matrix H; kept as plain numbers."""

    def __post_init__(self) -> None:
        matrix = torch.as_tensor(self.hessian, dtype=torch.float64, device="cpu")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.numel() == 0:
            raise TaskError(f"{self.name}: hessian has shape {list(matrix.shape)}: give a square matrix")
        if not bool(torch.isfinite(matrix).all()) or not torch.equal(matrix, matrix.T):
            raise TaskError(f"{self.name}: hessian is not finite and symmetric: give (H + H.T) / 2")
        object.__setattr__(self, "hessian", tuple(tuple(row) for row in matrix.tolist()))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"x{i}" for i in range(len(self.hessian)))

    def _start(self) -> Sequence[float]:
        return [1.0 if i % 2 == 0 else -0.5 for i in range(len(self.hessian))]

    def _matrix(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.hessian, dtype=theta.dtype, device=theta.device)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return 0.5 * ((self._check(theta) @ self._matrix(theta)) * theta).sum(-1)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), theta @ self._matrix(theta)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        scales = self._scales(self._check(theta), scale)
        return self(theta) + 0.5 * (scales.square() * self._matrix(theta).diagonal()).sum()

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        self._scales(self._check(theta), scale)
        return theta @ self._matrix(theta)

    def first_order_variance(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Trace variance of one first-order sample, shape [batch]."""
        self._scales(self._check(theta), scale)
        return (scale**2 * self._matrix(theta).square().sum()).expand(theta.shape[:-1])


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Horizon(Testbed):
    """x_(t+1) = a x_t + u_t for T steps from x_0, cost x_T^2 / 2; the parameters are the inputs u_0 ... u_(T-1).

    With S = sum over k < T of a^(2k), one sample of the first order has the variance sigma^2 S^2, one of the zeroth
    (T + 1) S x_T^2 + (3/4) sigma^2 (T + 4) S^2: the first order wins by a factor of T where the system is stable and
    smooth. For a > 1 both grow like a^(4T).
    """

    name: ClassVar[str] = "horizon"
    description: ClassVar[str] = "a linear system over T steps, cost x_T^2 / 2: how variances grow with the horizon"

    steps: int = 20
    """Steps T."""
    growth: float = 0.95
    """Factor a."""
    start: float = 1.0
    """State x_0."""

    def __post_init__(self) -> None:
        check_count(self.name, steps=self.steps)
        if not (math.isfinite(self.growth) and math.isfinite(self.start)):
            raise TaskError(f"{self.name}: growth is {self.growth}, start {self.start}: give finite numbers")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"u{t}" for t in range(self.steps))

    def _start(self) -> Sequence[float]:
        return [0.1] * self.steps

    def _weights(self, theta: torch.Tensor) -> torch.Tensor:
        """Slopes d x_T / d u_t = a^(T - 1 - t), shape [steps]."""
        powers = torch.arange(self.steps - 1, -1, -1, dtype=theta.dtype, device=theta.device)
        return torch.as_tensor(self.growth, dtype=theta.dtype, device=theta.device) ** powers

    def final_state(self, theta: torch.Tensor) -> torch.Tensor:
        """x_T of inputs [batch, steps], shape [batch]."""
        x = torch.full_like(self._check(theta)[..., 0], self.start)
        for u in theta.unbind(-1):
            x = self.growth * x + u
        return x

    def stepwise(self) -> UnrolledObjective:
        """The system as an unrolled objective: state x, a cost at the last step alone."""

        def start(theta: torch.Tensor) -> torch.Tensor:
            return torch.full_like(self._check(theta)[:, :1], self.start)

        def step(x: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            return self.growth * x + theta[:, t : t + 1]

        def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            return 0.5 * after[:, 0].square() if t == self.steps - 1 else torch.zeros_like(after[:, 0])

        return UnrolledObjective(start, step, cost, self.steps, self.name)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return 0.5 * self.final_state(theta).square()

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        spread = self._scales(self._check(theta), scale) * self._weights(theta)
        return self(theta) + 0.5 * spread.square().sum()

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        self._scales(self._check(theta), scale)
        return self.final_state(theta)[..., None] * self._weights(theta)

    def first_order_variance(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Trace variance of one first-order sample, shape [batch]."""
        self._scales(self._check(theta), scale)
        return (scale * self._weights(theta).square().sum()).square().expand(theta.shape[:-1])

    def zeroth_order_variance(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Trace variance of one zeroth-order sample, shape [batch]."""
        self._scales(self._check(theta), scale)
        s, n = self._weights(theta).square().sum(), self.steps
        return (n + 1) * s * self.final_state(theta).square() + 0.75 * scale**2 * (n + 4) * s.square()
