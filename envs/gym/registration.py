"""The closed-loop tasks by their gymnasium names."""

from __future__ import annotations

import gymnasium

from ..control import control_tasks
from ..registry import tasks

__all__ = ["ENVIRONMENTS", "register"]


def _environments() -> dict[str, dict[str, str]]:
    stepped = [name for name in control_tasks() if name != "search"]
    found = {name: {"task": name} for name in stepped}
    found |= {name: {"task": "search", "objective": name} for name in tasks() if name not in stepped}
    return {f"carom/{name.title().replace('_', '')}-v0": options for name, options in found.items()}


ENVIRONMENTS = _environments()
"""Environments, and how they are made: closed-loop tasks, and searches for the parameters of all other objectives."""


def register() -> None:
    """Register what is not registered yet."""
    for name, options in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="carom.envs.gym.single:make_single",
                vector_entry_point="carom.envs.gym.vector:CaromVectorEnv",
                kwargs=dict(options),
            )
