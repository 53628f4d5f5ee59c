"""Pushing in closed loop: displacements of a pusher's target in, the block to a random goal pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import torch

from ...plain import plain_numbers
from ...sim import Recording, Simulator, State, record
from ..errors import TaskError
from ..planar import outline_at, planar_pose, pose_cost, wrap_angle
from ..task import Task
from ..tasks.box_pushing import BoxPushing
from ..tasks.push import Push
from ..tasks.push_t import PushT
from .interface import ControlState, ControlTask, Key, uniforms

__all__ = ["BoxPushingControl", "PlanarPushing", "PushControl", "PushTControl"]

Pose = tuple[float, float, float]

_FEATURES = (
    "block.x", "block.y", "block.cos", "block.sin", "pusher.x", "pusher.y", "command.x", "command.y", "goal.x",
    "goal.y", "goal.cos", "goal.sin", "block.vx", "block.vy", "block.wz", "pusher.vx", "pusher.vy",
)  # fmt: skip


_BLOCK_FEATURES = (
    "block.cos", "block.sin", "pusher.x", "pusher.y", "command.x", "command.y", "goal.x", "goal.y", "goal.cos",
    "goal.sin", "block.vx", "block.vy", "block.wz", "pusher.vx", "pusher.vy",
)  # fmt: skip

_PULL = 5.0
"""Factor on command minus pusher in the block's frame, which is millimetres where the rest is centimetres."""


FRAMES = {"world": _FEATURES, "block": _BLOCK_FEATURES}
"""Frames whose axes observations are along, with the names of the observations."""


class PushingScene(Protocol):
    """Scene of the pushing tasks: body 0 is the block, body 1 the pusher."""

    simulator: Simulator
    pusher_start: tuple[float, float]
    pusher_radius: float
    box_half_extents: tuple[float, float, float]

    @property
    def outline(self) -> list[tuple[float, float]]:
        """Corners of the block in its own frame, from above [m]."""
        ...


@plain_numbers
class PlanarPushing(ControlTask):
    """Base of the pushing tasks: body 0 is the block, body 1 the pusher, an action moves the pusher's target.

    The observation, 15 numbers along the block's axes, with lengths over ``length_scale`` (speeds: per second): cosine
    and sine of the block's yaw, pusher minus block [2], five times command minus pusher [2], goal minus block [2],
    cosine and sine of the yaw that is left to the goal, velocity of the block [2], its yaw rate [rad/s], velocity of
    the pusher [2]. Nothing depends on where the block is, so that is left out; a policy is learned in fewer steps than
    with ``frame="world"``: world axes, the position of the block [2] first, and command minus pusher as it is.
    """

    success_distance: float
    """[m]"""
    success_angle: float
    """[rad]"""
    length_scale: float
    """[m]"""
    spread_axis: ClassVar[int] = 1
    """Axis of the face near the pusher."""
    action_names = ("dx", "dy")
    goal_names = ("x [m]", "y [m]", "yaw [rad]")

    def __init__(
        self, objective: Task, *, horizon: int, substeps: int, bound: float, goals: tuple[Pose, Pose], spread: float,
        frame: str = "block",
    ):  # fmt: skip
        if frame not in FRAMES:
            raise TaskError(f"{self.name}: frame must be 'world' or 'block', got {frame!r}")
        for name, value in (("horizon", horizon), ("substeps", substeps)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TaskError(f"{self.name}: {name} must be an integer of at least 1, got {value!r}")
        if not (math.isfinite(bound) and bound > 0.0):
            raise TaskError(f"{self.name}: bound must be positive and finite [m], got {bound}")
        if not (math.isfinite(spread) and spread >= 0.0):
            raise TaskError(f"{self.name}: spread must be finite and not negative [m], got {spread}")
        shaped = len(goals) == 2 and all(len(row) == 3 and all(map(math.isfinite, row)) for row in goals)
        if not shaped or any(low > high for low, high in zip(*goals, strict=True)):
            raise TaskError(
                f"{self.name}: goals must be the lowest and the highest (x [m], y [m], yaw [rad]), finite, got {goals}"
            )
        self.objective, self.scene = objective, cast(PushingScene, objective)
        self.horizon, self.substeps, self.goals, self.spread = horizon, substeps, goals, spread
        self.action_low, self.action_high = (-bound, -bound), (bound, bound)
        self.frame, self.observation_names = frame, FRAMES[frame]

    def fresh(self, keys: Sequence[Key]) -> ControlState:
        """Worlds with random goals between ``goals``, and the pusher shifted along the face by up to ``spread``."""
        model = self.scene.simulator.model
        start = model.state(len(keys))
        u = uniforms(keys, f"{self.name} start", 4).to(start.body_q)
        low, high = (u.new_tensor(row) for row in self.goals)
        start.body_q[:, 1, self.spread_axis] += self.spread * (2.0 * u[:, 3] - 1.0)
        time = torch.zeros(len(keys), dtype=torch.int64, device=start.body_q.device)
        return ControlState(start, low + (high - low) * u[:, :3], start.body_q[:, 1, :2].clone(), time)

    @property
    def interval(self) -> float:
        """Simulated time that an action takes [s]."""
        return self.substeps * self.scene.simulator.step_size

    def goal_outline(self, state: ControlState, world: int) -> np.ndarray:
        """The block's outline at its goal [n, 2], m."""
        return np.array(outline_at(self.scene.outline, state.goal[world].tolist()))

    def picture_bounds(self) -> np.ndarray:
        """Block and pusher at the start, and the block at every goal that is drawn, [2, 3], m."""
        body_q = self.scene.simulator.model.state(1).body_q[0].double().cpu().numpy()
        outline = np.array(self.scene.outline)
        turn = np.linspace(self.goals[0][2], self.goals[1][2], 9)
        turned = np.concatenate([outline_at(self.scene.outline, (0.0, 0.0, one)) for one in turn])
        reach = [outline + body_q[0, :2], *(turned + np.array(row[:2]) for row in self.goals)]
        pusher = np.full(2, self.scene.pusher_radius)
        pusher[self.spread_axis] += self.spread
        points = np.concatenate([*reach, body_q[1:, :2] - pusher, body_q[1:, :2] + pusher])
        middle, half = body_q[0, 2], self.scene.box_half_extents[2]
        return np.array([[*points.min(axis=0), middle - half], [*points.max(axis=0), middle + half]])

    def full_control(self, command: torch.Tensor) -> torch.Tensor:
        """Controls of all actuators of targets of the pusher [..., 2] [m]."""
        return command

    def advance(self, state: ControlState, action: torch.Tensor) -> tuple[State, torch.Tensor]:
        """The target moves by the action in a straight line, in equal parts a step."""
        controls = self._controls(state.command, action)
        after = self.scene.simulator.rollout(state.bodies, controls, state.parameters, record=False).final
        return after, state.command + action

    def _controls(self, command: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Controls of every step of an interval, [substeps, W, c]."""
        share = torch.arange(1, self.substeps + 1, dtype=action.dtype, device=action.device) / self.substeps
        return self.full_control(command + share[:, None, None] * action)

    def record(self, state: ControlState, actions: torch.Tensor) -> Recording:
        """Poses, contacts and forces of every step of the simulator, from ``state`` under ``actions`` [T, W, 2] [m].

        Raises:
            TaskError: Actions of the wrong shape, not finite, or out of bounds.
        """
        command, controls = state.command, []
        for action in actions:
            checked = self.check_action(action, state.worlds)
            controls.append(self._controls(command, checked))
            command = command + checked
        every = torch.cat(controls)
        simulator = self.scene.simulator
        with torch.no_grad():
            trajectory = simulator.rollout(state.bodies, every, state.parameters)
        return record(simulator, trajectory, every, state.parameters)

    def pose(self, state: ControlState) -> torch.Tensor:
        """Pose x [m], y [m], yaw [rad] of the block, [W, 3]."""
        return planar_pose(state.bodies.body_q[:, 0])

    def errors(self, state: ControlState) -> tuple[torch.Tensor, torch.Tensor]:
        """Distance [m] and angle [rad] of the block from its goal, [W] each, not negative."""
        off = self.pose(state) - state.goal
        return off[:, :2].norm(dim=-1), wrap_angle(off[:, 2]).abs()

    def success(self, state: ControlState) -> torch.Tensor:
        """Whether the block is within ``success_distance`` and ``success_angle`` of its goal, bool [W]."""
        distance, angle = self.errors(state)
        return (distance < self.success_distance) & (angle < self.success_angle)

    def observe(self, state: ControlState) -> torch.Tensor:
        """See the class; [W, 17], or [W, 15] in the block's frame."""
        pose, v, scale = self.pose(state), state.bodies.body_v, self.length_scale
        block, pusher, left = pose[:, :2], state.bodies.body_q[:, 1, :2], state.goal - pose
        lengths = [block, pusher - block, state.command - pusher, left[:, :2], v[:, 0, :2], v[:, 1, :2]]
        at, reach, pull, way, speed, pusher_speed = (x / scale for x in lengths)
        turned = [torch.stack([angle.cos(), angle.sin()], dim=-1) for angle in (pose[:, 2], left[:, 2])]
        if self.frame == "block":
            cos, sin = turned[0].unbind(-1)

            def own(x: torch.Tensor) -> torch.Tensor:
                return torch.stack([cos * x[:, 0] + sin * x[:, 1], cos * x[:, 1] - sin * x[:, 0]], dim=-1)

            lengths = [own(x) for x in (reach, _PULL * pull, way)]
            return torch.cat([turned[0], *lengths, turned[1], own(speed), v[:, 0, 5:], own(pusher_speed)], dim=-1)
        return torch.cat([at, turned[0], reach, pull, way, turned[1], speed, v[:, 0, 5:], pusher_speed], dim=-1)


@plain_numbers
class PushControl(PlanarPushing):
    """``push`` in closed loop: the box to a random pose.

    An action is the displacement (dx, dy) of the controller's target in one control interval of 0.1 s [m]. The cost of
    an interval is that of :class:`carom.envs.Push`, of the pose at its end: distance over 10 cm squared, plus twice 1
    - cos of the angle that is left, plus ``effort`` times the action over 10 cm squared. Success: within 1 cm and 10
    degrees.

    Args:
        horizon: Control intervals of an episode.
        interval: Control interval [s]; a multiple of the step.
        bound: Largest displacement in an interval, per axis [m].
        goals: Lowest and highest goal x [m], y [m], yaw [rad]; drawn uniformly between.
        spread: The pusher starts shifted along y by up to this [m].
        step: Step size [s].
        frame: "block" or "world": whose axes observations are along.
        **options: Further options of :class:`carom.envs.Push` (``start``, ``offset``, ``effort``, ``device``,
            ``dtype``) and of the ``Simulator``.

    Raises:
        TaskError: An option out of range.
    """

    name: ClassVar[str] = "push"
    description: ClassVar[str] = "push a box to a random pose, displacements of the pusher's target in"
    task: ClassVar[type[Push]] = Push

    success_distance = 0.01
    success_angle = math.radians(10.0)

    def __init__(
        self,
        *,
        horizon: int = 40,
        interval: float = 0.1,
        bound: float = 0.02,
        goals: tuple[Pose, Pose] = ((0.04, -0.03, -0.5), (0.12, 0.03, 0.5)),
        spread: float = 0.02,
        step: float = 0.01,
        frame: str = "block",
        **options: Any,
    ):
        substeps = round(interval / step) if math.isfinite(interval) and step > 0.0 else 0
        if substeps < 1 or abs(substeps * step - interval) > 1e-6 * interval:
            raise TaskError(f"{self.name}: interval must be a multiple of step [s], got {interval} and {step}")
        options = {"offset": 0.0} | options
        push = self.task(step=step, duration=max(1, horizon) * interval, **options)
        self.length_scale, self.effort = push.length_scale, push.effort
        super().__init__(push, horizon=horizon, substeps=substeps, bound=bound, goals=goals, spread=spread, frame=frame)

    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        """Cost [W] of the pose at the end of an interval, and of the action."""
        effort = self.effort * (action / self.length_scale).square().sum(-1)
        return pose_cost(self.pose(after), after.goal, self.length_scale) + effort


class PushTControl(PushControl):
    """``push_t`` in closed loop: as :class:`PushControl`, with the T-shaped block."""

    name: ClassVar[str] = "push_t"
    description: ClassVar[str] = "push a T-shaped block to a random pose, displacements of the pusher's target in"
    task: ClassVar[type[Push]] = PushT


@plain_numbers
class BoxPushingControl(PlanarPushing):
    """``box_pushing`` in closed loop; the sum of an episode's costs is the cost of :class:`carom.envs.BoxPushing`.

    An action is the change of the commanded position (dx, dy) in one step, within the published bound of 4 cm. The cost
    of a step is that of the state before it; in the last one also that of the state after it, times ``final_factor``.
    Success: within 5 cm and 10 degrees (the box is ten times that of ``push``).

    Args:
        goals: Lowest and highest goal x [m], y [m], yaw [rad]. By default around the published one, (0.5, 1, -pi/4),
            which ``goals=None`` takes alone.
        spread: The pusher starts shifted along x by up to this [m].
        frame: "block" or "world": whose axes observations are along.
        **options: Options of :class:`carom.envs.BoxPushing`; ``T`` is the horizon.

    Raises:
        TaskError: An option out of range.
    """

    name: ClassVar[str] = "box_pushing"
    description: ClassVar[str] = "push a 1 m box in the plane to a pose around the published one"

    success_distance = 0.05
    success_angle = math.radians(10.0)
    length_scale = 1.0
    spread_axis: ClassVar[int] = 0

    def __init__(
        self,
        *,
        goals: tuple[Pose, Pose] | None = ((0.3, 0.9, -1.2), (0.7, 1.2, -0.4)),
        spread: float = 0.0,
        frame: str = "block",
        **options: Any,
    ):
        self.box_pushing = BoxPushing(**options)
        published = self.box_pushing.goal
        super().__init__(
            self.box_pushing, horizon=self.box_pushing.steps, substeps=1, bound=self.box_pushing.step_bound,
            goals=goals or (published, published), spread=spread, frame=frame,
        )  # fmt: skip

    def full_control(self, command: torch.Tensor) -> torch.Tensor:
        """Controls [..., 5]: the box's joint dampers besides."""
        return self.box_pushing.full_control(command)

    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        """Cost [W] of the state before, and in the last step of the state after."""
        last = self.box_pushing.final_factor * (after.time == self.horizon)
        state_cost = self.box_pushing.state_cost
        return state_cost(self.pose(before), before.goal) + last * state_cost(self.pose(after), after.goal)
