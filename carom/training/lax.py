"""LAX for a policy: the score-function gradient of a window with a trained network as control variate."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..envs.control import ControlTask
from ..gradients.estimators.adam import Adam
from ..gradients.noise.counter_random import derive_seed
from ..gradients.policy import generalized_advantages
from ..plain import plain_numbers
from .mixture import trajectory_gradient
from .modules import minibatches, seeded
from .policy import Policy, perceptron
from .score_function import mean_of_others, split_like
from .window import Played, Setting, Window, roll_window, unit_noise

__all__ = ["LAX", "variate_pulls"]


@plain_numbers
@dataclass(frozen=True)
class LAX:
    """The score function with a control variate c(observation, action) that need not be a value function.

        gradient = mean over worlds of sum_t [(A_t - c) w_t / scale + dc/da_t] d mean action_t / d parameters

    (Grathwohl et al. 2018, "Backpropagation through the Void", section 3.3, with advantages A in place of returns.)
    It has the mean of the score function for any c, since E c w / scale = E dc/da. c is a network of the observation
    and of the noise w, trained on the variance of the term in brackets, on windows before this one. It uses no
    derivative of the simulator.
    """

    decay: float = 0.95
    """Lambda of generalized advantage estimation."""
    hidden: Sequence[int] = (64, 64)
    """Widths of the control variate's layers."""
    learning_rate: float = 1e-3
    epochs: int = 4
    """Passes over a window in which the control variate is trained, in four minibatches each."""
    softening: ClassVar[None] = None

    def begin(self, task: ControlTask, seed: int) -> dict:
        """A fresh network, its optimizer, and no unit yet: there is no control variate in the first window."""
        network = self._network(task, seed)
        adam = Adam(network.parameters(), lr=self.learning_rate)
        return {"network": network.state_dict(), "adam": adam.state_dict(), "spread": 0.0}

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient, from one rollout without derivatives; then the control variate learns from it."""
        shape = (setting.length, window.start.worlds, len(setting.task.action_names))
        noise = unit_noise(window.seed, *shape, like=policy.low)
        with torch.no_grad():
            played, *_ = roll_window(setting, policy, window, noise)
            values = window.value(played.observations.flatten(0, 1)).view(setting.length + 1, -1)
        # the last value belongs to the costs: nothing follows the window but what the critic expects
        costs = torch.cat([played.charges[:-1], played.charges[-1:] + setting.discount * values[-1:]])
        still = torch.cat([values[:-1], torch.zeros_like(values[:1])])
        advantages = generalized_advantages(costs, still, setting.discount, self.decay)
        advantages = advantages - mean_of_others(advantages)
        network = self._network(setting.task, 0)
        network.load_state_dict(carried["network"])
        seen = played.observations[:-1]
        pulls = variate_pulls(network, carried["spread"], seen, noise, advantages).detach() / setting.noise
        powers = setting.discount ** torch.arange(setting.length, dtype=pulls.dtype, device=pulls.device)
        gradient, _ = trajectory_gradient(policy, seen, powers[:, None, None] * pulls)
        left = self._trained(network, carried, seen.flatten(0, 1), noise.flatten(0, 1), advantages.flatten(), window)
        return split_like(gradient, policy), played, left

    def _network(self, task: ControlTask, seed: int) -> torch.nn.Module:
        with seeded(derive_seed(seed, "control variate")):
            network = perceptron(len(task.observation_names) + len(task.action_names), self.hidden, 1, last=0.1)
        return network.to(task.device, task.dtype)

    def _trained(
        self,
        network: torch.nn.Module,
        carried: dict,
        seen: torch.Tensor,
        noise: torch.Tensor,
        advantages: torch.Tensor,
        window: Window,
    ) -> dict[str, Any]:
        spread = float(advantages.std())
        if not spread > 0.0:
            return carried  # a cost that never changes leaves nothing to learn
        adam = Adam(network.parameters(), lr=self.learning_rate)
        adam.load_state_dict(copy.deepcopy(carried["adam"]))
        spread = 0.9 * carried["spread"] + 0.1 * spread if carried["spread"] else spread
        for index in minibatches(len(seen), self.epochs, 4, derive_seed(window.seed, "control variate")):
            pulls = variate_pulls(network, spread, seen[index], noise[index], advantages[index])
            loss = pulls.square().sum(-1).mean() / spread**2
            adam.zero_grad()
            loss.backward()
            adam.step()
        return {"network": network.state_dict(), "adam": adam.state_dict(), "spread": spread}


def variate_pulls(
    network: torch.nn.Module, spread: float, seen: torch.Tensor, noise: torch.Tensor, advantages: torch.Tensor
) -> torch.Tensor:
    """(A - c) w + dc/dw at every point, [..., m]; differentiable by the network's parameters.

    Args:
        network: c in units of ``spread``, of observations and noise side by side.
        spread: Its unit; with 0 there is no control variate.
        seen: Observations, [..., k].
        noise: At unit scale, [..., m].
        advantages: [...].
    """
    plain = advantages[..., None] * noise
    if spread == 0.0:
        return plain
    leaf = noise.detach().clone().requires_grad_()
    with torch.enable_grad():
        values = spread * network(torch.cat([seen, leaf], dim=-1))
        (slopes,) = torch.autograd.grad(values.sum(), leaf, create_graph=True)
    return plain - values * noise + slopes
