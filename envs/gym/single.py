"""One world of a closed-loop task as a ``gymnasium.Env``: for tools without vector environments. It is slow."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch

from ...plain import plain_numbers
from ..control import ControlState, ControlTask
from .common import array, checked_actions, checked_seed, limit_of, reset_goal, spaces_of, task_of
from .rendering import MODES, Picture, checked_mode, frames_per_second, picture_of

__all__ = ["CaromEnv", "make_single"]


@plain_numbers
class CaromEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """World 0 of a :class:`CaromVectorEnv` with the same seed, without its autoreset.

    Args:
        task: Name of a closed-loop task, or one ready made.
        terminate_on_success: Whether an episode ends where the task succeeds.
        max_episode_steps: Steps after which an episode is truncated; by default the task's horizon. Through
            ``gymnasium.make``, which keeps this argument to itself, it only shortens an episode: ``horizon`` makes it
            longer.
        render_mode: None, or "rgb_array": ``render`` gives a picture.
        render_width: Width of the picture [pixels]; it is 0.7 times as high.
        normalize_actions: Whether actions are within [-1, 1], which stand for the task's bounds, in place of SI units.
        **options: Options of the task.

    Raises:
        TaskError: An unknown task or option.
        UnsupportedMode: Another render mode.
    """

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 10}  # noqa: RUF012 - gymnasium's name

    def __init__(
        self,
        task: str | ControlTask = "push",
        *,
        terminate_on_success: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        render_width: int = 480,
        normalize_actions: bool = False,
        **options: Any,
    ):
        self.render_mode, self.render_width = checked_mode(render_mode, render_width), render_width
        self.task = task_of(task, options)
        self.metadata = {"render_modes": list(MODES), "render_fps": frames_per_second(self.task)}
        self.terminate_on_success, self.limit = terminate_on_success, limit_of(self.task, max_episode_steps)
        self.normalize_actions = normalize_actions
        self.observation_space, self.action_space = spaces_of(self.task, normalize_actions)
        self.state: ControlState | None = None
        self.closed = False
        self._key: tuple[int, int] | None = None
        self._picture: Picture | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode: the first one of ``seed``, or the next of the seed before.

        Args:
            seed: Not negative.
            options: None, or ``{"goal": goal}`` in place of the random one, as ``task.goal_names`` says (pushes: x [m],
                y [m], yaw [rad]). It holds for this episode.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            TaskError: A seed that is not an integer or negative; a goal that cannot be; other options.
        """
        self._refuse_closed()
        goal = reset_goal(self.task, options)
        if goal is not None:
            goal = self.task.checked_goal(goal, 1)
        seed = None if seed is None else checked_seed(self.task, seed)
        super().reset(seed=seed)
        if seed is None and self._key is not None:
            self._key = (self._key[0], self._key[1] + 1)
        else:
            self._key = (int(self.np_random.integers(2**31)) if seed is None else seed, 0)
        with torch.no_grad():
            self.state = self.task.fresh([self._key])
            if goal is not None:
                self.state = self.task.with_goal(self.state, goal)
            return array(self.task.observe(self.state))[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step one control interval.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: There was no reset.
            InvalidAction: A wrong shape, an action that is not finite or out of bounds; nothing was stepped.
        """
        self._refuse_closed()
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before step")
        checked = checked_actions(
            self.task, action, np.ones(1, dtype=bool), normalized=self.normalize_actions, single=True
        )
        with torch.no_grad():
            self.state, cost, observation = self.task.step(self.state, checked)
            success = bool(self.task.success(self.state)[0])
        truncated = int(self.state.time[0]) >= self.limit
        terminated = success and self.terminate_on_success
        return array(observation)[0], -float(cost[0]), terminated, truncated, {"success": success}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        """The world as it stands, uint8 [height, width, 3]: bodies, table and goal; what has no bodies, as bars.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: There was no reset.
        """
        self._refuse_closed()
        if self.render_mode is None:
            gymnasium.logger.warn(f"{self.task.name}: nothing is rendered: give make render_mode='rgb_array'")
            return None
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before render")
        if self._picture is None:
            self._picture = picture_of(self.task, self.render_width)
        return self._picture(self.state, 0)

    def close(self) -> None:
        """Free the batch of one world; steps and resets are refused from here on."""
        self.closed, self.state = True, None

    def _refuse_closed(self) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{self.task.name}: the environment is closed")


def make_single(task: str | ControlTask = "push", **options: Any) -> gymnasium.Env[np.ndarray, np.ndarray]:
    """A :class:`CaromEnv` within gymnasium's ``TimeLimit``: what ``gymnasium.make`` makes.

    The limit is the environment's own, whatever ``horizon`` is given, and ``spec.max_episode_steps`` has it, for
    wrappers that read it (``TimeAwareObservation``).
    """
    env = CaromEnv(task, **options)
    return gymnasium.wrappers.TimeLimit(env, env.limit)


make_single.metadata = CaromEnv.metadata  # type: ignore[attr-defined] # gymnasium reads it before it makes one
