"""Costs of a line each whose average over noise is known: roughness, kinks, rare events, heavy tails, faults."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["FaultyGradient", "Flat", "HeavyTail", "KinkedBowl", "RareEvent", "Ripple", "SteppedBowl"]


@dataclass(frozen=True)
class Ripple:
    """A bowl with a ripple: |x|^2 / 2 + height sum cos(2 pi x_i / wavelength)."""

    height: float = 0.01
    wavelength: float = 0.02
    name: str = "ripple"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return 0.5 * theta.square().sum(-1) + self.height * torch.cos(self._wave * theta).sum(-1)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients."""
        return self(theta), theta - self.height * self._wave * torch.sin(self._wave * theta)

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        left = math.exp(-0.5 * (self._wave * scale) ** 2)
        return theta - self.height * self._wave * left * torch.sin(self._wave * theta)

    @property
    def _wave(self) -> float:
        return 2.0 * math.pi / self.wavelength


@dataclass(frozen=True)
class KinkedBowl:
    """A bowl of curvatures 0.1 to 10 in many parameters, with a kink of ``slope`` in the first at ``edge``."""

    parameters: int = 30
    slope: float = 3.0
    edge: float = 0.52
    name: str = "kinked_bowl"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        kink = self.slope * (theta[..., 0] - self.edge).clamp_min(0.0)
        return 0.5 * (self._curvatures(theta) * theta.square()).sum(-1) + kink

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients."""
        return self(theta), self._gradient(theta, (theta[..., 0] > self.edge).to(theta))

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        return self._gradient(theta, torch.special.ndtr((theta[..., 0] - self.edge) / scale))

    def _curvatures(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.logspace(-1.0, 1.0, self.parameters, dtype=theta.dtype, device=theta.device)

    def _gradient(self, theta: torch.Tensor, beyond: torch.Tensor) -> torch.Tensor:
        gradient = self._curvatures(theta) * theta
        gradient[..., 0] += self.slope * beyond
        return gradient


@dataclass(frozen=True)
class SteppedBowl:
    """A bowl in many parameters with a step of ``height`` in the first at ``edge``: jumps among many parameters."""

    parameters: int = 80
    height: float = 0.2
    edge: float = 0.52
    name: str = "stepped_bowl"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return 0.5 * theta.square().sum(-1) + self.height * (theta[..., 0] > self.edge).to(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients, which do not see the step."""
        return self(theta), theta.clone()

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        gradient = theta.clone()
        at = (self.edge - theta[..., 0]) / scale
        gradient[..., 0] += self.height * torch.exp(-0.5 * at.square()) / (scale * math.sqrt(2.0 * math.pi))
        return gradient


@dataclass(frozen=True)
class FaultyGradient:
    """A cubic whose exact gradient, as offered, is off by ``share`` of its length along the first parameter."""

    share: float
    parameters: int = 4
    name: str = "faulty_gradient"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return (theta + 0.5 * theta**2 + 0.3 * theta**3).sum(-1)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and the faulty gradients."""
        gradient = 1.0 + theta + 0.9 * theta**2
        gradient[..., 0] += self.share * gradient.norm(dim=-1)
        return self(theta), gradient

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        return 1.0 + theta + 0.9 * (theta**2 + scale**2)


@dataclass(frozen=True)
class RareEvent:
    """A slope, and a penalty of 1 beyond ``edge`` in the first parameter, which few samples meet."""

    edge: float
    slope: float = 0.0
    name: str = "rare_event"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return self.slope * theta.sum(-1) + (theta[..., 0] > self.edge).to(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients, which do not see the event."""
        return self(theta), torch.full_like(theta, self.slope)

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        gradient = torch.full_like(theta, self.slope)
        at = (self.edge - theta[..., 0]) / scale
        gradient[..., 0] += torch.exp(-0.5 * at.square()) / (scale * math.sqrt(2.0 * math.pi))
        return gradient


@dataclass(frozen=True)
class HeavyTail:
    """exp(rate x): its averages of either order have heavy tails."""

    rate: float = 25.0
    name: str = "heavy_tail"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return torch.exp(self.rate * theta).sum(-1)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients."""
        return self(theta), self.rate * torch.exp(self.rate * theta)

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        return self.rate * torch.exp(self.rate * theta + 0.5 * (self.rate * scale) ** 2)


@dataclass(frozen=True)
class Flat:
    """The same cost everywhere."""

    name: str = "flat"

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch]."""
        return 0.0 * theta.sum(-1) + 1.0

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs and exact gradients."""
        return self(theta), torch.zeros_like(theta)

    def smoothed_gradient(self, theta: torch.Tensor, scale: float) -> torch.Tensor:
        """Gradient of the average."""
        return torch.zeros_like(theta)
