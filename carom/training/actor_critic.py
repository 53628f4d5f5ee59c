"""The short-horizon actor-critic: windows of ongoing episodes, a critic at their end, any gradient for the actor."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..envs.control import ControlTask
from ..gradients.core.optional import has_methods
from ..gradients.estimators.adam import Adam
from ..gradients.noise.counter_random import derive_seed
from ..plain import plain_numbers
from ..runs import NotFiniteError
from .analytic import Analytic
from .checks import check_count, check_hidden, check_not_negative, check_positive, check_share
from .errors import TrainingError
from .method import State, Trained
from .modules import minibatches, seeded, snapshot
from .policy import Policy, critic_network
from .targets import td_lambda_targets
from .window import ActorGradient, Played, Setting, Window
from .worlds import Worlds

__all__ = ["ActorCritic"]


@plain_numbers
@dataclass(frozen=True)
class ActorCritic:
    """Short-horizon actor-critic whose gradient is an option.

    (SHAC: Xu et al., "Accelerated Policy Learning with Parallel Differentiable Simulation", ICLR 2022.)
    W worlds go on from window to window. In each, the policy follows the gradient of the window's discounted cost plus
    what a target critic expects after it (eq. 5), clipped in norm, by Adam; then the critic is fitted to TD(lambda)
    returns (eq. 6 and 7), and the target follows it slowly. ``gradient`` says how that gradient is found; all else is
    the same for all of them. Learning rates fall geometrically as training
    goes on, the noise linearly.
    """

    gradient: ActorGradient = field(default_factory=Analytic)
    """``Analytic()``, ``Analytic(Softplus(...))``, ``ScoreFunction()``, ``Mixture()``, ``LAX()`` or
    ``ByBackend(...)``."""
    worlds: int = 128
    """W. Fewer of them make a gradient noisier and leave more steps of the policy for as many intervals."""
    window: int | None = None
    """Control intervals of a window; a divisor of the task's horizon, so that no episode ends within one. None: the
    divisor that is nearest to the task's ``training_window`` by ratio (10 of the 40 of a push, 1 of the 5 of
    carrots)."""
    hidden: Sequence[int] = (64, 64)
    """Widths of the hidden layers of policy and critic."""
    discount: float = 0.99
    decay: float = 0.95
    """Lambda of the critic's targets."""
    noise: float = 0.2
    """Standard deviation of the noise on raw actions at the beginning."""
    final_noise: float = 0.02
    """Standard deviation of the noise on raw actions at the end."""
    learning_rate: float = 2e-3
    """Learning rate of the policy at the beginning."""
    critic_learning_rate: float = 2e-3
    final_rate: float = 0.05
    """Part of the learning rates that is left at the end."""
    clip: float = 0.5
    """Largest norm of a gradient; longer ones are shortened to it."""
    critic_epochs: int = 8
    """Passes over a window in which the critic is fitted, in four minibatches each."""
    target_rate: float = 0.2
    """Part of the way that the target critic goes to the critic in each window."""
    average: float = 0.03
    """Part of the way that the averaged policy, which is what is evaluated and kept, goes to the policy in each window
    (Polyak and Juditsky 1992)."""
    root: float = 0.0
    """If positive, training minimizes sqrt(cost + root^2) - root in place of the cost, which weighs the last
    millimetres more. Reported costs are the task's own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_hidden(self.hidden))
        if not has_methods(self.gradient, "estimate"):
            raise TrainingError(
                f"gradient is {self.gradient!r}: give Analytic(), ScoreFunction(), Mixture(), LAX() or ByBackend(...)"
            )
        check_count("worlds", self.worlds, getattr(self.gradient, "least_worlds", 2))
        check_count("critic_epochs", self.critic_epochs)
        if self.window is not None:
            check_count("window", self.window)
        for name in ("noise", "final_noise", "learning_rate", "critic_learning_rate", "clip"):
            check_positive(name, getattr(self, name))
        for name in ("discount", "decay", "target_rate", "final_rate", "average"):
            check_share(name, getattr(self, name))
        check_not_negative("root", self.root)

    @property
    def softening(self) -> object | None:
        """Contact function that the task's simulator must have."""
        return self.gradient.softening

    def steps(self, task: ControlTask) -> int:
        """Control intervals simulated in an iteration, over all worlds."""
        windows = 1
        if has_methods(self.gradient, "windows"):  # each of a gradient's rollouts is a window
            with seeded(0):
                policy = Policy.of(task, self.hidden)
            windows = self.gradient.windows(sum(p.numel() for p in policy.parameters()))  # type: ignore[attr-defined]
        return windows * self.worlds * self.length(task)

    def length(self, task: ControlTask) -> int:
        """Control intervals of a window on this task."""
        if self.window is not None:
            return self.window
        return min(_divisors(task.horizon), key=lambda one: (abs(math.log(one / task.training_window)), one))

    def check(self, task: ControlTask) -> None:
        """Refuse a window that episodes would end in."""
        if task.horizon % self.length(task):
            divisors = ", ".join(map(str, _divisors(task.horizon)))
            raise TrainingError(
                f"a window of {self.window} intervals does not divide the {task.horizon} of an episode of "
                f"{task.name!r}: give a divisor ({divisors}), or leave window out"
            )

    def begin(self, task: ControlTask, seed: int) -> State:
        """Fresh networks and worlds."""
        policy, critic, actor_adam, critic_adam = self._parts(task, seed)
        return {
            "policy": snapshot(policy),
            "averaged": snapshot(policy),
            "critic": snapshot(critic),
            "target": snapshot(critic),
            "actor_adam": snapshot(actor_adam),
            "critic_adam": snapshot(critic_adam),
            "worlds": Worlds.begin(task, self.worlds, seed, stagger=self.length(task)).snapshot(),
            "gradient": self.gradient.begin(task, seed),
        }

    def advance(self, task: ControlTask, state: State, *, seed: int, iteration: int, progress: float) -> Trained:
        """Advance by one window: a step of the policy, and a fit of the critic."""
        policy, critic, actor_adam, critic_adam = self._parts(task, seed)
        policy.load_state_dict(state["policy"])
        critic.load_state_dict(state["critic"])
        target = copy.deepcopy(critic)
        target.load_state_dict(state["target"])
        target.requires_grad_(False)
        actor_adam.load_state_dict(copy.deepcopy(state["actor_adam"]))
        critic_adam.load_state_dict(copy.deepcopy(state["critic_adam"]))
        worlds = Worlds.restore(task, seed, state["worlds"])
        left = self.final_rate**progress
        _set_rate(actor_adam, self.learning_rate * left)
        _set_rate(critic_adam, self.critic_learning_rate * left)

        noise = self.noise + progress * (self.final_noise - self.noise)
        setting = Setting(task, self.length(task), self.discount, noise, self._charge())
        window = Window(worlds.state, _value(target), derive_seed(seed, "window", iteration))
        gradient, played, carried = self.gradient.estimate(setting, policy, window, state["gradient"])
        norm = self._step(policy, actor_adam, gradient, setting.length)
        loss = self._fit(critic, critic_adam, target, played, derive_seed(seed, "critic", iteration))
        for mine, theirs in zip(target.parameters(), critic.parameters(), strict=True):
            mine.data.lerp_(theirs.data, self.target_rate)
        share = max(self.average, 1.0 / (iteration + 1))
        averaged = {name: old.lerp(policy.state_dict()[name], share) for name, old in state["averaged"].items()}
        after = {
            "policy": snapshot(policy),
            "averaged": averaged,
            "critic": snapshot(critic),
            "target": snapshot(target),
            "actor_adam": snapshot(actor_adam),
            "critic_adam": snapshot(critic_adam),
            "worlds": worlds.moved(played.end).snapshot(),
            "gradient": carried,
        }
        return Trained(after, {"cost": float(played.costs.mean()), "gradient_norm": norm, "critic_loss": loss})

    def policy(self, task: ControlTask, state: State) -> Policy:
        """The averaged policy."""
        policy = Policy.of(task, self.hidden)
        policy.load_state_dict(state["averaged"])
        return policy

    def _parts(
        self, task: ControlTask, seed: int
    ) -> tuple[Policy, torch.nn.Module, torch.optim.Optimizer, torch.optim.Optimizer]:
        with seeded(derive_seed(seed, "networks")):
            policy, critic = Policy.of(task, self.hidden), critic_network(task, self.hidden)
        actor = Adam(policy.parameters(), lr=self.learning_rate, betas=(0.7, 0.95))
        return policy, critic, actor, Adam(critic.parameters(), self.critic_learning_rate, (0.7, 0.95))

    def _charge(self) -> Callable[[torch.Tensor], torch.Tensor]:
        root = self.root
        return (lambda cost: (cost + root**2).sqrt() - root) if root else (lambda cost: cost)

    def _step(self, policy: Policy, adam: torch.optim.Optimizer, gradient: list[torch.Tensor], length: int) -> float:
        for parameter, slope in zip(policy.parameters(), gradient, strict=True):
            parameter.grad = slope / length
        norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), self.clip))
        if not math.isfinite(norm):
            raise NotFiniteError("the gradient of the policy is not finite")
        adam.step()
        return norm

    def _fit(
        self, critic: torch.nn.Module, adam: torch.optim.Optimizer, target: torch.nn.Module, played: Played, seed: int
    ) -> float:
        """Passes over the window; the mean squared error of the last one."""
        with torch.no_grad():
            values = _value(target)(played.observations[1:].flatten(0, 1)).view(played.charges.shape)
            goals = td_lambda_targets(played.charges, values, self.discount, self.decay).flatten()
        seen = played.observations[:-1].flatten(0, 1)
        losses: list[torch.Tensor] = []
        for index in minibatches(len(seen), self.critic_epochs, 4, seed):
            loss = (_value(critic)(seen[index]) - goals[index]).square().mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(critic.parameters(), self.clip)
            adam.step()
            losses.append(loss.detach())
        last = float(torch.stack(losses[-4:]).mean())
        if not math.isfinite(last):
            raise NotFiniteError("the critic's error is not finite. Try a smaller critic_learning_rate")
        return last


def _divisors(count: int) -> list[int]:
    return [one for one in range(1, count + 1) if count % one == 0]


def _value(critic: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda observations: critic(observations)[:, 0]


def _set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
