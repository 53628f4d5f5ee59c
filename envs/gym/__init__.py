"""The closed-loop tasks as gymnasium environments; importing this registers them.

    import carom.envs.gym
    env = gymnasium.make_vec("carom/Push-v0", num_envs=256)

An installed carom is known to gymnasium as a plugin, without the import.
"""

from ...gymnasium_plugin import register
from .single import CaromEnv
from .vector import CaromVectorEnv

__all__ = ["CaromEnv", "CaromVectorEnv", "register"]

register()
