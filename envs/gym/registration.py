"""The closed-loop tasks by their gymnasium names."""

from __future__ import annotations

import gymnasium

__all__ = ["ENVIRONMENTS", "register"]

ENVIRONMENTS = {
    "carom/Push-v0": "push",
    "carom/PushT-v0": "push_t",
    "carom/Carrots-v0": "carrots",
    "carom/BoxPushing-v0": "box_pushing",
}
"""Environments, and the closed-loop task of each."""


def register() -> None:
    """Register what is not registered yet."""
    for name, task in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="carom.envs.gym.single:CaromEnv",
                vector_entry_point="carom.envs.gym.vector:CaromVectorEnv",
                kwargs={"task": task},
            )
