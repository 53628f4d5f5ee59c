"""Soft discs settle in a periodic box: the energy they end with, as a function of their diameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...first_order import numbers_only
from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ..errors import TaskError
from ..task import GRADIENT_LIMITS
from .testbed import Experiment, Testbed, check_count, check_positive

__all__ = ["DiscPacking"]


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class DiscPacking(Testbed):
    """Half of the discs have the diameter theta, half 1; they settle under a soft repulsion; cost: energy per disc.

    The energy of a pair at distance r is (1 - r/s)^2/2 for r below s, the mean of both diameters. The box is periodic,
    as wide as a share ``packing`` of its area filled by discs makes it, so that diameter and box change together. From
    random positions (fixed by ``seed``, as shares of the box) the discs move by damped inertial steps, v = momentum v +
    rate F, x = x + v, T times. Neighbours that change on the way make the final energy rough in the diameter: the exact
    gradient's variance over noise grows with T, the zeroth order's does not (Metz, Freeman, Schoenholz, Kachman 2021).

    There is one parameter, so the exact gradient is taken forwards (torch.func.jvp): twice the time of the cost,
    and no memory that grows with T.
    """

    name: ClassVar[str] = "disc_packing"
    description: ClassVar[str] = "soft discs settle in a periodic box: energy after T steps against their diameter"

    discs: int = 32
    """Number of discs, even."""
    steps: int = 100
    """Steps T."""
    rate: float = 0.1
    """Displacement for a unit of force in one step."""
    momentum: float = 0.9
    """Share of the last displacement that is kept; 0 is gradient descent."""
    packing: float = 0.98
    """Area of the discs over that of the box."""
    seed: int = 0
    """Seed of the initial positions."""

    def __post_init__(self) -> None:
        check_count(self.name, discs=self.discs, steps=self.steps)
        check_positive(self.name, rate=self.rate, packing=self.packing)
        if self.discs % 2 or self.discs < 4:
            raise TaskError(f"{self.name}: discs is {self.discs}: give an even number of at least 4")
        if not 0.0 <= self.momentum < 1.0:
            raise TaskError(f"{self.name}: momentum is {self.momentum}: give a number from 0 to below 1")

    @property
    def rollout_work(self) -> float:
        """Work of a rollout, in steps of one body of the simulator: a step here is about one for each disc."""
        return float(self.steps * self.discs)

    @property
    def experiment(self) -> Experiment:
        """Noise and samples of our own: the paper gives curves, the sizes are those of a small run."""
        return Experiment(source="Metz, Freeman, Schoenholz, Kachman 2021, section 3", noise=0.02, samples=256)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("diameter",)

    def _start(self) -> Sequence[float]:
        return [0.7]

    def box(self, diameter: torch.Tensor) -> torch.Tensor:
        """Width of the box for diameters of any shape; same shape."""
        return torch.sqrt(self.discs / 2.0 * math.pi / 4.0 * (diameter.square() + 1.0) / self.packing)

    def initial_positions(self, diameter: torch.Tensor) -> torch.Tensor:
        """Random positions for diameters [batch], shape [batch, discs, 2]."""
        generator = torch.Generator().manual_seed(self.seed)
        shares = torch.rand(self.discs, 2, generator=generator, dtype=torch.float64, device="cpu").to(diameter)
        return self.box(diameter)[:, None, None] * shares

    def _pairs(
        self, positions: torch.Tensor, diameter: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Unit vectors from j to i [batch, i, j, 2], overlaps 1 - r/s where positive, and s [batch, i, j]."""
        half = torch.stack([diameter, torch.ones_like(diameter)], dim=-1).repeat_interleave(self.discs // 2, dim=-1) / 2
        reach = half[:, :, None] + half[:, None, :]
        width = self.box(diameter)[:, None, None, None]
        apart = positions[:, :, None] - positions[:, None, :]
        apart = apart - width * torch.round(apart / width).detach()
        own = torch.eye(self.discs, dtype=torch.bool, device=positions.device)
        distance = (apart.square().sum(-1) + own.to(apart)).sqrt()
        overlap = (1.0 - distance / reach).clamp_min(0.0).masked_fill(own, 0.0)
        return apart / distance[..., None], overlap, reach

    def forces(self, positions: torch.Tensor, diameter: torch.Tensor) -> torch.Tensor:
        """Minus the slope of the energy at positions [batch, discs, 2], same shape; diameters [batch]."""
        direction, overlap, reach = self._pairs(positions, diameter)
        return ((overlap / reach)[..., None] * direction).sum(2)

    def energy(self, positions: torch.Tensor, diameter: torch.Tensor) -> torch.Tensor:
        """Energy per disc [batch]."""
        return self._pairs(positions, diameter)[1].square().sum((1, 2)) / (4.0 * self.discs)

    def settle(self, diameter: torch.Tensor) -> torch.Tensor:
        """Positions after T steps for diameters [batch], shape [batch, discs, 2]."""
        positions = self.initial_positions(diameter)
        velocity = torch.zeros_like(positions)
        for _ in range(self.steps):
            positions, velocity = self._next(positions, velocity, diameter)
        return positions

    def _next(
        self, positions: torch.Tensor, velocity: torch.Tensor, diameter: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        velocity = self.momentum * velocity + self.rate * self.forces(positions, diameter)
        return positions + velocity, velocity

    def stepwise(self) -> UnrolledObjective:
        """The settling as an unrolled objective: state positions and velocities, a cost at the last step alone."""

        def start(theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
            positions = self.initial_positions(self._diameter(theta))
            return positions, torch.zeros_like(positions)

        def step(
            state: tuple[torch.Tensor, torch.Tensor], theta: torch.Tensor, t: int
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return self._next(*state, self._diameter(theta))

        def cost(
            state: tuple[torch.Tensor, ...], after: tuple[torch.Tensor, ...], theta: torch.Tensor, t: int
        ) -> torch.Tensor:
            diameter = self._diameter(theta)
            return self.energy(after[0], diameter) if t == self.steps - 1 else torch.zeros_like(diameter)

        return UnrolledObjective(start, step, cost, self.steps, self.name)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        diameter = self._diameter(theta)
        rows = diameter.reshape(-1)
        return self.energy(self.settle(rows), rows).reshape(diameter.shape)

    def _diameter(self, theta: torch.Tensor) -> torch.Tensor:
        diameter = self._check(theta)[..., 0]
        if bool((diameter.detach() <= 0.0).any()):
            raise TaskError(f"{self.name}: diameters must be positive; the least is {float(diameter.min()):.3g}")
        return diameter

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters], as numbers."""
        both = torch.func.jvp(self, (theta.detach(),), (torch.ones_like(theta),))
        value, gradient = numbers_only(GRADIENT_LIMITS, (both[0], both[1].unsqueeze(-1)), (theta,))
        return value, gradient
