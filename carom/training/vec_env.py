"""Worlds in the middle of episodes as a ``VecEnv`` of stable-baselines3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.vec_env import VecEnv

from .errors import refuse_not_finite_in_window
from .policy import Policy
from .worlds import Worlds

__all__ = ["WorldsVecEnv"]

_FAR = 5.0  # tanh is at its bounds to four digits


class WorldsVecEnv(VecEnv):
    """Environment of raw actions. Episodes end at the horizon only, and the next begins at once.

    Rewards are negative costs of the training.

    ``reset`` begins nothing anew: the worlds go on from where they are.

    Args:
        worlds: Worlds to step; the attribute ``worlds`` of the environment has them as they stand.
        policy: Policy whose ``squash`` makes actions of raw ones.
        root: As in :class:`carom.training.ActorCritic`.
    """

    def __init__(self, worlds: Worlds, policy: Policy, root: float):
        self.worlds, self.policy, self.root = worlds, policy, root
        self.costs: list[float] = []
        self.render_mode = None
        task = worlds.task
        seen = gymnasium.spaces.Box(-np.inf, np.inf, (len(task.observation_names),), np.float32)
        raw = gymnasium.spaces.Box(-_FAR, _FAR, (len(task.action_names),), np.float32)
        super().__init__(worlds.state.worlds, seen, raw)

    def reset(self) -> np.ndarray:
        """The observations as they are."""
        return self._seen()

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the raw actions for ``step_wait``."""
        self._raw = torch.as_tensor(actions, device="cpu")

    @torch.no_grad()
    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every world one control interval."""
        task, before = self.worlds.task, self.worlds.state
        raw = self._raw.to(before.goal)
        refuse_not_finite_in_window("the policy's action", [raw], before.time)
        result = task.step(before, self.policy.squash(raw))
        refuse_not_finite_in_window("the cost", [result.cost], before.time)
        refuse_not_finite_in_window("the observation", [result.observation], before.time)
        self.costs.append(float(result.cost.mean()))
        charge = (result.cost + self.root**2).sqrt() - self.root if self.root else result.cost
        refuse_not_finite_in_window(
            "the root of the cost (the setting root needs costs from 0 up)", [charge], before.time
        )
        over = (result.state.time >= task.horizon).cpu().numpy()
        last = result.observation.float().cpu().numpy()
        infos: list[dict[str, Any]] = [{} for _ in over]
        for world in np.flatnonzero(over):
            infos[world] = {"terminal_observation": last[world], "TimeLimit.truncated": True}
        self.worlds = self.worlds.moved(result.state)
        return self._seen(), -charge.float().cpu().numpy(), over, infos

    def _seen(self) -> np.ndarray:
        with torch.no_grad():
            seen: np.ndarray = self.worlds.task.observe(self.worlds.state).float().cpu().numpy()
        return seen

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Attribute, the same for every world."""
        return [getattr(self, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """There are no environments of their own."""
        raise AttributeError(f"the worlds of a batch share everything: there is no {attr_name} of one to set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """There are no environments of their own."""
        raise AttributeError(f"the worlds of a batch share everything: there is no {method_name} of one to call")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """No world is wrapped."""
        return [False] * self.num_envs

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Episodes follow from the seed of the worlds: nothing to do."""
        return [None] * self.num_envs
