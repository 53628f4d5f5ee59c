"""The closed-loop tasks as gymnasium environments; importing this registers them.

    import carom.envs.gym
    env = gymnasium.make_vec("carom/Push-v0", num_envs=256)

Without the import, gymnasium does it by the name "carom.envs.gym:carom/Push-v0". (Gymnasium has no plugins since 1.0.)
"""

try:
    import gymnasium  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "carom.envs.gym needs gymnasium: pip install 'carom[gymnasium]'; carom.envs.control does without"
    ) from error

from .registration import ENVIRONMENTS, register
from .single import CaromEnv
from .vector import CaromVectorEnv

__all__ = ["ENVIRONMENTS", "CaromEnv", "CaromVectorEnv", "register"]

register()
