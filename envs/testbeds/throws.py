"""Two throws of Suh et al. 2022 whose cost jumps: a ball over a wall, and a point mass that hits a pivot or misses."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...plain import plain_numbers
from .normal import average_in_pieces
from .testbed import Experiment, Scale, Testbed, check_positive

__all__ = ["BallWithWall", "MomentumTransfer"]

_SOURCE = "Suh, Simchowitz, Zhang, Tedrake 2022, section 5"


class _Throw(Testbed):
    """A cost of one angle, smooth between breaks that are known in closed form."""

    parameter_unit: ClassVar[str] = "rad"
    angle: float

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("angle",)

    def _start(self) -> Sequence[float]:
        return [self.angle]

    @abstractmethod
    def breaks(self, low: float, high: float) -> torch.Tensor:
        """Angles from ``low`` to ``high`` [rad] at which the cost jumps or has a kink, float64."""

    def _smoothed(self, theta: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        sigma = float(self._scales(self._check(theta), scale)[0])
        angle = theta[..., 0].double()
        breaks = self.breaks(float(angle.min()) - 10.0 * sigma, float(angle.max()) + 10.0 * sigma).to(theta.device)
        return average_in_pieces(lambda x: self(x.reshape(-1, 1)).view_as(x), breaks, angle, sigma)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) by quadrature between the jumps, to 1e-13 of the largest cost; shape [batch]."""
        return self._smoothed(theta, scale)[0].to(theta.dtype)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value``, to 1e-13/scale of the largest cost; shape [batch, parameters]."""
        return self._smoothed(theta, scale)[1].unsqueeze(-1).to(theta.dtype)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class BallWithWall(_Throw):
    """Throw a point mass as far as it goes, over a wall in the way: cost -r^2, r where it stops [m].

    The free range is v^2 sin(2 theta)/g. A ball that would go beyond the wall but is no higher than the wall's top
    there stops at the wall. The cost jumps where the ball just clears the wall; at the two angles whose free range ends
    at the wall it has a kink. The formula is used at every angle, as the authors do: downward ones count as a throw to
    the other side, where there is no wall.

    From the published start descent has to cross a plateau (the ball stops at the wall, exact gradient 0) to the jump.
    """

    name: ClassVar[str] = "ball_with_wall"
    description: ClassVar[str] = "throw a ball over a wall: the exact gradient does not see the jump at the wall's top"

    speed: float = 1.0
    """Launch speed v [m/s]."""
    gravity: float = 9.81
    """Gravity g [m/s^2]."""
    wall_distance: float = 0.06
    """Distance of the wall [m]."""
    wall_height: float = 0.02
    """Height of the wall [m]."""
    angle: float = 0.1
    """Angle to start from [rad]; the jump is at 0.693."""

    def __post_init__(self) -> None:
        check_positive(
            self.name,
            speed=self.speed,
            gravity=self.gravity,
            wall_distance=self.wall_distance,
            wall_height=self.wall_height,
        )

    @property
    def experiment(self) -> Experiment:
        """The published settings; from theta = 0.1."""
        return Experiment(
            source=f"{_SOURCE}, ball with wall",
            noise=0.1,
            samples=50,
            learning_rate=0.1,
            iterations=1000,
            tolerance=0.01,
            sample_bound=1.0,
        )

    def distance(self, theta: torch.Tensor) -> torch.Tensor:
        """Distance at which the ball stops [m] for theta [batch, parameters], shape [batch]."""
        angle = self._check(theta)[..., 0]
        free = self.speed**2 / self.gravity * torch.sin(2.0 * angle)
        # height at the wall times cos^2: cos(theta) may be 0
        x, cosine = self.wall_distance, torch.cos(angle.detach())
        drop = 0.5 * self.gravity * (x / self.speed) ** 2
        low = x * torch.sin(angle.detach()) * cosine - drop <= self.wall_height * cosine.square()
        return torch.where((free > x) & low, torch.full_like(free, x), free)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return -self.distance(theta).square()

    def breaks(self, low: float, high: float) -> torch.Tensor:
        """Angles from ``low`` to ``high`` [rad] at which the cost jumps or has a kink, float64."""
        x, drop = self.wall_distance, 0.5 * self.gravity * (self.wall_distance / self.speed) ** 2
        found = []
        reach = x * self.gravity / self.speed**2
        if reach < 1.0:
            found += [0.5 * math.asin(reach), 0.5 * (math.pi - math.asin(reach))]
        # height at the wall x t - drop (1 + t^2) = wall_height, t = tan(theta)
        discriminant = x * x - 4.0 * drop * (drop + self.wall_height)
        if discriminant > 0.0:
            found += [math.atan((x + sign * math.sqrt(discriminant)) / (2.0 * drop)) for sign in (-1.0, 1.0)]
        turns = torch.arange(
            math.floor(low / math.pi), math.ceil(high / math.pi) + 1, dtype=torch.float64, device="cpu"
        )
        angles = (torch.tensor(found, dtype=torch.float64, device="cpu") + math.pi * turns[:, None]).reshape(-1)
        return angles[(angles >= low) & (angles <= high)].sort().values


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class MomentumTransfer(_Throw):
    """Hit a pivot at the angle that turns it most: cost -sin(theta)^2 within 45 degrees, 0 beyond, where it misses.

    The exact gradient leads to the edge and does not contain the jump there; the average over noise does. The best
    smoothed angle stays clear of the edge.
    """

    name: ClassVar[str] = "momentum_transfer"
    description: ClassVar[str] = "hit a pivot as far out as it goes, but do not miss it: the cost jumps at its edge"

    edge: float = math.pi / 4.0
    """Largest angle that hits [rad]."""
    angle: float = 0.1
    """Angle to start from [rad]."""

    def __post_init__(self) -> None:
        check_positive(self.name, edge=self.edge)

    @property
    def experiment(self) -> Experiment:
        """The published settings; from theta = 0.1."""
        return Experiment(
            source=f"{_SOURCE}, momentum transfer",
            noise=0.02,
            samples=50,
            learning_rate=0.01,
            iterations=500,
            tolerance=0.2,
            sample_bound=1.0,
        )

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        angle = self._check(theta)[..., 0]
        return torch.where(angle.abs() <= self.edge, -torch.sin(angle).square(), torch.zeros_like(angle))

    def breaks(self, low: float, high: float) -> torch.Tensor:
        """Angles from ``low`` to ``high`` [rad] at which the cost jumps, float64."""
        angles = torch.tensor([-self.edge, self.edge], dtype=torch.float64, device="cpu")
        return angles[(angles >= low) & (angles <= high)]
