"""One world of a closed-loop task as a ``gymnasium.Env``: for tools that know no other; slow beside a batch."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch

from ...plain import plain_numbers
from ..control import ControlState, ControlTask
from .common import array, checked_actions, checked_seed, limit_of, refuse_options, spaces_of, task_of

__all__ = ["CaromEnv"]


@plain_numbers
class CaromEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """World 0 of a :class:`CaromVectorEnv` with the same seed, without its autoreset.

    Args:
        task: Name of a closed-loop task, or one ready made.
        terminate_on_success: Whether an episode ends where the task succeeds.
        max_episode_steps: Steps after which an episode is truncated; by default the task's horizon. Through
            ``gymnasium.make``, which keeps this argument to itself, it only shortens an episode: ``horizon`` makes it
            longer.
        render_mode: None; there is nothing to render.
        **options: Options of the task.

    Raises:
        TaskError: An unknown task or option.
    """

    def __init__(
        self,
        task: str | ControlTask = "push",
        *,
        terminate_on_success: bool = True,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **options: Any,
    ):
        self.metadata = {"render_modes": []}
        self.task = task_of(task, render_mode, options)
        self.terminate_on_success, self.limit = terminate_on_success, limit_of(self.task, max_episode_steps)
        self.observation_space, self.action_space = spaces_of(self.task)
        self.state: ControlState | None = None
        self.closed = False
        self._key: tuple[int, int] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode: the first one of ``seed``, or the next of the seed before.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            TaskError: A seed that is not an integer or negative; options.
        """
        self._refuse_closed()
        refuse_options(self.task, options)
        seed = None if seed is None else checked_seed(self.task, seed)
        super().reset(seed=seed)
        if seed is None and self._key is not None:
            self._key = (self._key[0], self._key[1] + 1)
        else:
            self._key = (int(self.np_random.integers(2**31)) if seed is None else seed, 0)
        with torch.no_grad():
            self.state = self.task.fresh([self._key])
            return array(self.task.observe(self.state))[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One control interval.

        Raises:
            ClosedEnvironmentError: The environment is closed.
            ResetNeeded: There was no reset.
            InvalidAction: A wrong shape, an action that is not finite or out of bounds; nothing was stepped.
        """
        self._refuse_closed()
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before step")
        checked = checked_actions(self.task, action, np.ones(1, dtype=bool), single=True)
        with torch.no_grad():
            self.state, cost, observation = self.task.step(self.state, checked)
            success = bool(self.task.success(self.state)[0])
        truncated = int(self.state.time[0]) >= self.limit
        terminated = success and self.terminate_on_success
        return array(observation)[0], -float(cost[0]), terminated, truncated, {"success": success}

    def close(self) -> None:
        """Nothing but a batch of one world is freed; steps and resets are refused from here on."""
        self.closed, self.state = True, None

    def _refuse_closed(self) -> None:
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{self.task.name}: the environment is closed")
