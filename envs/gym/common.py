"""Parts that single and vectorized environments share: the task, its spaces, the conversion of tensors to arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch

from ..control import ControlTask, make_control
from ..errors import TaskError

__all__ = ["array", "checked_actions", "checked_seed", "limit_of", "reset_goal", "spaces_of", "task_of"]

_ROUNDING = 1e-6  # excess over [-1, 1] that is accepted in actions


def task_of(task: str | ControlTask, options: dict[str, Any]) -> ControlTask:
    """The task by its name and options, or as it is."""
    if isinstance(task, str):
        return make_control(task, **options)
    if options:
        raise TaskError(f"options {', '.join(options)} belong to the task, which is given ready made")
    return task


def spaces_of(task: ControlTask, normalize_actions: bool) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """Spaces of observations and actions of one world; with ``normalize_actions`` those are within [-1, 1]."""
    if not isinstance(normalize_actions, bool):
        raise TaskError(f"{task.name}: normalize_actions must be True or False, got {normalize_actions!r}")
    low, high = (np.array(bound, dtype=np.float32) for bound in (task.action_low, task.action_high))
    if normalize_actions:
        low, high = -np.ones_like(low), np.ones_like(high)
    size = (len(task.observation_names),)
    return gymnasium.spaces.Box(-np.inf, np.inf, size, np.float32), gymnasium.spaces.Box(low, high, dtype=np.float32)


def limit_of(task: ControlTask, max_episode_steps: int | None) -> int:
    """Steps after which an episode is truncated."""
    if max_episode_steps is None:
        return task.horizon
    whole = isinstance(max_episode_steps, (int, np.integer)) and not isinstance(max_episode_steps, bool)
    if not whole or max_episode_steps < 1:
        raise TaskError(f"{task.name}: max_episode_steps must be an integer of at least 1, got {max_episode_steps!r}")
    return int(max_episode_steps)


def checked_seed(task: ControlTask, seed: Any) -> int:
    """A seed as an integer.

    Raises:
        TaskError: It is none, or negative, which gymnasium's seeds are not.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise TaskError(f"{task.name}: a seed must be an integer that is not negative, got {seed!r}")
    return int(seed)


def reset_goal(task: ControlTask, options: dict[str, Any] | None, *further: str) -> Any:
    """The goal that the options of a reset choose, or None.

    Args:
        task: Task whose goal is chosen.
        options: Options of the reset.
        *further: Names of options that are read elsewhere.

    Raises:
        TaskError: Other options.
    """
    known = ("goal", *further)
    unknown = [name for name in options or {} if name not in known]
    if unknown:
        raise TaskError(
            f"{task.name}: reset knows the options {', '.join(known)}, got {', '.join(map(str, unknown))}; options of "
            "the task itself are given to make"
        )
    return (options or {}).get("goal")


def checked_actions(
    task: ControlTask, actions: Any, active: np.ndarray, *, normalized: bool = False, single: bool = False
) -> torch.Tensor:
    """The task's actions [worlds, m] as a tensor; those of worlds that are not ``active`` are ignored.

    Args:
        task: Task of the actions.
        actions: [worlds, m]; with ``single`` of one world, [m].
        active: Worlds that are stepped, bool [worlds].
        normalized: Whether -1 and 1 stand for the task's bounds.
        single: Whether there is one world, without a dimension of its own.

    Raises:
        InvalidAction: A wrong shape, anything but real numbers, an action that is not finite or out of bounds.
    """
    if isinstance(actions, torch.Tensor) and actions.requires_grad:
        raise gymnasium.error.InvalidAction(
            f"{task.name}: the action requires a gradient, which environments cut: give action.detach(), or step "
            "env.unwrapped.task, which is differentiable"
        )
    wanted = (len(task.action_names),) if single else (len(active), len(task.action_names))
    try:
        given = np.asarray(actions)
        if given.dtype.kind not in "fiubO":
            raise TypeError(f"its type is {given.dtype}")
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise gymnasium.error.InvalidAction(f"{task.name}: actions are not an array of numbers: {error}") from error
    if values.shape != wanted:
        raise gymnasium.error.InvalidAction(f"{task.name}: actions must have shape {wanted}, got {values.shape}")
    values = values.reshape(len(active), -1)
    low, high = np.array(task.action_low), np.array(task.action_high)
    if normalized:
        out = active[:, None] & (np.abs(values) > 1.0 + _ROUNDING)
        if out.any():
            row, column = np.argwhere(out)[0]
            raise gymnasium.error.InvalidAction(
                f"{task.name}: action {task.action_names[column]!r} of world {row} is {values[row, column]:.6g}, out "
                "of bounds [-1, 1] (normalize_actions=True); squash the policy's output (tanh) or clip it"
            )
        values = low + 0.5 * (np.clip(values, -1.0, 1.0) + 1.0) * (high - low)
    values[~active] = low
    try:
        return task.check_action(torch.from_numpy(values), len(active))
    except TaskError as error:
        raise gymnasium.error.InvalidAction(str(error)) from error


def array(tensor: torch.Tensor, dtype: Any = np.float32) -> np.ndarray:
    """A copy as an array."""
    return tensor.detach().cpu().numpy().astype(dtype)
