"""What single and vectorized environments share: the task, its spaces, and how tensors become arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch

from ..control import ControlTask, make_control
from ..errors import TaskError

__all__ = ["array", "checked_actions", "limit_of", "refuse_options", "spaces_of", "task_of"]


def task_of(task: str | ControlTask, render_mode: str | None, options: dict[str, Any]) -> ControlTask:
    """The task by its name and options, or as it is."""
    if render_mode is not None:
        raise gymnasium.error.UnsupportedMode(
            f"render_mode {render_mode!r}: these environments draw nothing; carom.animate draws recordings"
        )
    if isinstance(task, str):
        return make_control(task, **options)
    if options:
        raise TaskError(f"options {', '.join(options)} belong to the task, which is given ready made")
    return task


def spaces_of(task: ControlTask) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Spaces of observations and actions of one world."""
    low, high = (np.array(bound, dtype=np.float32) for bound in (task.action_low, task.action_high))
    size = (len(task.observation_names),)
    return gymnasium.spaces.Box(-np.inf, np.inf, size, np.float32), gymnasium.spaces.Box(low, high, dtype=np.float32)


def limit_of(task: ControlTask, max_episode_steps: int | None) -> int:
    """Steps after which an episode is truncated."""
    if max_episode_steps is not None and max_episode_steps < 1:
        raise TaskError(f"{task.name}: max_episode_steps must be at least 1, got {max_episode_steps}")
    return max_episode_steps or task.horizon


def refuse_options(task: ControlTask, options: dict[str, Any] | None) -> None:
    """There are no options of a reset."""
    if options:
        raise TaskError(
            f"{task.name}: reset takes no options, got {', '.join(options)}; give those of the task to make"
        )


def checked_actions(task: ControlTask, actions: Any, active: np.ndarray) -> torch.Tensor:
    """Actions [worlds, m] as a tensor; those of worlds that are not active (bool [worlds]) are not looked at.

    Raises:
        InvalidAction: A wrong shape, an action that is not finite or out of bounds.
    """
    wanted = (len(active), len(task.action_names))
    try:
        values = np.array(actions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise gymnasium.error.InvalidAction(f"{task.name}: actions are not an array of numbers: {error}") from error
    if values.shape != wanted:
        raise gymnasium.error.InvalidAction(f"{task.name}: actions must have shape {wanted}, got {values.shape}")
    values[~active] = task.action_low
    try:
        return task.check_action(torch.from_numpy(values), len(active))
    except TaskError as error:
        raise gymnasium.error.InvalidAction(str(error)) from error


def array(tensor: torch.Tensor, dtype: Any = np.float32) -> np.ndarray:
    """A copy as an array."""
    return tensor.detach().cpu().numpy().astype(dtype)
