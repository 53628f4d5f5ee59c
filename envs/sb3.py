"""Batches of closed-loop tasks for stable-baselines3: one batch of the simulator as one ``VecEnv``.

    from stable_baselines3 import PPO
    from carom.envs.sb3 import BatchVecEnv

    model = PPO("MlpPolicy", BatchVecEnv("push", num_envs=256), n_steps=10)

The library is loaded by this module alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "carom.envs.sb3 needs stable-baselines3: pip install 'carom[training]'; carom.envs.gym does without"
    ) from error

from .control import ControlTask
from .errors import TaskError
from .gym import ENVIRONMENTS, CaromVectorEnv

__all__ = ["BatchVecEnv"]


class BatchVecEnv(VecEnv):
    """``num_envs`` worlds of a task, stepped at once, as stable-baselines3 wants them.

    Worlds are those of :class:`carom.envs.gym.CaromVectorEnv`, to the bit: world i with seed s is the single
    environment with seed s + i. A world whose episode is over begins the next at once; its info then has
    ``terminal_observation`` and, as that of every step, ``TimeLimit.truncated`` and ``success``; and ``episode``
    (return ``r``, length ``l``), which is what ``Monitor`` adds elsewhere. Algorithms of stable-baselines3 expect
    actions within [-1, 1], so that is the default here.

    Args:
        task: Name of a closed-loop task ("push"), a gymnasium name ("carom/Push-v0"), or a task ready made.
        num_envs: Worlds.
        normalize_actions: Whether actions are within [-1, 1], which stand for the task's bounds; else in SI units.
            ``gymnasium.make(..., normalize_actions=True)`` gives the same for a single environment.
        **options: Options of :class:`carom.envs.gym.CaromVectorEnv` (``terminate_on_success``, ``max_episode_steps``,
            ``render_mode``, ``render_width``) and of the task.

    Raises:
        TaskError: An unknown task or option.
    """

    def __init__(
        self,
        task: str | ControlTask = "push",
        num_envs: int = 1,
        *,
        normalize_actions: bool = True,
        **options: Any,
    ):
        if "autoreset_mode" in options:
            raise TaskError("autoreset_mode is stable-baselines3's: a world begins its next episode at once")
        if isinstance(task, str) and task in ENVIRONMENTS:
            options = {**ENVIRONMENTS[task], **options}
            task = options.pop("task")
        self.env = CaromVectorEnv(
            num_envs, task, autoreset_mode="SameStep", normalize_actions=normalize_actions, **options
        )
        """The batch, with ``task`` (differentiable) and ``state`` (the worlds as they stand)."""
        self.render_mode = self.env.render_mode
        super().__init__(self.env.num_envs, self.env.single_observation_space, self.env.single_action_space)
        self.metadata |= {"render_fps": self.env.metadata["render_fps"]}
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, dtype=np.int64)

    @property
    def task(self) -> ControlTask:
        """The task that is stepped."""
        return self.env.task

    def reset(self) -> np.ndarray:
        """Begin an episode in every world, with the seeds and options set since the last reset.

        Raises:
            TaskError: A goal that cannot be (``set_options``); nothing was reset.
        """
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, _ = self.env.reset(seed=seeds, options=self._joined_options())
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._returns[:], self._lengths[:] = 0.0, 0
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every world one control interval: observations, rewards [float32], whether episodes are over, infos."""
        observations, rewards, terminated, truncated, found = self.env.step(self._actions)
        over = terminated | truncated
        self._returns += rewards
        self._lengths += 1
        success = found["success"].copy()
        if over.any():
            success[over] = found["final_info"]["success"][over]
        cut = truncated & ~terminated
        infos: list[dict[str, Any]] = [
            {"TimeLimit.truncated": late, "success": reached}
            for late, reached in zip(cut.tolist(), success.tolist(), strict=True)
        ]
        for world in np.flatnonzero(over):
            infos[world] |= {
                "terminal_observation": found["final_obs"][world],
                "is_success": infos[world]["success"],
                "episode": {"r": float(self._returns[world]), "l": int(self._lengths[world])},
            }
        self._returns[over], self._lengths[over] = 0.0, 0
        return observations, rewards.astype(np.float32), over, infos

    def close(self) -> None:
        """Steps and resets are refused from here on."""
        self.env.close()

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """World i begins its first episode of seed + i at the next reset; None: of random seeds."""
        if seed is None:
            return super().seed(seed)
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise TaskError(f"{self.task.name}: a seed must be an integer that is not negative, got {seed!r}")
        return super().seed(int(seed))

    def get_images(self) -> Sequence[np.ndarray | None]:
        """A picture of every world, uint8 [height, width, 3]; ``render`` puts them side by side."""
        frames = self.env.render()
        return [None] * self.num_envs if frames is None else frames

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of the batch, once for each world: the worlds share it.

        Raises:
            AttributeError: There is none.
        """
        if attr_name == "render_mode":
            return [self.render_mode for _ in self._worlds(indices)]
        owner = self.env if hasattr(self.env, attr_name) else self.task
        value = getattr(owner, attr_name)
        return [value for _ in self._worlds(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Set an attribute of the batch, for all worlds.

        Raises:
            AttributeError: It is asked for some of the worlds only, which share it.
        """
        if sorted(self._worlds(indices)) != list(range(self.num_envs)):
            raise AttributeError(f"the worlds of a batch share {attr_name!r}: set it for all of them (indices=None)")
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """``render`` of worlds, or a method of the task, once, whose answer is given for each world.

        Raises:
            AttributeError: There is no such method; ``reset`` and ``step`` of a world, which the batch does for all.
        """
        worlds = self._worlds(indices)
        if method_name == "render":
            return [self.env.picture(world) if self.render_mode else None for world in worlds]
        if method_name == "get_wrapper_attr":
            (name,) = method_args
            return self.get_attr(name, indices=worlds)
        if method_name in ("reset", "step", "close"):
            raise AttributeError(f"{method_name} of a world: the worlds of a batch go on together, by the batch's own")
        method = getattr(self.task, method_name)
        answer = method(*method_args, **method_kwargs)
        return [answer for _ in worlds]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Whether worlds are wrapped: none is but for ``Monitor``, whose ``episode`` is in the infos."""
        from stable_baselines3.common.monitor import Monitor

        return [wrapper_class is Monitor for _ in self._worlds(indices)]

    def _worlds(self, indices: int | Iterable[int] | None) -> list[int]:
        return [int(world) for world in self._get_indices(indices)]

    def _joined_options(self) -> dict[str, Any] | None:
        """Options of the worlds as those of the batch."""
        names = sorted({name for one in self._options for name in one})
        if not names:
            return None
        if names != ["goal"]:
            raise TaskError(f"{self.task.name}: set_options knows the option goal, got {', '.join(names)}")
        if not all("goal" in one for one in self._options):
            raise TaskError(f"{self.task.name}: set_options gives a goal to some worlds only: give all of them one")
        return {"goal": [one["goal"] for one in self._options]}
