"""A contact rollout with a jump: a flat pusher passes a box's corner, and hits it or misses it."""

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

__all__ = ["CornerPush"]


@plain_numbers
class CornerPush(Task):
    """A flat pusher moves straight on beside a box of 10 cm and may catch its corner.

    The parameters are the pusher's lateral offset y and the length of its stroke x [m]; 7 cm of offset is where the
    faces just miss each other. A pusher that catches the corner turns the box into its own way and carries it along;
    one that passes a hair further out does not touch it. So the cost, the distance of the box from where it stood over
    10 cm (squared; the box is to be left alone), jumps at the corner: the exact gradient is blind to that, and the
    first order over noise too.

    The jump is not quite at 7 cm: a step detects the corners ahead of it along the line that joins them, so a pusher
    that covers 0.8 mm a step still catches a corner that it would clear by 0.1 mm. ``events`` therefore asks the
    rollout whether the box was moved, not the geometry whether it should be.

    Args:
        device: "cpu", "cuda:0", ...
        dtype: "float32" or "float64", the precision of the simulation.
        duration: Seconds simulated; the stroke takes three quarters of it.
        step: Step size [s].
        **options: Further options of the ``Simulator``.
    """

    name: ClassVar[str] = "corner_push"
    description: ClassVar[str] = "a flat pusher hits a box's corner or misses it: a jump in a real contact rollout"
    parameter_unit: ClassVar[str] = "m"
    parameter_names = ("offset", "stroke")
    smoothing_scale = 0.01
    softening_width: ClassVar[dict[str, float]] = {"softplus": 4e-3, "log_barrier": 1e-3}

    box_half_extents = (0.05, 0.05, 0.05)
    """[m]"""
    pusher_half_extents = (0.02, 0.02, 0.05)
    """[m]"""
    box_mass = 1.0
    """[kg]"""
    pusher_mass = 0.5
    """[kg]"""
    gap = 0.03
    """Gap between the faces at the start [m]."""
    friction = 0.5
    length_scale = 0.1
    """Length that counts as 1 in the cost [m]."""

    def __init__(
        self,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        duration: float = 1.0,
        step: float = 0.005,
        **options: object,
    ):
        if not (math.isfinite(duration) and duration >= step > 0.0):
            raise TaskError(f"{self.name}: duration must be at least one step [s], got {duration} with step {step}")
        self.steps = round(duration / step)
        self.start_x = -self.box_half_extents[0] - self.pusher_half_extents[0] - self.gap
        self.clear_offset = self.box_half_extents[1] + self.pusher_half_extents[1]
        self.model = self._scene().finalize(device=device, dtype=dtype)
        self.simulator = Simulator(self.model, step=step, **options)
        self.device, self.dtype = self.model.device, self.model.dtype

    def _scene(self) -> ModelBuilder:
        builder = ModelBuilder()
        ground = builder.add_ground(friction=self.friction, name="table")
        box = builder.add_body(position=(0.0, 0.0, self.box_half_extents[2]), mass=self.box_mass, name="box")
        builder.add_box(box, self.box_half_extents, friction=self.friction, name="box")
        pusher = builder.add_body(
            position=(self.start_x, self.clear_offset, self.pusher_half_extents[2]),
            mass=self.pusher_mass,
            locked=("z", "angular"),
            name="pusher",
        )
        plate = builder.add_box(pusher, self.pusher_half_extents, friction=self.friction, name="pusher")
        builder.exclude(ground, plate)
        for axis in "xy":
            builder.add_actuator(pusher, axis, "position", stiffness=5000.0, damping=100.0)
        return builder

    def initial_parameters(self) -> torch.Tensor:
        """A hit 5 mm inside the corner, and a stroke of 12 cm, [2]."""
        return torch.tensor([self.clear_offset - 0.005, 0.12], dtype=self.dtype, device=self.device)

    def events(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether the box was moved, by more than 1 mm; [batch, 1]. Takes a rollout."""
        return self.outputs(theta).norm(dim=-1, keepdim=True) > 1e-3

    def controls(self, theta: torch.Tensor) -> torch.Tensor:
        """Targets of the controller at every step, [steps, batch, 2] [m]."""
        share = torch.arange(1, self.steps + 1, dtype=self.dtype, device=self.device) / (0.75 * self.steps)
        x = self.start_x + share.clamp(max=1.0)[:, None] * theta[:, 1]
        return torch.stack([x, theta[:, 0].expand_as(x)], dim=-1)

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated push: body 0 is the box, body 1 the pusher. ``theta`` is [batch, 2]."""
        theta = self.check(theta)
        return self.simulator.rollout(self._first_state(theta), self.controls(theta), record=record)

    def _first_state(self, theta: torch.Tensor) -> State:
        state = self.model.state(theta.shape[0])
        box, pusher = state.body_q.unbind(1)
        pusher = torch.cat([pusher[:, :1], theta[:, :1], pusher[:, 2:]], dim=1)
        return State(torch.stack([box, pusher], dim=1), state.body_v)

    def stepwise(self, every: int = EVERY) -> UnrolledObjective:
        """The push as an unrolled objective; ``every`` steps of the simulator make one step of it."""
        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            chunks(self.name, self.steps, every),
            start=lambda theta: self._first_state(self.check(theta)),
            cost=lambda theta, final: self.loss(final.body_q[:, 0, :2]),
            controls=lambda theta: self.controls(self.check(theta)),
        )

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces of the push; a world for each row of ``theta`` [batch, 2]."""
        theta = self.check(theta)
        return record(self.simulator, self.rollout(theta), self.controls(theta))

    def way_points(self, theta: torch.Tensor) -> torch.Tensor:
        """End of the stroke, [batch, 1, 2] [m]."""
        return torch.stack([self.start_x + theta[:, 1], theta[:, 0]], dim=-1)[:, None]

    @property
    def goal_outline(self) -> list[tuple[float, float]]:
        """Corners of the box at its start, where it is to stay, from above [m]."""
        a, b, _ = self.box_half_extents
        return [(-a, -b), (a, -b), (a, b), (-a, b)]

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Final position of the box x, y [m], [batch, 2]."""
        return self.rollout(theta, record=False).final.body_q[:, 0, :2]

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of ``outputs`` [batch, 2]."""
        return (outputs / self.length_scale).square().sum(-1)
