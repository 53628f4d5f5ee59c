"""The pushing task: a box on a table, a round pusher on springs, way-points in, distance from a goal pose out."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from ...gradients.core.unrolled import UnrolledObjective
from ...plain import plain_numbers
from ...sim import ModelBuilder, Recording, Simulator, State, Trajectory, record
from ..errors import TaskError
from ..planar import outline_at, planar_pose, pose_cost
from ..stepwise import EVERY, chunks, simulated_steps
from ..task import Task

__all__ = ["Push"]

STARTS = {"touching": 0.0, "apart": 0.03}
"""Gap between pusher and box at the start [m]."""

SCALES = {"touching": 0.01, "apart": 0.02}
"""Standard deviation of the noise on each way-point's coordinate for which the smoothed cost is informative [m]."""

SERIAL = 32768
"""Numbers up to which torch works in the calling thread; its pool costs more than it saves beside other programs."""


@plain_numbers
class Push(Task):
    """Push a 10 cm box of 1 kg over a table with a ball of 4 cm on a position controller.

    The parameters are the way-points of the controller's target: x0, y0, x1, y1, ... [m], reached at equal intervals
    and joined by straight lines from where the pusher starts. The cost of a rollout, without units, is

        |p - p_goal|^2 / (10 cm)^2 + 2 (1 - cos(yaw - yaw_goal)) + effort sum |w_i - w_(i-1)|^2 / (10 cm)^2

    with p and yaw the box's final pose and w the way-points, the first after the pusher's start.

    Args:
        start: "touching": the pusher touches the box and its initial way-points push it, off centre. "apart": it is
            3 cm away and its initial way-points stay there, so that the exact gradient does not depend on the box.
        device: "cpu", "cuda:0", ...
        dtype: "float32" or "float64", the precision of the simulation.
        way_points: Number of way-points.
        duration: Seconds simulated.
        step: Step size [s].
        offset: Distance of the pusher's line from the box's centre at the start [m].
        goal: Goal pose of the box: x [m], y [m], yaw [rad].
        effort: Weight of the effort term.
        friction: Coefficient between box and table, and between box and pusher.
        **options: Further options of the ``Simulator``.
    """

    name: ClassVar[str] = "push"
    description: ClassVar[str] = "push a box on a table to a goal pose with a round pusher; starts: touching, apart"

    parameter_unit: ClassVar[str] = "m"

    stiffness_range: ClassVar[tuple[float, float]] = (1e3, 1e5)
    """Contact stiffness of the pusher from soft, pressed in by a centimetre, to near-rigid [N/m]."""
    softened_shapes: ClassVar[tuple[str, ...]] = ("pusher",)
    softening_width: ClassVar[dict[str, float]] = {"softplus": 4e-3, "log_barrier": 1e-3}

    box_half_extents = (0.05, 0.05, 0.05)
    """[m]"""
    box_mass = 1.0
    """[kg]"""
    pusher_radius = 0.02
    """[m]"""
    pusher_mass = 0.5
    """[kg]"""
    stiffness = 2000.0
    """Stiffness of the position controller, per axis [N/m]."""
    damping = 60.0
    """Damping of the position controller, per axis [N s/m]."""
    length_scale = 0.1
    """Length that counts as 1 in the cost [m]."""

    def __init__(
        self,
        *,
        start: str = "touching",
        device: str = "cpu",
        dtype: str = "float32",
        way_points: int = 4,
        duration: float = 2.0,
        step: float = 0.005,
        offset: float = 0.01,
        goal: tuple[float, float, float] = (0.08, 0.03, 0.6),
        effort: float = 0.01,
        friction: float = 0.5,
        **options: object,
    ):
        if start not in STARTS:
            raise TaskError(f"{self.name}: unknown start {start!r}; use one of {', '.join(STARTS)}")
        if way_points < 1:
            raise TaskError(f"{self.name}: way_points must be at least 1, got {way_points}")
        if not (math.isfinite(duration) and duration >= step > 0.0):
            raise TaskError(
                f"{self.name}: duration must be finite and at least one step [s], got {duration} with step {step}"
            )
        if not (isinstance(goal, (tuple, list)) and len(goal) == 3 and all(map(_finite, goal))):
            raise TaskError(f"{self.name}: goal must be x [m], y [m] and yaw [rad], finite numbers, got {goal!r}")
        for name, value in (("offset", offset), ("effort", effort)):
            if not _finite(value):
                raise TaskError(f"{self.name}: {name} must be a finite number, got {value!r}")
        # noise on the way-points that suits the task [m]: from apart it must be able to bridge the gap
        self.smoothing_scale = SCALES[start]
        self.start, self.way_point_count, self.goal, self.effort = start, way_points, goal, effort
        self.friction = friction
        self.steps = round(duration / step)
        near_face = min(x for x, _ in self.outline)
        self.pusher_start = (near_face - self.pusher_radius - STARTS[start], -offset)
        self.model = self._scene().finalize(device=device, dtype=dtype)
        self.simulator = Simulator(self.model, step=step, **options)
        self.device, self.dtype = self.model.device, self.model.dtype
        names = [f"{axis}{i}" for i in range(way_points) for axis in "xy"]
        self.parameter_names = tuple(names)
        self.landscape_axes = (len(names) - 2, len(names) - 1)
        """The parameters over which the cost is drawn: the last way-point."""
        self._leg, self._share = self._leg_of_steps()
        self._parameters: dict[str, torch.Tensor] = {}

    def _scene(self) -> ModelBuilder:
        builder = ModelBuilder()
        ground = builder.add_ground(friction=self.friction, name="table")
        self._add_block(builder)
        x, y = self.pusher_start
        pusher = builder.add_body(
            position=(x, y, self.box_half_extents[2]), mass=self.pusher_mass, locked=("z", "angular"), name="pusher"
        )
        ball = builder.add_sphere(pusher, self.pusher_radius, friction=self.friction, name="pusher")
        builder.exclude(ground, ball)
        for axis in "xy":
            builder.add_actuator(pusher, axis, "position", stiffness=self.stiffness, damping=self.damping)
        return builder

    def _add_block(self, builder: ModelBuilder) -> None:
        """The body that is pushed, body 0."""
        box = builder.add_body(position=(0.0, 0.0, self.box_half_extents[2]), mass=self.box_mass, name="box")
        builder.add_box(box, self.box_half_extents, friction=self.friction, name="box")

    @property
    def outline(self) -> list[tuple[float, float]]:
        """Corners of what is pushed in its own frame, from above [m]."""
        a, b, _ = self.box_half_extents
        return [(-a, -b), (a, -b), (a, b), (-a, b)]

    def at_horizon(self, steps: int) -> Push:
        """The push with its cost taken after so many steps."""
        if not 1 <= steps <= self.steps:
            raise TaskError(f"{self.name}: the horizon must be 1 to {self.steps} steps, got {steps}")
        shorter: Push = self.variant()
        shorter.steps, shorter._leg, shorter._share = steps, self._leg[:steps], self._share[:steps]
        return shorter

    def at_stiffness(self, stiffness: float) -> Push:
        """The push with a pusher of this contact stiffness [N/m]; the box on the table stays near-rigid."""
        if not (math.isfinite(stiffness) and stiffness > 0.0):
            raise TaskError(f"{self.name}: the stiffness must be positive and finite [N/m], got {stiffness}")
        other: Push = self.variant()
        stiffnesses = self.model.shape_stiffness.clone()
        stiffnesses[:, self.model.shape_names.index("pusher")] = stiffness
        other._parameters = {"shape_stiffness": stiffnesses}
        return other

    def _leg_of_steps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Leg between way-points on which each step ends [steps], and the share of it done by then [steps, 1, 1]."""
        n = self.way_point_count
        time = torch.arange(1, self.steps + 1, dtype=torch.float64, device="cpu") * (n / self.steps)
        leg = time.floor().clamp(max=n - 1)
        share = (time - leg).to(device=self.device, dtype=self.dtype)
        return leg.long().to(self.device), share[:, None, None]

    def initial_parameters(self) -> torch.Tensor:
        """Way-points to start from: a straight push of 10 cm, or, for the start "apart", none at all. [parameters]."""
        x, y = self.pusher_start
        reach = 0.1 if self.start == "touching" else 0.0
        points = [(x + reach * (i + 1) / self.way_point_count, y) for i in range(self.way_point_count)]
        return torch.tensor(points, dtype=self.dtype, device=self.device).reshape(-1)

    def way_points(self, theta: torch.Tensor) -> torch.Tensor:
        """Way-points [batch, n, 2] of the parameters [batch, 2 n] [m]."""
        return theta.reshape(*theta.shape[:-1], self.way_point_count, 2)

    def _path(self, theta: torch.Tensor) -> torch.Tensor:
        """The pusher's start and its way-points, [batch, n + 1, 2]."""
        points = self.way_points(theta)
        first = torch.tensor(self.pusher_start, dtype=points.dtype, device=points.device)
        return torch.cat([first.expand(points.shape[0], 1, 2), points], dim=1)

    def controls(self, theta: torch.Tensor) -> torch.Tensor:
        """Targets of the controller at every step, [steps, batch, 2] [m]."""
        # element by element, since a matrix product rounds otherwise in a batch of another size
        path = self._path(theta).transpose(0, 1)
        most = path.shape[1] if path.is_cuda else max(1, SERIAL // (2 * max(self.steps, 1)))
        pieces = []
        for part in path.split(most, dim=1):
            start, end = part[self._leg], part[self._leg + 1]
            pieces.append(start + self._share * (end - start))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def rollout(self, theta: torch.Tensor, record: bool = True) -> Trajectory:
        """The simulated push: body 0 is the box, body 1 the pusher. ``theta`` is [batch, parameters]."""
        theta = self.check(theta)
        state = self.model.state(theta.shape[0])
        return self.simulator.rollout(state, self.controls(theta), self._parameters, record=record)

    def record(self, theta: torch.Tensor) -> Recording:
        """Poses, contacts and forces of the push; a world for each row of ``theta`` [batch, parameters]."""
        theta = self.check(theta)
        return record(self.simulator, self.rollout(theta), self.controls(theta), self._parameters)

    @property
    def goal_outline(self) -> list[tuple[float, float]]:
        """Corners of the box at the goal pose, from above [m]."""
        return outline_at(self.outline, self.goal)

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Final pose of the box and effort: x [m], y [m], yaw [rad], effort term; [batch, 4]."""
        checked = self.check(theta)
        return self._outputs(checked, self.rollout(checked, record=False).final)

    def _outputs(self, theta: torch.Tensor, final: State) -> torch.Tensor:
        return torch.cat([planar_pose(final.body_q[:, 0]), self.effort_term(theta)[:, None]], dim=-1)

    def stepwise(self, every: int = EVERY) -> UnrolledObjective:
        """The push as an unrolled objective; ``every`` steps of the simulator make one step of it."""
        return simulated_steps(
            self.name,
            self._pieces_simulator(),
            chunks(self.name, self.steps, every),
            start=lambda theta: self.model.state(len(theta)),
            cost=lambda theta, final: self.loss(self._outputs(self.check(theta), final)),
            controls=lambda theta: self.controls(self.check(theta)),
            parameters=lambda theta: self._parameters,
        )

    def effort_term(self, theta: torch.Tensor) -> torch.Tensor:
        """The part of the cost that depends on the parameters [batch, parameters] alone, [batch]."""
        moves = self._path(theta).diff(dim=1) / self.length_scale
        return self.effort * moves.square().sum(dim=(1, 2))

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Cost [batch] of ``outputs`` [batch, 4]: the box term plus the effort term."""
        return self.box_term(outputs) + outputs[:, 3]

    def box_term(self, outputs: torch.Tensor) -> torch.Tensor:
        """The part of the cost that depends on the box, [batch]."""
        return pose_cost(outputs[:, :3], outputs.new_tensor(self.goal), self.length_scale)


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
