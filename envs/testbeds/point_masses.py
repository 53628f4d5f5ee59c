"""Two point masses on a line, the first driven: through a spring ("curling"), its stiffness sweep, and by friction.

The state is (x1, x2, v1, v2), the parameters are the forces u_0 ... u_(T-1) on the first mass. Semi-implicit Euler:
v+ = damping v + h/m f(x, v), x+ = x + h v+. The cost is the sum over t < T of (x_t - goal)^T Q (x_t - goal) + u_t^2,
plus (x_T - goal)^T Q (x_T - goal), with Q = diag(0.1, 10, 0.1, 0.1) (Suh, Simchowitz, Zhang, Tedrake 2022, section 5).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ..errors import TaskError
from .testbed import Experiment, Testbed, check_count, check_positive

__all__ = ["Curling", "DragByFriction", "StiffCurling", "StiffnessSweep"]

_SOURCE = "Suh, Simchowitz, Zhang, Tedrake 2022"
_WEIGHTS = (0.1, 10.0, 0.1, 0.1)


class _TwoMasses(Testbed):
    """Rollout and cost; a subclass gives the force between the masses."""

    parameter_unit: ClassVar[str] = "N"
    start_state: ClassVar[tuple[float, float, float, float]]
    """(x1 [m], x2 [m], v1 [m/s], v2 [m/s]) at the start."""
    goal_state: ClassVar[tuple[float, float, float, float]]
    """(x1 [m], x2 [m], v1 [m/s], v2 [m/s]) wanted, at every step."""
    start_force: ClassVar[float]
    """Force to start from, at every step [N]."""

    mass: float
    step: float
    steps: int
    damping: float

    def _check_options(self) -> None:
        check_positive(self.name, mass=self.mass, step=self.step)
        check_count(self.name, steps=self.steps)
        if not 0.0 <= self.damping <= 1.0:
            raise TaskError(f"{self.name}: damping is {self.damping}: give a factor from 0 to 1 (1: no damping)")

    @abstractmethod
    def _force(self, gap: torch.Tensor, v1: torch.Tensor, v2: torch.Tensor) -> torch.Tensor:
        """Force on the second mass [N]; the first gets the opposite."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(f"u{t}" for t in range(self.steps))

    def _start(self) -> Sequence[float]:
        return [self.start_force] * self.steps

    def trajectory(self, theta: torch.Tensor) -> torch.Tensor:
        """States (x1, x2, v1, v2) of forces theta [batch, steps], shape [steps + 1, 4, batch]."""
        x1, x2, v1, v2 = (torch.full_like(self._check(theta)[..., 0], number) for number in self.start_state)
        states = [x1, x2, v1, v2]
        for u in theta.unbind(-1):
            x1, x2, v1, v2 = self._next(x1, x2, v1, v2, u)
            states += [x1, x2, v1, v2]
        return torch.stack(states).unflatten(0, (self.steps + 1, 4))

    def _next(
        self, x1: torch.Tensor, x2: torch.Tensor, v1: torch.Tensor, v2: torch.Tensor, u: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The state after a step under the force u."""
        gain = self.step / self.mass
        force = self._force(x2 - x1, v1, v2)
        v1 = self.damping * v1 + gain * (u - force)
        v2 = self.damping * v2 + gain * force
        return x1 + self.step * v1, x2 + self.step * v2, v1, v2

    def stepwise(self) -> UnrolledObjective:
        """The motion as an unrolled objective: state (x1, x2, v1, v2), at each step the cost of the state before it."""

        def start(theta: torch.Tensor) -> torch.Tensor:
            return theta.new_tensor(self.start_state).expand(len(self._check(theta)), -1)

        def step(x: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            x1, x2, v1, v2 = x.unbind(1)
            return torch.stack(self._next(x1, x2, v1, v2, theta[:, t]), dim=1)

        def cost(x: torch.Tensor, after: torch.Tensor, theta: torch.Tensor, t: int) -> torch.Tensor:
            running = self._error(x) + theta[:, t].square()
            return running + self._error(after) if t == self.steps - 1 else running

        return UnrolledObjective(start, step, cost, self.steps, self.name)

    def _error(self, states: torch.Tensor) -> torch.Tensor:
        """Weighted squares [...] of the distance of states [..., 4] from the goal."""
        errors = states - states.new_tensor(self.goal_state)
        return (errors.square() * states.new_tensor(_WEIGHTS)).sum(-1)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        states = self.trajectory(theta).movedim((0, 1), (-2, -1))
        return self._error(states).sum(-1) + theta.square().sum(-1)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class Curling(_TwoMasses):
    """Push a mass that is out of reach by pushing one that repels it, through a spring.

    While the masses are closer than 1 m they repel each other with stiffness k. Soft (k = 10): the first order has
    the smaller variance. Stiff (``StiffCurling``, k = 1000): its variance is larger, and the zeroth order's stays.
    ``softening`` replaces max(z, 0) in the spring by softplus of that width [m], a force that acts before contact.
    """

    name: ClassVar[str] = "curling"
    description: ClassVar[str] = "push a mass through a soft spring, 400 forces: the first order has the less variance"
    start_state = (0.0, 1.0, 0.0, 0.0)
    goal_state = (1.0, 2.0, 0.0, 0.0)
    start_force = 0.1

    stiffness: float = 10.0
    """Stiffness of the spring k [N/m]."""
    steps: int = 400
    """Steps T."""
    damping: float = 0.998
    """Factor on both velocities, each step."""
    step: float = 0.005
    """Step size h [s]."""
    mass: float = 0.1
    """Mass of each of the two [kg]."""
    softening: float | None = None
    """Width of softplus contact [m]; None for hard contact."""

    def __post_init__(self) -> None:
        self._check_options()
        check_positive(self.name, stiffness=self.stiffness)
        if self.softening is not None:
            check_positive(self.name, softening=self.softening)

    stiffness_range: ClassVar[tuple[float, float]] = (1.0, 1e5)
    """Range of the stiffness of the spring, from almost none to an explicit step that is unstable in contact [N/m]."""

    def at_stiffness(self, stiffness: float) -> Curling:
        """The problem with another spring."""
        return replace(self, stiffness=stiffness)

    @property
    def experiment(self) -> Experiment:
        """The published settings."""
        return Experiment(
            source=f"{_SOURCE}, section 5, pushing with stiffness {self.stiffness:g}",
            noise=0.1,
            samples=10,
            learning_rate=1e-3,
            iterations=500,
            tolerance=1e8,
            sample_bound=100.0,
        )

    def _force(self, gap: torch.Tensor, v1: torch.Tensor, v2: torch.Tensor) -> torch.Tensor:
        if self.softening is None:
            return self.stiffness * (1.0 - gap).clamp_min(0.0)
        width = self.softening
        return self.stiffness * width * torch.logaddexp((1.0 - gap) / width, torch.zeros_like(gap))


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class StiffCurling(Curling):
    """``Curling`` with the stiff spring of the paper, k = 1000, over 200 steps."""

    name: ClassVar[str] = "curling_stiff"
    description: ClassVar[str] = "push a mass through a stiff spring, 200 forces: the first order's variance explodes"

    stiffness: float = 1000.0
    steps: int = 200
    damping: float = 0.99


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class StiffnessSweep(Curling):
    """``Curling`` over 30 steps with strong damping, to vary ``stiffness`` from 1 to 1e5, and ``softening``.

    Above 4 m_eff/h^2 = 8,000 N/m the spring turns a small difference into a larger one within a step (the explicit
    step is unstable while in contact): the variance of the first order is then larger by many decades, that of the
    zeroth is not. A softening of a centimetre takes this away.
    """

    name: ClassVar[str] = "stiffness_sweep"
    description: ClassVar[str] = (
        "an impact over 30 steps, stiffness 1 to 1e5: variance of both orders against stiffness"
    )

    stiffness: float = 1000.0
    steps: int = 30
    damping: float = 0.6

    @property
    def experiment(self) -> Experiment:
        """The published settings."""
        return Experiment(source=f"{_SOURCE}, section 4, stiffness and variance", noise=0.3, samples=1000)


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class DragByFriction(_TwoMasses):
    """Drag a mass along by friction: a plate under it, that loses it when it runs ahead by more than its width.

    While |x2 - x1| < width the first drags the second with mu clamp(v1 - v2, -vs, vs). The exact gradient saturates
    with the clamp, and does not contain the loss of contact, where the cost jumps in slope and the force in size.
    """

    name: ClassVar[str] = "friction"
    description: ClassVar[str] = "drag a mass by friction, 400 forces: saturates, and is lost when the plate runs ahead"
    start_state = (0.0, 0.0, 0.0, 0.0)
    goal_state = (2.0, 2.0, 0.0, 0.0)
    start_force = 0.0

    friction: float = 1.8
    """Slope of the friction force mu [N s/m]."""
    slip_speed: float = 0.1
    """Relative speed at which the force saturates vs [m/s]."""
    width: float = 0.1
    """Distance below which the masses touch [m]."""
    steps: int = 400
    """Steps T."""
    damping: float = 1.0
    """Factor on both velocities, each step."""
    step: float = 0.005
    """Step size h [s]."""
    mass: float = 0.1
    """Mass of each of the two [kg]."""

    def __post_init__(self) -> None:
        self._check_options()
        check_positive(self.name, friction=self.friction, slip_speed=self.slip_speed, width=self.width)

    @property
    def experiment(self) -> Experiment:
        """The published settings."""
        return Experiment(
            source=f"{_SOURCE}, section 5, friction",
            noise=0.1,
            samples=10,
            learning_rate=1e-4,
            iterations=100,
            tolerance=2e4,
            sample_bound=100.0,
        )

    def _force(self, gap: torch.Tensor, v1: torch.Tensor, v2: torch.Tensor) -> torch.Tensor:
        touching = (gap.detach().abs() < self.width).to(gap)
        return self.friction * touching * (v1 - v2).clamp(-self.slip_speed, self.slip_speed)
