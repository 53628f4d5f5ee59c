"""Costs of an unrolled objective forward, and its adjoint backward step by step, with a change in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from ...core.errors import GradientError
from ...core.unrolled import State, UnrolledObjective

__all__ = ["AtTime", "Change", "Pull", "Rollout", "exact", "roll_forward", "sweep_backward"]

AtTime = Callable[[int], torch.Tensor]
"""Theta [batch, parameters] of a step."""


@dataclass(frozen=True)
class Rollout:
    """A rollout without a graph."""

    states: list[State]
    """x_0 ... x_T."""
    costs: torch.Tensor
    """[T, batch], float64."""


@dataclass(frozen=True)
class Pull:
    """A step at one state, recorded by torch: products of an adjoint with its Jacobians."""

    before: State
    """Leaves."""
    theta: torch.Tensor
    """Leaf, [batch, parameters]."""
    after: State
    """Next state, as a function of the two."""
    met: State
    """Leaves with the numbers of ``after``, of which the cost is a function."""
    cost: torch.Tensor
    """[batch]"""

    def of_cost(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Derivative of the cost by next state, [batch, n], by the state itself, and by theta [batch, parameters]."""
        ones = torch.ones_like(self.cost)
        *parts, by_theta = _product((self.cost,), (ones,), (*self.met, *self.before, self.theta))
        count = len(self.met)
        return flat(tuple(parts[:count])), flat(tuple(parts[count:])), by_theta

    def of_state(self, adjoint: torch.Tensor, keep: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """``adjoint`` [batch, n] times the Jacobians of the next state by state, [batch, n], and by theta."""
        *parts, by_theta = _product(self.after, split(adjoint, self.after), (*self.before, self.theta), keep)
        return flat(tuple(parts)), by_theta

    def back(self, adjoint: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Adjoint before the step [batch, n], from that after it, and derivative by theta [batch, parameters]."""
        by_after, by_before, by_theta = self.of_cost()
        adjoint, more = self.of_state(adjoint + by_after)
        return adjoint + by_before, by_theta + more

    def jacobian(self) -> torch.Tensor:
        """Jacobian of the next state by the state, [batch, n, n]: n backward passes."""
        rows, n = flat(self.after).shape
        unit = torch.eye(n, dtype=self.after[0].dtype, device=self.after[0].device)
        return torch.stack([self.of_state(row.expand(rows, n), keep=True)[0] for row in unit], dim=1)


def _product(outputs: State, seeds: State, leaves: State, keep: bool = False) -> list[torch.Tensor]:
    """Seeds times the Jacobians of outputs by leaves; zeros where torch finds no way."""
    pairs = [(y, seed) for y, seed in zip(outputs, seeds, strict=True) if y.requires_grad]
    if not pairs:
        return [torch.zeros_like(leaf) for leaf in leaves]
    ys, gs = zip(*pairs, strict=True)
    found = torch.autograd.grad(ys, leaves, gs, retain_graph=keep, allow_unused=True)
    return [torch.zeros_like(leaf) if part is None else part for leaf, part in zip(leaves, found, strict=True)]


class Change(Protocol):
    """A way to carry the adjoint over a step."""

    def __call__(self, time: int, adjoint: torch.Tensor, pull: Pull) -> tuple[torch.Tensor, torch.Tensor]:
        """Adjoint before step ``time`` [batch, n] and derivative by that step's theta, from the adjoint after it."""
        ...


def exact(time: int, adjoint: torch.Tensor, pull: Pull) -> tuple[torch.Tensor, torch.Tensor]:
    """The adjoint as it is."""
    return pull.back(adjoint)


def flat(state: State) -> torch.Tensor:
    """The tensors of a state as one, [batch, n]."""
    return torch.cat([part.reshape(len(part), -1) for part in state], dim=1)


def split(vector: torch.Tensor, like: State) -> State:
    """Inverse of :func:`flat`."""
    parts = vector.split([part[0].numel() for part in like], dim=1)
    return tuple(part.reshape(one.shape).to(one) for part, one in zip(parts, like, strict=True))


@torch.no_grad()
def roll_forward(objective: UnrolledObjective, theta_at: AtTime) -> Rollout:
    """The rollout with theta of each step; the first state has that of step 0."""
    states, costs = [objective.first(theta_at(0))], []
    for time in range(objective.horizon):
        theta = theta_at(time)
        states.append(objective.advance(states[-1], theta, time))
        costs.append(objective.paid(states[-2], states[-1], theta, time).double())
    return Rollout(states, torch.stack(costs))


def sweep_backward(
    objective: UnrolledObjective,
    rollout: Rollout,
    theta_at: AtTime,
    change: Change,
    collect: Callable[[int, torch.Tensor], object],
) -> None:
    """Carry the adjoint from the last state to the first.

    Every step is run again to be differentiated: twice the work of a rollout forward, and memory for its states alone.
    ``collect(t, g)`` is given the derivative of all costs by theta of step t, [batch, parameters], that of the first
    state with t = 0.
    """
    adjoint = torch.zeros_like(flat(rollout.states[-1]))
    reached = False
    for time in reversed(range(objective.horizon)):
        pull = _recorded(objective, rollout.states[time], theta_at(time), time)
        reached = reached or pull.cost.requires_grad or any(part.requires_grad for part in pull.after)
        adjoint, by_theta = change(time, adjoint, pull)
        collect(time, by_theta.detach())
    leaf = theta_at(0).detach().clone().requires_grad_()
    with torch.enable_grad():
        first = objective.first(leaf)
    collect(0, _product(first, split(adjoint, first), (leaf,))[0])
    if not reached:
        raise GradientError(
            f"the steps of {objective.name!r} have no exact gradient: torch.autograd reaches neither state nor theta "
            "through them. Write them in torch operations without detach() or numpy, or use PersistentES or "
            'Smoothing(order="zeroth"), which need values only'
        )


def _recorded(objective: UnrolledObjective, state: State, theta: torch.Tensor, time: int) -> Pull:
    before = tuple(part.detach().requires_grad_() for part in state)
    leaf = theta.detach().clone().requires_grad_()
    with torch.enable_grad():
        # a step may work in place, which a leaf refuses
        after = objective.advance(_cloned(before), leaf.clone(), time)
        met = tuple(part.detach().clone().requires_grad_() for part in after)
        cost = objective.paid(_cloned(before), _cloned(met), leaf.clone(), time)
    return Pull(before, leaf, after, met, cost)


def _cloned(state: State) -> State:
    return tuple(part.clone() for part in state)
