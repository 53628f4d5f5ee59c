"""A break shot: a cue ball into a triangle of balls, and a gradient that grows with every collision."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ...sim import ModelBuilder, Recording, Simulator, State, Trajectory, record
from ..errors import TaskError
from ..stepwise import EVERY, chunks, simulated_steps
from ..task import Task

__all__ = ["Billiards"]


@plain_numbers
class Billiards(Task):
    """Break a triangle of balls so that one ball of its last row ends at a goal.

    The parameters are the cue ball's start x, y [m] and velocity vx, vy [m/s]. Balls slide on the table without
    friction or spin and bounce off each other with a restitution of 0.95; there are no cushions. The cost is the
    squared distance of the target ball from the goal, over 10 cm. (After the billiards of Hu et al. 2020,
    "DiffTaichi".) Each collision of round bodies multiplies a small error of direction by about the distance travelled
    over the radius, so the exact gradient is of use for a few collisions only: look at the Lyapunov exponent. The
    normal of an impact is that at the start of its step, so outcomes depend on the step: 5 mm of travel at 1 m/s.

    Args:
        rows: Rows of the triangle; 5 are 15 balls.
        device: "cpu", "cuda:0", ...
        dtype: "float32" or "float64", the precision of the simulation.
        duration: Seconds simulated.
        step: Step size [s].
        gap: Distance between neighbours in the triangle [m].
        **options: Further options of the ``Simulator``.
    """

    name: ClassVar[str] = "billiards"
    description: ClassVar[str] = "a break shot: the gradient grows with every collision"
    parameter_unit: ClassVar[str] = ""
    parameter_names = ("x", "y", "vx", "vy")
    smoothing_scale = 0.01

    radius = 0.0286
    """[m]"""
    mass = 0.17
    """[kg]"""
    restitution = 0.95
    length_scale = 0.1
    """Length that counts as 1 in the cost [m]."""
    clearance = 0.06
    """Least distance between cue ball and triangle at the start [m]: room for noise on the position."""

    def __init__(
        self,
        *,
        rows: int = 4,
        device: str = "cpu",
        dtype: str = "float32",
        duration: float = 1.0,
        step: float = 0.005,
        gap: float = 0.001,
        **options: object,
    ):
        if rows < 1:
            raise TaskError(f"{self.name}: rows must be at least 1, got {rows}")
        if not (math.isfinite(duration) and duration >= step > 0.0):
            raise TaskError(f"{self.name}: duration must be at least one step [s], got {duration} with step {step}")
        if not (math.isfinite(gap) and gap >= 0.0):
            raise TaskError(f"{self.name}: gap must be 0 or more [m], got {gap}")
        self.steps = round(duration / step)
        self.rows = rows
        pitch = 2.0 * self.radius + gap
        self.rack = [
            (row * pitch * math.sqrt(0.75), (i - 0.5 * row) * pitch) for row in range(rows) for i in range(row + 1)
        ]
        """Centres of the balls of the triangle, the apex at the origin [m]."""
        self.target = len(self.rack) - rows // 2
        """Number of the body whose end counts: near the middle of the last row; body 0 is the cue ball."""
        x, y = self.rack[self.target - 1]
        self.goal = (x + 0.2, y + 0.05)
        """Goal of the target ball [m]."""
        self.model = self._scene().finalize(device=device, dtype=dtype)
        self.simulator = Simulator(self.model, step=step, **options)
        self.device, self.dtype = self.model.device, self.model.dtype
        self.landscape_axes = (1, 3)
        beyond = 2.0 * self.radius + self.clearance
        self.parameter_bounds = ((-math.inf,) * 4, (-beyond, math.inf, math.inf, math.inf))
        """Bounds of the parameters: the cue ball starts in front of the triangle, for it cannot start within a ball."""

    def _scene(self) -> ModelBuilder:
        builder = ModelBuilder(gravity=(0.0, 0.0, 0.0))
        for number, (x, y) in enumerate([(-0.2, 0.0), *self.rack]):
            name = f"ball{number}" if number else "cue"
            ball = builder.add_body(position=(x, y, self.radius), mass=self.mass, locked=("z", "angular"), name=name)
            builder.add_sphere(ball, self.radius, friction=0.0, restitution=self.restitution, name=name)
        return builder

    def initial_parameters(self) -> torch.Tensor:
        """Start 20 cm in front of the triangle, 1 m/s towards a point a little off its middle, [4]."""
        return torch.tensor([-0.2, 0.004, 1.0, 0.0], dtype=self.dtype, device=self.device)

    def at_horizon(self, steps: int) -> Billiards:
        """The shot with its cost taken after so many steps."""
        if not 1 <= steps <= self.steps:
            raise TaskError(f"{self.name}: the horizon must be 1 to {self.steps} steps, got {steps}")
        shorter: Billiards = self.variant()
        shorter.steps = steps
        return shorter

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated shot; body 0 is the cue ball. ``theta`` is [batch, 4]."""
        return self.simulator.rollout(self._first_state(self.check(theta)), steps=self.steps, record=record)

    def stepwise(self, every: int = EVERY) -> UnrolledObjective:
        """The shot as an unrolled objective; ``every`` steps of the simulator make one step of it."""
        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            chunks(self.name, self.steps, every),
            start=lambda theta: self._first_state(self.check(theta)),
            cost=lambda theta, final: self.loss(final.body_q[:, self.target, :2]),
        )

    def _first_state(self, theta: torch.Tensor) -> State:
        state = self.model.state(theta.shape[0])
        q, v = state.body_q, state.body_v
        cue_q = torch.cat([theta[:, :2], q[:, 0, 2:]], dim=1)[:, None]
        cue_v = torch.cat([theta[:, 2:], v[:, 0, 2:]], dim=1)[:, None]
        return State(torch.cat([cue_q, q[:, 1:]], dim=1), torch.cat([cue_v, v[:, 1:]], dim=1))

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces of the shot; a world for each row of ``theta`` [batch, 4]."""
        return record(self.simulator, self.rollout(self.check(theta)))

    @property
    def goal_outline(self) -> list[tuple[float, float]]:
        """The target ball's outline at its goal, from above [m]."""
        (x, y), r = self.goal, self.radius
        turn = [2.0 * math.pi * i / 32 for i in range(32)]
        return [(x + r * math.cos(a), y + r * math.sin(a)) for a in turn]

    @property
    def body_colors(self) -> dict[str, str]:
        """Colours for pictures, by the body's name: the cue ball white, the target ball as its goal."""
        return {"cue": "#F4F4F2", f"ball{self.target}": "#D9BC1E"}

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Final position of the target ball x, y [m], [batch, 2]."""
        return self.rollout(theta, record=False).final.body_q[:, self.target, :2]

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of ``outputs`` [batch, 2]."""
        goal = torch.tensor(self.goal, dtype=outputs.dtype, device=outputs.device)
        return ((outputs - goal) / self.length_scale).square().sum(-1)
