"""Pure jumps: the exact gradient is zero everywhere, and only the average over noise has a slope."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from scipy import special

from ...plain import plain_numbers
from ..errors import TaskError
from .normal import cdf, density
from .testbed import Scale, Testbed, check_count, check_positive

__all__ = ["DiscIndicator", "GrazingPush", "HalfPlane", "Heaviside"]


class _Jump(Testbed):
    """A cost that is constant in pieces."""

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters], which are zero."""
        return self(theta), torch.zeros_like(theta)

    @abstractmethod
    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""

    @abstractmethod
    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Heaviside(_Jump):
    """f(x) = 1 where every coordinate is positive, else 0: a pure jump (Suh et al. 2022, example 3.3).

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
        check_count(self.name, dimension=self.dimension)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("x",) if self.dimension == 1 else tuple(f"x{i}" for i in range(self.dimension))

    def _start(self) -> Sequence[float]:
        return [0.01] * self.dimension

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta) > 0).all(-1).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        return cdf(self._check(theta) / self._scales(theta, scale)).prod(-1)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        scales = self._scales(self._check(theta), scale)
        z = theta / scales
        factors = cdf(z).unsqueeze(-2).expand(*z.shape[:-1], self.dimension, self.dimension)
        own = torch.eye(self.dimension, dtype=torch.bool, device=theta.device)
        return density(z) / scales * factors.masked_fill(own, 1.0).prod(-1)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class HalfPlane(_Jump):
    """f(x) = 1 where n.x > b, else 0, in any dimension.

    Smoothed, with s^2 = sum (n_i scale_i)^2 and z = (n.x - b)/s: F = Phi(z), gradient n phi(z)/s.
    """

    name: ClassVar[str] = "half_plane"
    description: ClassVar[str] = "a jump across a plane: 1 where n.x > b, else 0; the exact gradient is 0 everywhere"

    normal: Sequence[float] = (0.6, 0.8)
    """Normal n, of any length but zero; kept as plain numbers."""
    offset: float = 0.0
    """Offset b."""

    def __post_init__(self) -> None:
        normal = tuple(float(n) for n in self.normal)
        if not normal or not all(map(math.isfinite, (*normal, self.offset))) or not any(normal):
            raise TaskError(
                f"{self.name}: normal is {self.normal}, offset {self.offset}: give a finite normal, not zero"
            )
        object.__setattr__(self, "normal", normal)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"x{i}" for i in range(len(self.normal)))

    def _start(self) -> Sequence[float]:
        square = sum(n * n for n in self.normal)
        return [(self.offset / square + 0.01 / math.sqrt(square)) * n for n in self.normal]

    def _normal(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.normal, dtype=theta.dtype, device=theta.device)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta) @ self._normal(theta) > self.offset).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        n = self._normal(self._check(theta))
        return cdf((theta @ n - self.offset) / (n * self._scales(theta, scale)).norm())

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        n = self._normal(self._check(theta))
        s = (n * self._scales(theta, scale)).norm()
        return (density((theta @ n - self.offset) / s) / s).unsqueeze(-1) * n


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class DiscIndicator(_Jump):
    """f(x) = 1 within a circle of radius R around the origin of the plane, else 0: a jump along a curve.

    Smoothed with one scale for both coordinates, r = |x|: F is the distribution function at (R/scale)^2 of the
    noncentral chi-square law with 2 degrees of freedom and noncentrality (r/scale)^2, and

        grad F = -(R/scale^2) exp(-(r^2 + R^2)/(2 scale^2)) I1(r R/scale^2) x/r
    """

    name: ClassVar[str] = "disc_indicator"
    description: ClassVar[str] = "a jump along a circle: 1 inside, else 0; the exact gradient is 0 everywhere"

    radius: float = 0.1
    """Radius of the circle R."""

    def __post_init__(self) -> None:
        check_positive(self.name, radius=self.radius)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("x", "y")

    def _start(self) -> Sequence[float]:
        return [0.76 * self.radius, 0.57 * self.radius]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta).square().sum(-1) < self.radius**2).to(theta.dtype)

    def _ratios(self, theta: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor, float, float]:
        """Theta in float64, r/scale, R/scale and scale."""
        scales = self._scales(self._check(theta), scale).double()
        sigma = float(scales[0])
        if not bool((scales == sigma).all()):
            raise TaskError(f"{self.name}: scale is {scale}: the closed form needs the same for both coordinates")
        x = theta.double()
        return x, x.norm(dim=-1) / sigma, self.radius / sigma, sigma

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        _, r, edge, _ = self._ratios(theta, scale)
        share = special.chndtr(edge**2, 2.0, r.square().cpu().numpy())
        return torch.as_tensor(share, dtype=theta.dtype, device=theta.device)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        x, r, edge, sigma = self._ratios(theta, scale)
        # i1e carries exp(-r edge), which completes the square: nothing overflows
        slope = -edge / sigma * torch.exp(-0.5 * (r - edge).square()) * torch.special.i1e(r * edge)
        direction = x / (r * sigma).clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(-1)
        return (slope.unsqueeze(-1) * direction).to(theta.dtype)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class GrazingPush(_Jump):
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
        check_positive(self.name, length=self.length, half_width=self.half_width)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("offset",)

    def _start(self) -> Sequence[float]:
        return [0.8 * self.half_width]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return self.length * (self._check(theta)[..., 0].abs() < self.half_width).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        u, sigma = self._check(theta)[..., 0], self._scales(theta, scale)[0]
        return self.length * (cdf((self.half_width - u) / sigma) - cdf(-(self.half_width + u) / sigma))

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        u, sigma = self._check(theta), self._scales(theta, scale)[0]
        edges = density((self.half_width - u) / sigma) - density((self.half_width + u) / sigma)
        return -self.length / sigma * edges
