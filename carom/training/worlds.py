"""Worlds of a training: batches of episodes that go on from window to window, as plain tensors for a checkpoint."""

from __future__ import annotations

from typing import Any

import torch

from ..envs.control import ControlState, ControlTask
from ..gradients.noise.counter_random import derive_seed

__all__ = ["Worlds"]


class Worlds:
    """W worlds, each somewhere in an episode, and the number of it; episode e of world i depends on (seed, i, e) only.

    Args:
        task: Task of the worlds.
        seed: Seed of all episodes.
        state: The worlds as they stand.
        episodes: Number of each one's episode, int [W].
    """

    def __init__(self, task: ControlTask, seed: int, state: ControlState, episodes: torch.Tensor):
        self.task, self.seed, self.state, self.episodes = task, seed, state, episodes

    @classmethod
    def begin(cls, task: ControlTask, count: int, seed: int, *, stagger: int) -> Worlds:
        """Worlds at the start of their first episode, whose clocks are moved apart in multiples of ``stagger``.

        Episodes then do not all end in the same window. The first episodes are shorter by the advance of the clock.
        """
        episodes = torch.zeros(count, dtype=torch.int64, device="cpu")
        state = task.fresh([_key(seed, world, 0) for world in range(count)])
        ahead = torch.arange(count, device=state.time.device) * stagger % max(stagger, task.horizon)
        state.time = state.time + ahead
        return cls(task, seed, state, episodes)

    def moved(self, state: ControlState) -> Worlds:
        """The worlds after a window; those whose episode is over begin the next."""
        over = (state.time >= self.task.horizon).nonzero()[:, 0]
        episodes = self.episodes.clone()
        if len(over):
            episodes[over.cpu()] += 1
            keys = [_key(self.seed, world, int(episodes[world])) for world in over.tolist()]
            state = state.replaced(over, self.task.fresh(keys))
        return Worlds(self.task, self.seed, state.detach(), episodes)

    def snapshot(self) -> dict[str, Any]:
        """Tensors that ``restore`` takes."""
        return {"episodes": self.episodes.clone(), "state": [tensor.clone() for tensor in self.state.tensors()]}

    @classmethod
    def restore(cls, task: ControlTask, seed: int, stored: dict[str, Any]) -> Worlds:
        """The worlds of a snapshot, to the bit."""
        order = iter(stored["state"])
        state = task.fresh([(0, 0)]).map(lambda like: next(order).to(like.device))
        return cls(task, seed, state, stored["episodes"])


def _key(seed: int, world: int, episode: int) -> tuple[int, int]:
    return derive_seed(seed, "training world", world), episode
