"""Registration of the closed-loop tasks with gymnasium, which calls ``register`` when it is itself imported.

Kept apart from the environments, so that ``import gymnasium`` does not load torch.
"""

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
    """Register what is not registered yet; the name space is carom's."""
    for name, task in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point="carom.envs.gym.single:CaromEnv",
                vector_entry_point="carom.envs.gym.vector:CaromVectorEnv",
                kwargs={"task": task},
            )
