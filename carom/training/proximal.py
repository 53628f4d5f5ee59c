"""PPO of stable-baselines3 on the same worlds: the baseline without gradients of the simulator."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..envs.control import ControlTask
from ..gradients.noise.counter_random import derive_seed
from ..runs import NotFiniteError
from .checks import check_count, check_hidden, check_not_negative, check_positive, check_share
from .errors import TrainingError
from .method import State, Trained
from .modules import seeded
from .policy import Policy
from .worlds import Worlds

__all__ = ["ProximalPolicy"]


@dataclass(frozen=True)
class ProximalPolicy:
    """Proximal policy optimization (Schulman et al. 2017) as stable-baselines3 does it; needs ``carom[training]``.

    Widths, squashing of actions, discount and cost are those of :class:`ActorCritic`; the layers are the library's own.
    An iteration is a rollout of ``window`` intervals of all worlds and the passes over it.
    """

    worlds: int = 128
    window: int = 40
    """Control intervals of a rollout; a divisor of the horizon or a multiple of it."""
    hidden: Sequence[int] = (64, 64)
    discount: float = 0.99
    decay: float = 0.95
    """Lambda of generalized advantage estimation."""
    learning_rate: float = 1e-3
    """Learning rate at the beginning; it falls linearly to zero."""
    epochs: int = 10
    """Passes over a rollout."""
    minibatch: int = 512
    clip: float = 0.2
    """Limit of the ratio of probabilities."""
    noise: float = 0.3
    """Initial standard deviation of raw actions; learned."""
    root: float = 0.0
    """Root of the cost, as in :class:`ActorCritic`."""
    softening: None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_hidden(self.hidden))
        for name in ("worlds", "window", "epochs"):
            check_count(name, getattr(self, name))
        check_count("minibatch", self.minibatch, 2)  # advantages are taken in units of their spread over it
        if self.worlds * self.window < 2:
            raise TrainingError("a rollout of one world and one interval has no spread: give more worlds, or a window")
        for name in ("learning_rate", "clip", "noise"):
            check_positive(name, getattr(self, name))
        for name in ("discount", "decay"):
            check_share(name, getattr(self, name))
        check_not_negative("root", self.root)

    def steps(self, task: ControlTask) -> int:
        """Control intervals simulated in an iteration, over all worlds."""
        return self.worlds * self.window

    def check(self, task: ControlTask) -> None:
        """Refuse nothing but a missing library."""
        _proximal()

    def begin(self, task: ControlTask, seed: int) -> State:
        """Fresh networks and worlds."""
        worlds = Worlds.begin(task, self.worlds, seed, stagger=0)
        with seeded(derive_seed(seed, "networks")):
            model = self._model(task, worlds, 0.0, 0)
        with torch.no_grad():
            model.policy.log_std.fill_(float(np.log(self.noise)))
        return {"parameters": _plain(model.get_parameters()), "worlds": worlds.snapshot()}

    def advance(self, task: ControlTask, state: State, *, seed: int, iteration: int, progress: float) -> Trained:
        """One rollout, and the passes over it."""
        worlds = Worlds.restore(task, seed, state["worlds"])
        kept = np.random.get_state()  # noqa: NPY002 - stable-baselines3 shuffles by numpy's global generator
        try:
            with seeded(0):
                model = self._model(task, worlds, progress, derive_seed(seed, "ppo", iteration) % 2**32)
                model.set_parameters(copy.deepcopy(state["parameters"]), device=task.device)
                model.learn(self.steps(task))
        except ValueError as error:
            if "found invalid values" not in str(error):  # what torch's distributions say of means that are no numbers
                raise
            raise NotFiniteError(
                "PPO's distribution of actions is not finite any more. Try a smaller learning_rate"
            ) from None
        finally:
            np.random.set_state(kept)  # noqa: NPY002
        for name, weights in model.policy.named_parameters():
            if not bool(torch.isfinite(weights).all()):
                raise NotFiniteError(f"PPO's weights {name!r} are not finite any more. Try a smaller learning_rate")
        env: Any = model.get_env()
        after = {"parameters": _plain(model.get_parameters()), "worlds": env.worlds.snapshot()}
        return Trained(after, {"cost": float(np.mean(env.costs)), "gradient_norm": None, "critic_loss": None})

    def policy(self, task: ControlTask, state: State) -> Policy:
        """The mean of the policy's actions, without its noise."""
        weights, policy = state["parameters"]["policy"], Policy.of(task, self.hidden, "tanh")
        names = [name for name in weights if name.startswith(("mlp_extractor.policy_net", "action_net"))]
        own = policy.network.state_dict()
        policy.network.load_state_dict(dict(zip(own, (weights[name] for name in names), strict=True)))
        return policy

    def _model(self, task: ControlTask, worlds: Worlds, progress: float, seed: int) -> Any:
        PPO, WorldsVecEnv = _proximal()
        env = WorldsVecEnv(worlds, Policy.of(task, self.hidden), self.root)
        widths = list(self.hidden)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*mini-batch.*")
            return PPO(
                "MlpPolicy", env, n_steps=self.window, batch_size=min(self.minibatch, self.steps(task)),
                n_epochs=self.epochs, learning_rate=self.learning_rate * (1.0 - progress), gamma=self.discount,
                gae_lambda=self.decay, clip_range=self.clip, seed=seed, device=task.device,
                policy_kwargs={"net_arch": {"pi": widths, "vf": widths}, "activation_fn": torch.nn.Tanh},
            )  # fmt: skip


def _proximal() -> tuple[Any, Any]:
    """PPO and the worlds as its environment; the library is no dependency of carom."""
    try:
        from stable_baselines3 import PPO

        from .vec_env import WorldsVecEnv
    except ImportError as error:
        raise TrainingError(f"PPO needs stable-baselines3: pip install 'carom[training]' ({error})") from None
    return PPO, WorldsVecEnv


def _plain(parameters: Any) -> dict[str, Any]:
    """A copy whose values are tensors, numbers, lists and dicts."""
    plain: dict[str, Any] = copy.deepcopy({name: _dict(value) for name, value in parameters.items()})
    return plain


def _dict(value: Any) -> Any:
    return {key: _dict(one) for key, one in value.items()} if isinstance(value, dict) else value
