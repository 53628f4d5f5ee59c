"""Objectives with closed forms: what every gradient estimator is checked against.

Each is a small frozen dataclass, callable on theta [batch, parameters] (costs [batch], smaller is better), that also
knows its exact (pathwise) gradient and, in closed form, the value and gradient of its average over Gaussian noise,
F(theta) = E f(theta + scale * w). With phi and Phi the normal density and cdf.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from .errors import TaskError

__all__ = ["GapPush", "GrazingPush", "Heaviside", "Quadratic"]

Scale = float | Sequence[float] | torch.Tensor


def _density(z: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)


def _cdf(z: torch.Tensor) -> torch.Tensor:
    return torch.special.ndtr(z)


class _Analytic(ABC):
    """Shape checks and defaults that the objectives share."""

    name: ClassVar[str]
    description: ClassVar[str]

    @property
    @abstractmethod
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""

    @abstractmethod
    def _start(self) -> Sequence[float]:
        """Initial parameters."""

    def initial_parameters(
        self, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        """A point from which to differentiate or optimize, shape [parameters]."""
        return torch.tensor(list(self._start()), dtype=dtype, device=device)

    def _check(self, theta: torch.Tensor) -> torch.Tensor:
        count = len(self.parameter_names)
        if theta.ndim not in (1, 2) or theta.shape[-1] != count:
            raise TaskError(
                f"{self.name}: theta has shape {list(theta.shape)}; it has {count} parameters "
                f"({', '.join(self.parameter_names)}): give [{count}] or [batch, {count}]"
            )
        return theta

    def _scales(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        scales = torch.as_tensor(scale, dtype=theta.dtype, device=theta.device)
        if scales.shape not in ((), theta.shape[-1:]) or not bool((scales > 0).all()):
            raise TaskError(f"{self.name}: scale is {scale}: give a positive number, or one per parameter")
        return scales.expand(theta.shape[-1])


def _positive(name: str, **lengths: float) -> None:
    for key, length in lengths.items():
        if not (math.isfinite(length) and length > 0.0):
            raise TaskError(f"{name}: {key} is {length}: give a positive number")


@dataclass(frozen=True, kw_only=True)
class Heaviside(_Analytic):
    """f(x) = 1 where every coordinate is positive, else 0: a pure jump.

    The exact gradient is 0 everywhere. Smoothed: F = product of Phi(x_i / scale_i), a gradient of phi(x_i / scale_i)
    / scale_i times the product of the other factors.
    """

    name: ClassVar[str] = "heaviside"
    description: ClassVar[str] = (
        "a jump: 1 where all coordinates are positive, else 0; the exact gradient is 0 everywhere"
    )

    dimension: int = 1
    """Number of parameters."""

    def __post_init__(self) -> None:
        if isinstance(self.dimension, bool) or not isinstance(self.dimension, int) or self.dimension < 1:
            raise TaskError(f"{self.name}: dimension is {self.dimension!r}: give an integer of at least 1")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("x",) if self.dimension == 1 else tuple(f"x{i}" for i in range(self.dimension))

    def _start(self) -> Sequence[float]:
        return [0.01] * self.dimension

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta) > 0).all(-1).to(theta.dtype)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), torch.zeros_like(theta)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        return _cdf(self._check(theta) / self._scales(theta, scale)).prod(-1)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        scales = self._scales(self._check(theta), scale)
        z = theta / scales
        factors = _cdf(z).unsqueeze(-2).expand(*z.shape[:-1], self.dimension, self.dimension)
        own = torch.eye(self.dimension, dtype=torch.bool, device=theta.device)
        return _density(z) / scales * factors.masked_fill(own, 1.0).prod(-1)


@dataclass(frozen=True, kw_only=True)
class GrazingPush(_Analytic):
    """A pusher passes an object of half-width a at lateral offset u [m]: it hits and moves it by L [m], or misses.

    f(u) = L where |u| < a, else 0: the distance moved, as a cost (the object is to be left alone; negate it to hit
    it). The exact gradient is 0 everywhere. Smoothed: F = L [Phi((a - u)/scale) - Phi(-(a + u)/scale)], whose
    gradient -(L/scale) [phi((a - u)/scale) - phi((a + u)/scale)] leads descent out over the near edge.
    """

    name: ClassVar[str] = "grazing_push"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "a push that hits or misses: moves the object by a fixed length or not at all"

    length: float = 0.1
    """Distance moved by a hit L [m]."""
    half_width: float = 0.05
    """Half-width of the object a [m]."""

    def __post_init__(self) -> None:
        _positive(self.name, length=self.length, half_width=self.half_width)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("offset",)

    def _start(self) -> Sequence[float]:
        return [0.8 * self.half_width]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return self.length * (self._check(theta)[..., 0].abs() < self.half_width).to(theta.dtype)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), torch.zeros_like(theta)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        u, sigma = self._check(theta)[..., 0], self._scales(theta, scale)[0]
        return self.length * (_cdf((self.half_width - u) / sigma) - _cdf(-(self.half_width + u) / sigma))

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        u, sigma = self._check(theta), self._scales(theta, scale)[0]
        edges = _density((self.half_width - u) / sigma) - _density((self.half_width + u) / sigma)
        return -self.length / sigma * edges


@dataclass(frozen=True, kw_only=True)
class GapPush(_Analytic):
    """A pusher travels u [m] towards an object a gap g [m] away and pushes it from there on: f(u) = max(0, u - g).

    Continuous with a kink: the exact gradient is 0 before contact and 1 after it (0 at the kink itself). Smoothed, with
    z = (u - g)/scale: F = scale [z Phi(z) + phi(z)], gradient Phi(z). The first order is unbiased with variance
    Phi(z) (1 - Phi(z)) per sample.
    """

    name: ClassVar[str] = "gap_push"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "a push across a gap: nothing moves until contact; the exact gradient is 0 before it"

    gap: float = 0.03
    """Travel before contact g [m]."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.gap):
            raise TaskError(f"{self.name}: gap is {self.gap}: give a finite number")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("travel",)

    def _start(self) -> Sequence[float]:
        return [0.0]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta)[..., 0] - self.gap).clamp_min(0.0)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), (self._check(theta) > self.gap).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        sigma = self._scales(self._check(theta), scale)[0]
        z = (theta[..., 0] - self.gap) / sigma
        return sigma * (z * _cdf(z) + _density(z))

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        return _cdf((self._check(theta) - self.gap) / self._scales(theta, scale)[0])


@dataclass(frozen=True, kw_only=True)
class Quadratic(_Analytic):
    """f(x) = x^T H x / 2 with H symmetric: the smooth case, where every backend must agree.

    Gradient H x, smoothed or not; smoothing adds sum_i scale_i^2 H_ii / 2 to the value. Per sample, the first order
    has trace variance scale^2 |H|_F^2, and exactly none with antithetic pairs.
    """

    name: ClassVar[str] = "quadratic"
    description: ClassVar[str] = "a bowl: x^T H x / 2, the smooth case where every backend must agree"

    hessian: Sequence[Sequence[float]] | torch.Tensor = ((2.0, 0.5), (0.5, 1.0))
    """Symmetric matrix H; kept as plain numbers."""

    def __post_init__(self) -> None:
        matrix = torch.as_tensor(self.hessian, dtype=torch.float64)
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
