"""First collisions whose gradient a fixed step gets wrong: a bounce, and a disc that hits a disc.

Both come in two methods. ``"time_of_impact"`` places the collision where it happens: its gradient is the motion's.
``"fixed_step"`` lets it happen at the first step that finds it, as many engines do: the final state then jumps each
time the collision moves to another step, and the exact gradient, blind to these jumps, may have the wrong sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...plain import plain_numbers
from ..errors import TaskError
from .normal import cdf, density, ramp
from .testbed import Experiment, Scale, Testbed, check_choice, check_count, check_positive

__all__ = ["Bounce", "TwoDiscs"]

METHODS = ("time_of_impact", "fixed_step")


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Bounce(Testbed):
    """A point flies down at 2 m/s, bounces elastically off the ground at 0.1 m, without gravity: its final height.

    With a bounce the derivative of the final height y_T in the initial one y is -1, without +1. With d the distance
    of a step, T steps and z = y - ground:

    * ``"time_of_impact"``: y_T = ground + |z - T d|; smoothed ground + E|z - T d + scale w|.
    * ``"fixed_step"``: y_T = y + T d - 2 d n, n the number of steps before the turn, one for each k < T with
      z >= k d. The exact gradient is +1 everywhere; smoothed, each jump adds its density, and the slope is -1 again.
    """

    name: ClassVar[str] = "bounce"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "final height of a bouncing point; with method=fixed_step the gradient's sign is wrong"

    method: str = "time_of_impact"
    """``"time_of_impact"`` or ``"fixed_step"``."""
    speed: float = 2.0
    """Downwards at the start [m/s]."""
    ground: float = 0.1
    """Height of the ground [m]."""
    step: float = 0.002
    """Step size [s]."""
    steps: int = 204
    """Steps T."""

    def __post_init__(self) -> None:
        check_choice(self.name, "method", self.method, METHODS)
        check_positive(self.name, speed=self.speed, step=self.step)
        check_count(self.name, steps=self.steps)

    @property
    def experiment(self) -> Experiment:
        """Noise and samples of our own: the paper draws the derivative over the initial height."""
        return Experiment(source="Hu et al. 2020 (DiffTaichi), section 4, rigid bodies", noise=0.01, samples=100)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("height",)

    def _start(self) -> Sequence[float]:
        return [0.6]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Final heights [m] of theta [batch, parameters], shape [batch]."""
        y = self._check(theta)[..., 0]
        fall = self.speed * self.step
        down = torch.ones_like(y, dtype=torch.bool)
        for _ in range(self.steps):
            if self.method == "fixed_step":
                down = down & (y.detach() >= self.ground)
                y = torch.where(down, y - fall, y + fall)
                continue
            # the point is y - ground above the ground when it turns, and goes the rest of the step upwards
            turns = down & (y.detach() - fall < self.ground)
            y = torch.where(turns, 2.0 * self.ground - (y - fall), torch.where(down, y - fall, y + fall))
            down = down & ~turns
        return y

    def _smoothed(self, theta: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        sigma = self._scales(self._check(theta), scale)[0]
        fall = self.speed * self.step
        z = theta[..., 0] - self.ground
        if self.method == "time_of_impact":
            left = z - self.steps * fall
            return self.ground + ramp(left, sigma) + ramp(-left, sigma), 2.0 * cdf(left / sigma) - 1.0
        jumps = fall * torch.arange(self.steps, dtype=theta.dtype, device=theta.device)
        w = (z[..., None] - jumps) / sigma
        value = theta[..., 0] + fall * (self.steps - 2.0 * cdf(w).sum(-1))
        return value, 1.0 - 2.0 * fall * density(w).sum(-1) / sigma

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]; for starts above the ground, noise included."""
        return self._smoothed(theta, scale)[0]

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        return self._smoothed(theta, scale)[1].unsqueeze(-1)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class TwoDiscs(Testbed):
    """A constant force on one disc at rest drives it into another; cost: where the other ends, and the effort.

    Discs of 1 kg and radius r, elastic and without friction. Disc 1 starts from rest at x1 with the force u, the
    parameters [N]; disc 2 rests at x2. The cost is |x2(T) - target|^2 + effort |u|^2. With gap d = x2 - x1 the discs
    meet when |d - u t^2/2| = 2 r, a quadratic in t^2; disc 2 leaves along the normal n with speed n.u t, and
    ``"time_of_impact"`` is this formula. ``"fixed_step"`` is semi-implicit Euler with an impulse at the first step
    whose end would overlap; its normal and its time are those of that step. Disc 1 would catch up at three times the
    time of impact at the earliest: forces for which that is within T are refused.
    """

    name: ClassVar[str] = "two_discs"
    parameter_unit: ClassVar[str] = "N"
    description: ClassVar[str] = "a driven disc hits a disc; with method=fixed_step the gradient is wrong"

    method: str = "time_of_impact"
    """``"time_of_impact"`` or ``"fixed_step"``."""
    radius: float = 0.2
    """Radius of both discs r [m]."""
    positions: tuple[tuple[float, float], tuple[float, float]] = ((-2.0, -2.0), (-1.0, -1.0))
    """Centres of the discs at the start [m]."""
    target: tuple[float, float] = (0.0, 0.0)
    """Goal of disc 2 [m]."""
    duration: float = 1.0
    """Time T [s]."""
    steps: int = 480
    """Steps of ``"fixed_step"``."""
    effort: float = 0.01
    """Weight of |u|^2."""

    def __post_init__(self) -> None:
        check_choice(self.name, "method", self.method, METHODS)
        check_positive(self.name, radius=self.radius, duration=self.duration)
        check_count(self.name, steps=self.steps)
        (ax, ay), (bx, by) = self.positions
        if (ax - bx) ** 2 + (ay - by) ** 2 <= (2.0 * self.radius) ** 2:
            raise TaskError(f"{self.name}: the discs overlap at the start: move them apart by more than two radii")

    @property
    def experiment(self) -> Experiment:
        """Noise and samples of our own: the paper optimizes a force for every step, without noise."""
        return Experiment(source="Zhong, Han, Brikis 2023, two balls", noise=0.1, samples=100)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("force_x", "force_y")

    def _start(self) -> Sequence[float]:
        return [3.2, 2.9]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        run = self._by_formula if self.method == "time_of_impact" else self._by_steps
        end = run(self._check(theta))
        target = torch.tensor(self.target, dtype=theta.dtype, device=theta.device)
        return (end - target).square().sum(-1) + self.effort * theta.square().sum(-1)

    def _by_formula(self, u: torch.Tensor) -> torch.Tensor:
        """Final position of disc 2, [batch, 2]."""
        first, second = torch.tensor(self.positions, dtype=u.dtype, device=u.device)
        gap = second - first
        along, square = u @ gap, u.square().sum(-1)
        inside = along.square() - square * (gap.square().sum() - (2.0 * self.radius) ** 2)
        hits = (inside > 0.0) & (along > 0.0)
        root = torch.where(hits, inside, torch.ones_like(inside)).sqrt()
        half = torch.where(hits, (along - root) / torch.where(hits, square, torch.ones_like(square)), 1.0)  # t^2 / 2
        time = (2.0 * half).sqrt()
        hits = hits & (time < self.duration)
        if bool((hits & (3.0 * time <= self.duration)).any()):
            raise TaskError(
                f"{self.name}: a force of {float(square[hits].max()) ** 0.5:.3g} N may bring a second collision within "
                f"{self.duration:g} s, which the formula does not have: use a smaller force or a shorter duration"
            )
        normal = (gap - u * half[..., None]) / (2.0 * self.radius)
        speed = (u * normal).sum(-1) * time
        moved = normal * (speed * (self.duration - time))[..., None]
        return second + torch.where(hits[..., None], moved, torch.zeros_like(moved))

    def _by_steps(self, u: torch.Tensor) -> torch.Tensor:
        """Final position of disc 2, [batch, 2]."""
        h = self.duration / self.steps
        first, second = torch.tensor(self.positions, dtype=u.dtype, device=u.device)
        x1, x2 = first.expand(u.shape), second.expand(u.shape)
        v1, v2 = torch.zeros_like(u), torch.zeros_like(u)
        for _ in range(self.steps):
            v1 = v1 + h * u
            apart = x2 + h * v2 - x1 - h * v1
            distance = apart.norm(dim=-1, keepdim=True)
            closing = ((v1 - v2) * apart).sum(-1, keepdim=True) / distance
            hit = (distance.detach() < 2.0 * self.radius) & (closing.detach() > 0.0)
            exchange = torch.where(hit, closing * apart / distance, torch.zeros_like(apart))
            v1, v2 = v1 - exchange, v2 + exchange
            x1, x2 = x1 + h * v1, x2 + h * v2
        return x2
