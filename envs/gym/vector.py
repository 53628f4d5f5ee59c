"""A batch of worlds of a closed-loop task as a ``gymnasium.vector.VectorEnv``: one batch of the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ..control import ControlState, ControlTask
from ..errors import TaskError
from .common import array, checked_actions, limit_of, refuse_options, spaces_of, task_of

__all__ = ["CaromVectorEnv"]


class CaromVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` worlds, stepped at once. Rewards are negative costs; actions are in SI units.

    ``env.unwrapped.task`` is the task itself, with its differentiable ``step`` in torch, and ``env.unwrapped.state``
    the worlds as they stand. World i with seed s is the single environment with seed s + i, episode by episode: it
    does not depend on the worlds beside it.

    ``info`` has ``success``, bool [num_envs], with its mask ``_success``. With autoreset in the next step
    (gymnasium's default) the last observation of an episode is the one returned with it; the next action of that world
    is ignored, its reward 0 and its observation the first of the next episode. With ``AutoresetMode.SAME_STEP`` the
    first one comes at once, and the last in ``info["final_obs"]``.

    Args:
        num_envs: Worlds.
        task: Name of a closed-loop task, or one ready made.
        terminate_on_success: Whether an episode ends where the task succeeds.
        max_episode_steps: Steps after which an episode is truncated; by default the task's horizon.
        autoreset_mode: In the next step, or in the same.
        render_mode: None; there is nothing to render.
        **options: Options of the task.

    Raises:
        TaskError: An unknown task or option.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str | ControlTask = "push",
        *,
        terminate_on_success: bool = True,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise TaskError(f"num_envs must be an integer of at least 1, got {num_envs!r}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            raise gymnasium.error.UnsupportedMode(
                "autoreset cannot be disabled; step env.unwrapped.task yourself, which resets nothing"
            )
        self.task = task_of(task, render_mode, options)
        self.num_envs = num_envs
        self.terminate_on_success, self.limit = terminate_on_success, limit_of(self.task, max_episode_steps)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space, self.single_action_space = spaces_of(self.task)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state: ControlState | None = None
        self._keys: list[tuple[int, int]] = []
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every world.

        Args:
            seed: World i begins the first episode of seed + i (or of seed[i]); None: the next of its own, or, where
                there was none, of a random seed.
            options: None.
        """
        refuse_options(self.task, options)
        if seed is None and self._keys:
            self._keys = [(own, episode + 1) for own, episode in self._keys]
        else:
            self._keys = [(one, 0) for one in self._seeds(seed)]
        self._ended[:] = False
        with torch.no_grad():
            self.state = self.task.fresh(self._keys)
            return array(self.task.observe(self.state)), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control interval of every world, but of those whose episode has ended: these begin the next one.

        Raises:
            ResetNeeded: There was no reset.
            ClosedEnvironmentError: The environment is closed.
            InvalidAction: A wrong shape, an action that is not finite or out of bounds; nothing was stepped.
        """
        if self.closed:
            raise gymnasium.error.ClosedEnvironmentError(f"{self.task.name}: the environment is closed")
        if self.state is None:
            raise gymnasium.error.ResetNeeded(f"{self.task.name}: call reset before step")
        active = ~self._ended
        checked = checked_actions(self.task, actions, active)
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        success = np.zeros(self.num_envs, dtype=bool)
        with torch.no_grad():
            running, state = self._index(active), self.state
            if len(running):
                whole = bool(active.all())
                result = self.task.step(
                    state if whole else state.select(running), checked if whole else checked[running]
                )
                rewards[active] = -array(result.cost, np.float64)
                success[active] = array(self.task.success(result.state), bool)
                state = result.state if whole else state.replaced(running, result.state)
            state = self._begin_next(state, ~active)
            terminated = success & self.terminate_on_success
            truncated = active & (array(state.time, np.int64) >= self.limit)
            infos: dict[str, Any] = {"success": success, "_success": active}
            over = terminated | truncated
            observations = array(self.task.observe(state))
            if self.autoreset_mode is AutoresetMode.SAME_STEP and over.any():
                infos |= self._final(observations, success, over)
                state = self._begin_next(state, over)
                observations = array(self.task.observe(state))
                infos |= {"success": success & ~over, "_success": ~over}
                over = np.zeros_like(over)
        self.state, self._ended = state, over
        return observations, rewards, terminated, truncated, infos

    def _begin_next(self, state: ControlState, worlds: np.ndarray) -> ControlState:
        """The next episode in ``worlds`` (bool [num_envs])."""
        if not worlds.any():
            return state
        chosen = np.flatnonzero(worlds).tolist()
        for i in chosen:
            self._keys[i] = (self._keys[i][0], self._keys[i][1] + 1)
        return state.replaced(self._index(worlds), self.task.fresh([self._keys[i] for i in chosen]))

    def _final(self, observations: np.ndarray, success: np.ndarray, over: np.ndarray) -> dict[str, Any]:
        final = np.full(self.num_envs, None, dtype=object)
        for i in np.flatnonzero(over):
            final[i] = observations[i]
        info = {"success": success & over, "_success": over}
        return {"final_obs": final, "_final_obs": over, "final_info": info, "_final_info": over}

    def _index(self, mask: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.flatnonzero(mask)).to(self.task.device)

    def _seeds(self, seed: int | Sequence[int] | None) -> list[int]:
        first: int | None = seed if seed is None or isinstance(seed, (int, np.integer)) else int(seed[0])
        super().reset(seed=first)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        if isinstance(seed, (int, np.integer)):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise TaskError(f"{self.task.name}: seed must be an integer, or one for each of {self.num_envs} worlds")
        return [int(one) for one in seed]
