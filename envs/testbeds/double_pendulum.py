"""A chaotic double pendulum: the variance of the exact gradient grows exponentially with the horizon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...gradients.diagnosis import TorchSteps
from ...plain import plain_numbers
from .testbed import Experiment, Testbed, check_count, check_positive

__all__ = ["DoublePendulum"]

_WEIGHTS = (1.0, 1.0, 0.1, 0.1)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class DoublePendulum(Testbed):
    """Two point masses on massless rods, angles q1, q2 from straight down; the parameters are the start (q, q dot).

    Standard equations of motion by semi-implicit Euler (q dot first). The cost is the squared distance from upright
    and at rest, weights (1, 1, 0.1, 0.1), summed over the steps before the last, and 2,000 times the same at the last;
    angles count modulo 2 pi, which leaves the cost continuous, with a kink where a rod hangs straight down.

    The authors' published program has other equations (a q1 where the speed of q1 belongs, and a misplaced bracket);
    these are the textbook's.
    """

    name: ClassVar[str] = "double_pendulum"
    description: ClassVar[str] = "a chaotic double pendulum: variance of the first order grows with the horizon"

    steps: int = 500
    """Steps T; the paper goes up to 2,000."""
    step: float = 0.001
    """Step size h [s]."""
    mass: float = 0.1
    """Mass of each bob [kg]; the motion does not depend on it."""
    length: float = 1.0
    """Length of each rod [m]."""
    gravity: float = 9.81
    """Gravity [m/s^2]."""
    final_weight: float = 2000.0
    """Weight of the last state's term."""

    def __post_init__(self) -> None:
        check_count(self.name, steps=self.steps)
        check_positive(self.name, step=self.step, mass=self.mass, length=self.length, gravity=self.gravity)

    @property
    def experiment(self) -> Experiment:
        """The published settings; the paper measures variances only."""
        return Experiment(
            source="Suh, Simchowitz, Zhang, Tedrake 2022, section 4, chaos",
            noise=0.5,
            samples=100,
        )

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("angle1", "angle2", "speed1", "speed2")

    def _start(self) -> Sequence[float]:
        return [math.pi / 2.0, 0.0, 5.0, -5.0]

    def acceleration(
        self, q1: torch.Tensor, q2: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Angular accelerations [rad/s^2] of the two rods for equal masses and lengths."""
        s, c = torch.sin(q1 - q2), torch.cos(q1 - q2)
        g = self.gravity / self.length
        square1, square2 = w1 * w1, w2 * w2
        share = 1.0 / (2.0 + 2.0 * s * s)
        a1 = -share * (3.0 * g * torch.sin(q1) + g * torch.sin(q1 - 2.0 * q2) + 2.0 * s * (square2 + square1 * c))
        a2 = share * 2.0 * s * (2.0 * square1 + 2.0 * g * torch.cos(q1) + square2 * c)
        return a1, a2

    def trajectory(self, theta: torch.Tensor) -> torch.Tensor:
        """States (q1, q2, w1, w2) from theta [batch, 4], shape [steps + 1, 4, batch]; angles are not wrapped."""
        state = self._check(theta).unbind(-1)
        states = [*state]
        for _ in range(self.steps):
            state = self._next(*state)
            states += state
        return torch.stack(states).unflatten(0, (self.steps + 1, 4))

    def _next(self, q1: torch.Tensor, q2: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The state after a step."""
        a1, a2 = self.acceleration(q1, q2, w1, w2)
        w1 = w1 + self.step * a1
        w2 = w2 + self.step * a2
        q1 = q1 + self.step * w1
        q2 = q2 + self.step * w2
        return q1, q2, w1, w2

    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """Kinetic and potential energy [J] of states [..., 4, batch], shape [..., batch]."""
        q1, q2, w1, w2 = states.unbind(-2)
        kinetic = w1.square() + 0.5 * w2.square() + w1 * w2 * torch.cos(q1 - q2)
        height = -2.0 * torch.cos(q1) - torch.cos(q2)
        return self.mass * self.length * (self.length * kinetic + self.gravity * height)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return self._cost(self.trajectory(theta))

    def at_horizon(self, steps: int) -> DoublePendulum:
        """The pendulum with another T."""
        return replace(self, steps=steps)

    def unroll(self, theta: torch.Tensor) -> TorchSteps:
        """The motion step by step, from one theta [1, 4]."""
        one = replace(self, steps=1)
        return TorchSteps(
            lambda x, _: one.trajectory(x[None])[-1, :, 0],
            theta[0],
            self.steps,
            lambda states: self._cost(states[..., None]),
            self.step,
        )

    def stepwise(self) -> UnrolledObjective:
        """The motion as an unrolled objective: state (q1, q2, w1, w2), at each step the cost of the state before it."""

        def step(x: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            return torch.stack(self._next(*x.unbind(1)), dim=1)

        def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            running = self._terms(x)
            return running + self.final_weight * self._terms(after) if t == self.steps - 1 else running

        return UnrolledObjective(self._check, step, cost, self.steps, self.name)

    def _cost(self, states: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of states [steps + 1, 4, batch]."""
        terms = self._terms(states.movedim(1, -1))
        return terms[:-1].sum(0) + self.final_weight * terms[-1]

    @staticmethod
    def _terms(states: torch.Tensor) -> torch.Tensor:
        """Weighted squares [...] of the distance of states [..., 4] from upright and at rest."""
        angles, speeds = states[..., :2], states[..., 2:]
        # torch.remainder has the slope 1 almost everywhere
        errors = torch.cat([torch.remainder(angles, 2.0 * math.pi) - math.pi, speeds], dim=-1)
        weights = torch.tensor(_WEIGHTS, dtype=states.dtype, device=states.device)
        return (errors.square() * weights).sum(-1)
