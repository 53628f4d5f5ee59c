"""Closed-loop control: reset, step and observe batches of worlds in torch, differentiable through the simulator."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ...first_order import Limits, refuse_vmap
from ...gradients.noise.counter_random import draw_uniforms
from ...plain import plain
from ...sim import State
from ..errors import TaskError
from ..task import LIMITS as TASK_LIMITS
from ..task import Task

__all__ = ["ControlState", "ControlTask", "Key", "StepResult", "uniforms"]

LIMITS = Limits(
    what="a control task",
    instead=TASK_LIMITS.instead,
    batch="its states hold many worlds already, task.reset(worlds), with an action for each",
    error=TASK_LIMITS.error,
)

Key = tuple[int, int]
"""Key of a world's episode: a seed, and the number of the episode."""

_ROUNDING = 1e-6  # share of their range by which actions may exceed it: float32 of a bound in float64


@dataclass
class ControlState:
    """W worlds in closed loop. All of it is needed to go on; tensors may carry gradients."""

    bodies: State
    """Poses and velocities."""
    goal: torch.Tensor
    """Goal, [W, g]; planar tasks: x [m], y [m], yaw [rad]."""
    command: torch.Tensor
    """Last command of the controllers, [W, c]; pushers: the target of x and y [m]."""
    time: torch.Tensor
    """Control intervals since the episode began, int [W]."""
    parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    """Physical parameters that differ between worlds, by name, each with a leading W; as in ``Simulator.rollout``."""

    @property
    def worlds(self) -> int:
        """W."""
        return len(self.goal)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> ControlState:
        """A state of the tensors that ``function`` makes of these."""
        bodies = State(function(self.bodies.body_q), function(self.bodies.body_v))
        parameters = {name: function(value) for name, value in self.parameters.items()}
        return ControlState(bodies, function(self.goal), function(self.command), function(self.time), parameters)

    def tensors(self) -> list[torch.Tensor]:
        """All tensors, in the order in which ``map`` takes them."""
        return [self.bodies.body_q, self.bodies.body_v, *self.parameters.values(), self.goal, self.command, self.time]

    def detach(self) -> ControlState:
        """The state without its graph of torch."""
        return self.map(torch.Tensor.detach)

    def select(self, index: torch.Tensor) -> ControlState:
        """The worlds at ``index`` (int [k] or bool [W]), in that order."""
        return self.map(lambda tensor: tensor[index])

    def replaced(self, index: torch.Tensor, other: ControlState) -> ControlState:
        """A new state in which the worlds at ``index`` (int [k]) are those of ``other``."""
        order = iter(other.tensors())
        return self.map(lambda tensor: tensor.index_copy(0, index, next(order).to(tensor)))


class StepResult(NamedTuple):
    """Result of one control interval."""

    state: ControlState
    cost: torch.Tensor
    """[W]; a reward is its negative."""
    observation: torch.Tensor
    """Observation of the new state, [W, observations]."""


class ControlTask(ABC):
    """A task in closed loop: each action holds for a control interval of one or more steps of the simulator.

    ``reset`` draws start and goal of every world, ``step`` is differentiable by torch in state and action (the exact
    adjoint), ``observe`` gives the observation of a policy. Nothing is kept between calls: the state is all there is,
    so episodes may be cut, branched and repeated at will. ``detach`` a state to cut the gradient::

        state = task.reset(256, seed=0)
        total = 0.0
        for _ in range(task.horizon):
            state, cost, observation = task.step(state, policy(task.observe(state)))
            total = total + cost.mean()
        total.backward()

    A world's episode depends on its seed and the number of the episode only, not on the worlds beside it.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    objective: Task
    """The task in open loop, whose scene, simulator and cost these are."""
    horizon: int
    """Control intervals of an episode."""
    action_names: tuple[str, ...]
    action_low: tuple[float, ...]
    """Smallest action [m]."""
    action_high: tuple[float, ...]
    """Largest action [m]."""
    observation_names: tuple[str, ...]
    training_steps: ClassVar[int] = 2_000_000
    """Control intervals that a training simulates where nothing else is asked for."""
    training_window: ClassVar[int] = 10
    """Approximate number of control intervals that a training differentiates through at once."""
    training_softening: ClassVar[Mapping[str, Any]] = {}
    """Softening of contacts in a training with softened gradients, where it is not as elsewhere: ``width`` [m],
    ``shapes``."""
    goal_names: ClassVar[tuple[str, ...]] = ()
    """Names of the numbers of a goal that can be chosen, e.g. ("x [m]", "y [m]", "yaw [rad]"); empty where there is
    none."""

    @property
    def interval(self) -> float | None:
        """Simulated time that an action takes [s]; None where an action is no motion."""
        return None

    @property
    def device(self) -> str:
        """Device of the states."""
        return self.objective.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the simulation."""
        return self.objective.dtype

    @abstractmethod
    def fresh(self, keys: Sequence[Key]) -> ControlState:
        """A world at the start of an episode for each key."""

    @abstractmethod
    def advance(self, state: ControlState, action: torch.Tensor) -> tuple[State, torch.Tensor]:
        """Bodies and command one control interval later."""

    @abstractmethod
    def cost(self, before: ControlState, action: torch.Tensor, after: ControlState) -> torch.Tensor:
        """Cost [W] of an interval."""

    @abstractmethod
    def observe(self, state: ControlState) -> torch.Tensor:
        """Observation of a policy, [W, observations]."""

    @abstractmethod
    def success(self, state: ControlState) -> torch.Tensor:
        """Whether each world is where it should be, bool [W]."""

    def goal_outline(self, state: ControlState, world: int) -> np.ndarray | None:
        """Outline of a world's goal on the table for pictures [n, 2], m; None where there is none."""
        return None

    def picture_bounds(self) -> np.ndarray | None:
        """Lowest and highest corner of what pictures show [2, 3], m; None: what the bodies reach at the start."""
        return None

    def checked_goal(self, goal: Any, worlds: int) -> torch.Tensor:
        """A goal as numbers, float64 [worlds, g].

        Args:
            goal: Numbers as ``goal_names`` says, [g] for all worlds or [worlds, g].
            worlds: Number of worlds.

        Raises:
            TaskError: The task has no goal to choose; a wrong shape; a number that is not finite.
        """
        if not self.goal_names:
            raise TaskError(f"{self.name}: there is no goal to choose: it is the same in every episode")
        names, count = ", ".join(self.goal_names), len(self.goal_names)
        given = goal.detach().cpu().numpy() if isinstance(goal, torch.Tensor) else goal
        try:
            values = torch.from_numpy(np.array(given, dtype=np.float64))
        except (TypeError, ValueError):
            raise TaskError(f"{self.name}: the goal must be the numbers {names}, got {goal!r}") from None
        if tuple(values.shape) not in ((count,), (worlds, count)):
            each = "" if worlds == 1 else f" for all worlds, or ({worlds}, {count}) for one each"
            raise TaskError(
                f"{self.name}: the goal must be {names}, of shape ({count},){each}; got shape {tuple(values.shape)}"
            )
        if not bool(torch.isfinite(values).all()):
            raise TaskError(f"{self.name}: the goal {names} is not finite: {values.tolist()}")
        return values.expand(worlds, count).clone()

    def with_goal(self, state: ControlState, goal: Any) -> ControlState:
        """State with another goal: numbers as ``goal_names`` says, [g] for all worlds or [W, g].

        Raises:
            TaskError: The task has no goal to choose; a wrong shape; a number that is not finite.
        """
        return dataclasses.replace(state, goal=self.checked_goal(goal, state.worlds).to(state.goal))

    def reset(self, worlds: int, seed: int | Sequence[int] = 0, goal: Any = None) -> ControlState:
        """``worlds`` worlds at the start of their first episode.

        Args:
            worlds: Number of worlds.
            seed: World i has the seed ``seed`` + i, as in gymnasium; or a seed for each world.
            goal: In place of the random ones, as in ``with_goal``.

        Raises:
            TaskError: Not a positive number of worlds, not as many seeds as worlds, or a goal that cannot be.
        """
        worlds = plain(worlds)
        if isinstance(worlds, bool) or not isinstance(worlds, int) or worlds < 1:
            raise TaskError(f"{self.name}: worlds must be an integer of at least 1, got {worlds!r}")
        if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
            seed = [int(seed) + i for i in range(worlds)]
        if isinstance(seed, (bool, str)) or not isinstance(seed, Sequence) or len(seed) != worlds:
            raise TaskError(f"{self.name}: seed must be an integer, or one for each of {worlds} worlds, got {seed!r}")
        state = self.fresh([(one, 0) for one in seed])
        return state if goal is None else self.with_goal(state, goal)

    def step(self, state: ControlState, action: torch.Tensor) -> StepResult:
        """The state one control interval later, its cost [W] and the observation of it.

        Args:
            state: W worlds.
            action: [W, actions], within ``action_low`` and ``action_high``.

        Raises:
            TaskError: An action of the wrong shape, not finite, or out of bounds; a state that is none.
        """
        if not isinstance(state, ControlState):
            raise TaskError(
                f"{self.name}: state is a {type(state).__name__}; begin with state = task.reset(worlds, seed)"
            )
        refuse_vmap(LIMITS, action, *state.tensors())
        action = self.check_action(action, state.worlds)
        bodies, command = self.advance(state, action)
        after = ControlState(bodies, state.goal, command, state.time + 1, state.parameters)
        return StepResult(after, self.cost(state, action, after), self.observe(after))

    def check_action(self, action: torch.Tensor, worlds: int) -> torch.Tensor:
        """``action`` in the task's precision and on its device, or a TaskError."""
        wanted = (worlds, len(self.action_names))
        if not isinstance(action, torch.Tensor) or tuple(action.shape) != wanted:
            shape = tuple(action.shape) if isinstance(action, torch.Tensor) else type(action).__name__
            raise TaskError(f"{self.name}: action must be a tensor of shape [worlds, actions] = {wanted}, got {shape}")
        value = action.detach().double().cpu()
        low, high = (
            torch.tensor(bound, dtype=torch.float64, device="cpu") for bound in (self.action_low, self.action_high)
        )
        slack = _ROUNDING * (high - low)
        bad = ~((value >= low - slack) & (value <= high + slack))  # also where it is not a number
        if bool(bad.any()):
            row, column = torch.nonzero(bad)[0].tolist()
            number = float(value[row, column])
            name = f"{self.name}: action {self.action_names[column]!r} of world {row}"
            if not bool(torch.isfinite(value[row, column])):
                raise TaskError(f"{name} is not finite: {number}")
            raise TaskError(
                f"{name} is {number:.6g}, out of bounds [{self.action_low[column]:g}, {self.action_high[column]:g}]; "
                "squash the policy's output (tanh times the bound) or clamp it"
            )
        return action.to(device=self.device, dtype=self.dtype)


def uniforms(keys: Sequence[Key], stream: str, columns: int) -> torch.Tensor:
    """Numbers in (0, 1), [keys, columns], float64: a row for each episode that depends on its key alone."""
    return torch.cat([draw_uniforms(seed, stream, first=episode, rows=1, columns=columns) for seed, episode in keys])
