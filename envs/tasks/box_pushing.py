"""Planar box pushing, the benchmark of iterative randomized-smoothing LQR."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ...sim import ModelBuilder, Recording, Simulator, State, Trajectory, record
from ..errors import TaskError
from ..planar import outline_at, planar_pose, wrap_angle
from ..stepwise import chunks, simulated_steps
from ..task import Task

__all__ = ["BoxPushing"]


@plain_numbers
class BoxPushing(Task):
    """Push a planar box of 1 m to a pose half a metre to the side and ahead, turned by 45 degrees; quasi-dynamic.

    The problem of Suh, Pang and Tedrake, "Bundled Gradients Through Contact via Randomized Smoothing" (2022): from the
    start the pusher is 10 cm away from the box, and its command stays there, so the exact gradient is zero.

    The parameters are the changes of the commanded pusher position in every step, x0, y0, x1, y1, ... [m], the command
    starting where the pusher does. They are meant to stay within ``parameter_bounds``; the objective itself accepts
    any, since smoothing looks beyond. The cost is, with e_t the error of the box's pose after t steps,

        sum over t < T of e_t' W e_t + final_factor e_T' W e_T,    W = diag(3 / m^2, 3 / m^2, 1.2 / rad^2)

    T = 40 and the factor 10 are the reading that gives the published cost of a box that never moves: (40 + 10) x
    2.24022 = 112.01. With 60 steps it would be 156.8. No weight on the controls is published; there is none.

    Body 0 is the box, which moves in the plane against joint damping; body 1 the pusher, a ball in the same plane.
    Not published, and chosen here: the pusher's mass and damping, such that it follows its command by 98 % in one step
    when free, and a contact stiffness that 100 N press in by a fifth of a millimetre.

    Args:
        T: Steps.
        step: Step size [s].
        goal: Goal pose of the box, x [m], y [m], yaw [rad].
        final_factor: Weight of the last state, in those of one state before.
        joint_damping: Damping of the box along x and y [N s/m] and about z [N m s/rad]; 0 for none.
        device: "cpu", "cuda:0", ...
        dtype: "float32" or "float64", the precision of the simulation.
        **options: Further options of the ``Simulator``.

    Raises:
        TaskError: An option out of range.
    """

    name: ClassVar[str] = "box_pushing"
    description: ClassVar[str] = "push a 1 m box in the plane from 10 cm away, as published for smoothed LQR; option: T"
    parameter_unit: ClassVar[str] = "m"
    smoothing_scale: ClassVar[float] = 0.02
    softened_shapes: ClassVar[tuple[str, ...]] = ("pusher",)
    softening_width: ClassVar[dict[str, float]] = {"softplus": 0.02, "log_barrier": 2e-3}

    box_half_extents = (0.5, 0.5, 0.5)
    """[m]"""
    box_mass = 5.0
    """[kg]"""
    box_start = (0.0, 0.5)
    """[m]"""
    pusher_start = (0.0, -0.2)
    """10 cm from the box's near face to the pusher's surface [m]."""
    pusher_radius = 0.1
    """[m]"""
    pusher_mass = 0.1
    """[kg]"""
    stiffness = 500.0
    """Stiffness of the pusher's position controller, per axis [N/m]."""
    friction = 0.5
    contact_stiffness = 1e6
    """Stiffness of both shapes [N/m]: what is derived from the masses would give way to the joint damping."""
    weights = (3.0, 3.0, 1.2)
    """Weights of squared errors in x, y [1/m^2] and yaw [1/rad^2]."""
    step_bound = 0.04
    """Largest change of the commanded position in one step, per axis [m]."""

    def __init__(
        self,
        *,
        T: int = 40,
        step: float = 0.1,
        goal: tuple[float, float, float] = (0.5, 1.0, -math.pi / 4),
        final_factor: float = 10.0,
        joint_damping: float = 100.0,
        device: str = "cpu",
        dtype: str = "float32",
        **options: object,
    ):
        if isinstance(T, bool) or not isinstance(T, int) or T < 1:
            raise TaskError(f"{self.name}: T must be an integer of at least 1, got {T!r}")
        if len(goal) != 3 or not all(map(math.isfinite, goal)):
            raise TaskError(f"{self.name}: goal must be three finite numbers x [m], y [m], yaw [rad], got {goal}")
        if not (math.isfinite(final_factor) and final_factor >= 0.0):
            raise TaskError(f"{self.name}: final_factor must be finite and not negative, got {final_factor}")
        if not (math.isfinite(joint_damping) and joint_damping >= 0.0):
            raise TaskError(f"{self.name}: joint_damping must be finite and not negative, got {joint_damping}")
        self.steps, self.goal, self.final_factor = T, goal, final_factor
        self.joint_damping = joint_damping
        """Damping of the box along x and y [N s/m] and about z [N m s/rad]."""
        self.model = self._scene().finalize(device=device, dtype=dtype)
        settings: dict[str, object] = {"quasi_dynamic": True} | options
        self.simulator = Simulator(self.model, step=step, **settings)
        self.device, self.dtype = self.model.device, self.model.dtype
        self.parameter_names = tuple(f"d{axis}{i}" for i in range(T) for axis in "xy")
        self.parameter_bounds = (-self.step_bound, self.step_bound)
        """Bounds of every parameter [m]."""

    def _scene(self) -> ModelBuilder:
        builder = ModelBuilder(gravity=(0.0, 0.0, 0.0))
        planar = ("z", "rx", "ry")
        surface = {"friction": self.friction, "stiffness": self.contact_stiffness}
        box = builder.add_body(position=(*self.box_start, 0.0), mass=self.box_mass, locked=planar, name="box")
        builder.add_box(box, self.box_half_extents, name="box", **surface)
        pusher = builder.add_body(
            position=(*self.pusher_start, 0.0), mass=self.pusher_mass, locked=("z", "angular"), name="pusher"
        )
        builder.add_sphere(pusher, self.pusher_radius, name="pusher", **surface)
        for axis in "xy":
            builder.add_actuator(pusher, axis, "position", stiffness=self.stiffness)
        for axis in ("x", "y", "rz") if self.joint_damping else ():
            builder.add_actuator(box, axis, "velocity", damping=self.joint_damping)
        return builder

    def initial_parameters(self) -> torch.Tensor:
        """A command that stays where it is, [2 T]."""
        return torch.zeros(2 * self.steps, dtype=self.dtype, device=self.device)

    def way_points(self, theta: torch.Tensor) -> torch.Tensor:
        """Commanded positions after each step, [batch, T, 2] [m]."""
        changes = theta.reshape(*theta.shape[:-1], self.steps, 2)
        return changes.new_tensor(self.pusher_start) + changes.cumsum(dim=-2)

    def full_control(self, command: torch.Tensor) -> torch.Tensor:
        """Controls [..., 5] of commanded positions [..., 2] [m]: zero for the joint dampers (none: [..., 2])."""
        dampers = self.model.actuators - 2
        return torch.cat([command, command.new_zeros(*command.shape[:-1], dampers)], dim=-1)

    def controls(self, theta: torch.Tensor) -> torch.Tensor:
        """Controls at every step, [T, batch, 5]: commanded positions [m], and zero velocities of the box."""
        return self.full_control(self.way_points(theta).transpose(0, 1))

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated push: body 0 is the box, body 1 the pusher. ``theta`` is [batch, 2 T]."""
        theta = self.check(theta)
        return self.simulator.rollout(self.model.state(theta.shape[0]), self.controls(theta), record=record)

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces of the push; a world for each row of ``theta`` [batch, 2 T]."""
        theta = self.check(theta)
        return record(self.simulator, self.rollout(theta), self.controls(theta))

    body_colors: ClassVar[dict[str, str]] = {"box": "#D2BC94"}
    """Colours for pictures: its joint dampers do not make the box a driven body."""

    @property
    def outline(self) -> list[tuple[float, float]]:
        """Corners of the box in its own frame, from above [m]."""
        a, b, _ = self.box_half_extents
        return [(-a, -b), (a, -b), (a, b), (-a, b)]

    @property
    def goal_outline(self) -> list[tuple[float, float]]:
        """Corners of the box at the goal pose, from above [m]."""
        return outline_at(self.outline, self.goal)

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Poses of the box x [m], y [m], yaw [rad] in the states 0 to T, one after the other; [batch, 3 (T + 1)]."""
        path = self.rollout(theta).body_q
        assert path is not None
        return planar_pose(path[:, :, 0]).transpose(0, 1).flatten(1)

    def state_cost(self, pose: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
        """Weighted square e' W e [...] of the box's poses and goals [..., 3]."""
        error = pose - goal
        error = torch.cat([error[..., :2], wrap_angle(error[..., 2:])], dim=-1)
        return (error.new_tensor(self.weights) * error.square()).sum(-1)

    def stepwise(self) -> UnrolledObjective:
        """The push as an unrolled objective, a step of the simulator a step of it: every one has its cost."""

        def state_cost(state: State) -> torch.Tensor:
            return self.state_cost(planar_pose(state.body_q[:, 0]), state.body_q.new_tensor(self.goal))

        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            chunks(self.name, self.steps, 1),
            start=lambda theta: self.model.state(len(theta)),
            cost=lambda theta, final: self.final_factor * state_cost(final),
            controls=lambda theta: self.controls(self.check(theta)),
            running_cost=lambda theta, state: state_cost(state),
        )

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of ``outputs`` [batch, 3 (T + 1)]."""
        costs = self.state_cost(outputs.unflatten(1, (self.steps + 1, 3)), outputs.new_tensor(self.goal))
        return costs[:, :-1].sum(dim=1) + self.final_factor * costs[:, -1]
