"""A window: a few control intervals of all worlds, what a policy did in them, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..envs.control import ControlState, ControlTask, FlatStates
from ..gradients.policy import ControlProblem
from .errors import refuse_not_finite_in_window
from .policy import Policy

__all__ = [
    "ActorGradient",
    "Played",
    "Setting",
    "ValueFunction",
    "Window",
    "observed_problem",
    "roll_window",
    "unit_noise",
]

ValueFunction = Callable[[torch.Tensor], torch.Tensor]
"""Observations [batch, k] to values [batch]."""


@dataclass(frozen=True)
class Setting:
    """Problem of a window: minimize the sum over t < length of discount^t cost_t, plus discount^length value(end)."""

    task: ControlTask
    length: int
    """Control intervals T."""
    discount: float
    noise: float
    """Standard deviation of the Gaussian noise on raw actions."""
    charge: Callable[[torch.Tensor], torch.Tensor]
    """Map from the task's cost to the cost of the training, entry by entry."""


@dataclass(frozen=True)
class Window:
    """Start of a window, and its random numbers."""

    start: ControlState
    """W worlds."""
    value: ValueFunction
    """Value of the observation after the last step: the expected cost from there on. Its parameters are constants."""
    seed: int
    first: int = 0
    """Number of the first world, where these are a part of all: for messages."""

    def refuse_not_finite(self, what: str, numbers: Sequence[torch.Tensor], *, first: int = 0) -> None:
        """Raise a NotFiniteError that names world and step, where one of ``numbers`` ([W] or [W, n] a step) is."""
        refuse_not_finite_in_window(what, numbers, self.start.time, first=first, first_world=self.first)


@dataclass(frozen=True)
class Played:
    """Observations and costs of a window, without gradients."""

    end: ControlState
    observations: torch.Tensor
    """[T + 1, W, k]."""
    costs: torch.Tensor
    """The task's own, [T, W]."""
    charges: torch.Tensor
    """Costs of the training made of them, [T, W]."""


class ActorGradient(Protocol):
    """A way to the gradient of a window's expected cost, averaged over worlds, by the policy's parameters."""

    @property
    def softening(self) -> object | None:
        """Contact function of the simulator that it wants, or None for hard contact."""
        ...

    def begin(self, task: ControlTask, seed: int) -> dict:
        """State carried from window to window, as plain tensors, lists and numbers."""
        ...

    def estimate(
        self, setting: Setting, policy: Policy, window: Window, carried: dict
    ) -> tuple[list[torch.Tensor], Played, dict]:
        """The gradient for each of ``policy.parameters()``, what was played, and what is carried on."""
        ...


def unit_noise(seed: int, *shape: int, like: torch.Tensor) -> torch.Tensor:
    """Gaussian numbers that depend on the seed alone, in the type and on the device of ``like``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device="cpu").to(like)


def roll_window(
    setting: Setting, policy: Policy, window: Window, noise: torch.Tensor
) -> tuple[Played, list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Step the window's worlds under the policy; differentiable where gradients are enabled.

    Args:
        setting: Task, length and cost of the window.
        policy: Policy that returns raw actions.
        window: Start of the window.
        noise: At unit scale, [T, W, m].

    Returns:
        Observations and costs of the window, raw actions [W, m] and costs of the training [W] of every step, and the
        last observation [W, k], all with their graph.

    Raises:
        NotFiniteError: Actions, costs or observations are not finite; the message names step and world.
    """
    task, state = setting.task, window.start
    observation = task.observe(state)
    observations, raws = [observation], []
    costs: list[torch.Tensor] = []
    charges: list[torch.Tensor] = []
    for unit in noise:
        raw = policy(observation) + setting.noise * unit
        raws.append(raw)
        now = len(costs)
        window.refuse_not_finite("the policy's action", [raw], first=now)
        state, cost, observation = task.step(state, policy.squash(raw))
        costs.append(cost)
        charges.append(setting.charge(cost))
        observations.append(observation)
        _refuse_outcome(window, cost, observation, charges[-1], now)
    played = Played(
        state.detach(),
        torch.stack([one.detach() for one in observations]),
        torch.stack([one.detach() for one in costs]),
        torch.stack([one.detach() for one in charges]),
    )
    return played, raws, charges, observation


def _refuse_outcome(
    window: Window, cost: torch.Tensor, observation: torch.Tensor, charge: torch.Tensor, step: int
) -> None:
    """Refuse what a step of the window has brought, where it is not finite."""
    window.refuse_not_finite("the cost", [cost], first=step)
    window.refuse_not_finite("the observation", [observation], first=step)
    window.refuse_not_finite("the root of the cost (the setting root needs costs from 0 up)", [charge], first=step)


def observed_problem(
    setting: Setting, policy: Policy, window: Window
) -> tuple[ControlProblem, Callable[[torch.Tensor], Played]]:
    """A window as a ``ControlProblem`` of raw actions, for the estimators of ``carom.gradients.policy``.

    Its states are rows: the observation, which is all that the policy gets, then everything else.

    Returns:
        The problem, and what makes a :class:`Played` of the last states [W, n], after the problem has been rolled out
        once.
    """
    task, flat = setting.task, FlatStates(window.start)
    observed = len(task.observation_names)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def rows(state: ControlState) -> torch.Tensor:
        return torch.cat([task.observe(state), flat.vector(state)], dim=1)

    def step(states: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        window.refuse_not_finite("the policy's action", [raw], first=len(seen))
        result = task.step(flat.state(states[:, observed:]), policy.squash(raw))
        charge = setting.charge(result.cost)
        _refuse_outcome(window, result.cost, result.observation, charge, len(seen))
        seen.append((result.observation, result.cost))
        return rows(result.state), charge

    def final_cost(states: torch.Tensor) -> torch.Tensor:
        return window.value(states[:, :observed])

    start = rows(window.start)
    problem = ControlProblem(step, start, setting.length, final_cost, setting.discount, name=task.name)

    def played(last: torch.Tensor) -> Played:
        observations = torch.stack([start[:, :observed], *(observation for observation, _ in seen)])
        costs = torch.stack([cost for _, cost in seen])
        return Played(flat.state(last[:, observed:]).detach(), observations, costs, setting.charge(costs))

    return problem, played
