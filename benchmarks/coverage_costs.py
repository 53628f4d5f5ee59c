"""Costs whose averaged slope is known in closed form, for the study of error bars (``coverage.py``)."""

from __future__ import annotations

import math
from typing import Any

import torch

__all__ = ["Cubic", "Distance", "DoubleWell", "Exponential", "KinkBowl", "Rare", "Rosenbrock", "Sine", "Sum"]


class KinkBowl:
    """Ten parameters: 0.5 sum h_i x_i^2 + 3 max(0, x_0 - 0.52)."""

    name = "kink_bowl"
    h = torch.logspace(-1, 1, 10, dtype=torch.float64, device="cpu")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return 0.5 * (self.h * x.square()).sum(-1) + 3.0 * (x[..., 0] - 0.52).clamp_min(0.0)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        gradient = self.h * x
        gradient[..., 0] += 3.0 * torch.special.ndtr((x[..., 0] - 0.52) / s)
        return gradient


class Rare:
    """A slope, and a jump of 1 where x_0 > z * 0.05: met by few samples."""

    name = "rare"

    def __init__(self, z: float, slope: float) -> None:
        self.z, self.slope = z, slope

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return self.slope * x.sum(-1) + (x[..., 0] > self.z * 0.05)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        gradient = torch.full_like(x, self.slope)
        distance = (self.z * 0.05 - x[..., 0]) / s
        gradient[..., 0] += torch.exp(-0.5 * distance.square()) / (s * math.sqrt(2.0 * math.pi))
        return gradient


class Exponential:
    """exp(b x): samples of heavy tails in both orders."""

    name = "exponential"

    def __init__(self, b: float) -> None:
        self.b = b

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return torch.exp(self.b * x).sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return self.b * torch.exp(self.b * x + 0.5 * (self.b * s) ** 2)


class Sine:
    """sin(b x)."""

    name = "sine"

    def __init__(self, b: float) -> None:
        self.b = b

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return torch.sin(self.b * x).sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return self.b * torch.cos(self.b * x) * math.exp(-0.5 * (self.b * s) ** 2)


class Cubic:
    """x + x^3: beside its plane nothing but a term of fourth moments."""

    name = "cubic"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return (x + x**3).sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return 1.0 + 3.0 * (x.square() + s * s)


class DoubleWell:
    """(x^2 - 1)^2 in each parameter."""

    name = "double_well"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return (x.square() - 1.0).square().sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return 4.0 * x * (x.square() + 3.0 * s * s - 1.0)


class Rosenbrock:
    """100 (y - x^2)^2 + (1 - x)^2."""

    name = "rosenbrock"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return 100.0 * (x[..., 1] - x[..., 0].square()).square() + (1.0 - x[..., 0]).square()

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        a, b = x[..., 0], x[..., 1]
        by_a = -400.0 * (a * b - a**3 - 3.0 * a * s * s) - 2.0 * (1.0 - a)
        return torch.stack([by_a, 200.0 * (b - a.square() - s * s)], dim=-1)


class Distance:
    """|x - c|: a kink that half of the noise or more meets."""

    name = "distance"

    def __init__(self, c: float) -> None:
        self.c = c

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return (x - self.c).abs().sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return 2.0 * torch.special.ndtr((x - self.c) / s) - 1.0


class Sum:
    """Two costs at once, such as a jump on a bowl."""

    name = "sum"

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return self.a(x) + self.b(x)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        """Of the average over Gaussian noise."""
        return self.a.smoothed_gradient(x, s) + self.b.smoothed_gradient(x, s)
