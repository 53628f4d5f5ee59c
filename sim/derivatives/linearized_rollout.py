"""The rollouts within an evaluation of a cost, step by step: Jacobians, contacts, gradient by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import StateError
from ..state import State
from ..stepping.simulator import Simulator
from .jacobian import step_pullback

__all__ = ["LinearizedRollout", "contact_history", "linearize"]

_DENSE = 72
"""Coordinates of a state up to which whole Jacobians are computed: 6 bodies."""
_BLOCK = 64
"""Steps whose Jacobians are computed at once."""


@dataclass(frozen=True)
class _Rollout:
    """One rollout that the cost ran."""

    path_q: torch.Tensor
    path_v: torch.Tensor
    control: torch.Tensor
    values: dict[str, torch.Tensor]
    staged: torch.Tensor | None


class LinearizedRollout:
    """The steps of the rollouts of one world that one evaluation of a cost ran, one after the other.

    States are in minimal coordinates: position [m] and turn about the world axes [rad] of all bodies, then linear
    [m/s] and angular velocity [rad/s] of all bodies.
    """

    def __init__(self, simulator: Simulator, rollouts: list[_Rollout], control_gradients: list[torch.Tensor]) -> None:
        self.simulator = simulator
        self.rollouts = rollouts
        self.step_size = simulator.step_size
        """[s]"""
        driven = control_gradients[0].shape[2] > 0
        self.gradient_by_step = torch.cat(control_gradients)[:, 0] if driven else None
        """Derivative of the cost with respect to the controls of every step, [T, A]; None without controls."""
        self.state_size = 12 * rollouts[0].path_q.shape[2]
        """Coordinates of a state."""
        self._jacobians: dict[int, torch.Tensor] = {}
        self._where = [(i, t) for i, rollout in enumerate(rollouts) for t in range(len(rollout.control))]
        self.steps = len(self._where)
        """T."""

    def pull(self, step: int, seeds: torch.Tensor) -> torch.Tensor:
        """``seeds`` [k, n] times the Jacobian of the state after ``step`` by the state before it, [k, n]."""
        if self.state_size <= _DENSE:
            return seeds.double() @ self._jacobian(step)
        i, t = self._where[step]
        return self._products(i, t, t + 1, seeds.to(self.rollouts[i].path_q)[None])[0]

    def _jacobian(self, step: int) -> torch.Tensor:
        """The Jacobian of a step. Those of the steps before it are computed with it, as a batch costs little more."""
        if step not in self._jacobians:
            i, t = self._where[step]
            first = max(0, t + 1 - _BLOCK)
            path_q = self.rollouts[i].path_q
            seeds = torch.eye(self.state_size, dtype=path_q.dtype, device=path_q.device)
            block = self._products(i, first, t + 1, seeds.expand(t + 1 - first, -1, -1))
            self._jacobians = {step - t + first + k: block[k] for k in range(len(block))}
        return self._jacobians[step]

    def _products(self, rollout: int, first: int, stop: int, seeds: torch.Tensor) -> torch.Tensor:
        """Seeds [steps, k, n] times the Jacobians of steps ``first`` to ``stop``, each a world of its own."""
        part = self.rollouts[rollout]

        def rows(path: torch.Tensor) -> torch.Tensor:
            return torch.stack([path[first:stop, 0], path[first + 1 : stop + 1, 0]])

        control = part.control[first:stop, 0][None]
        staged = None if part.staged is None else part.staged[first:stop, 0][None]
        by_state, _ = step_pullback(
            self.simulator, rows(part.path_q), rows(part.path_v), control, part.values, seeds, staged
        )
        return by_state.double()


@contextmanager
def _watched(simulator: Simulator) -> Iterator[list[tuple[State, torch.Tensor, dict[str, torch.Tensor]]]]:
    calls: list[tuple[State, torch.Tensor, dict[str, torch.Tensor]]] = []

    def watcher(state: State, control: torch.Tensor, values: dict[str, torch.Tensor]) -> None:
        calls.append((state, control, values))

    simulator.watchers.append(watcher)
    try:
        yield calls
    finally:
        simulator.watchers.remove(watcher)


def linearize(
    simulator: Simulator, cost: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
) -> LinearizedRollout:
    """The linearized steps of ``cost(theta)``, which runs its rollouts with ``simulator``; theta is [1, parameters].

    Raises:
        StateError: The cost runs no rollout with this simulator, or torch finds no path from it to the controls.
    """
    leaf = theta.detach().clone().requires_grad_()
    with _watched(simulator) as calls, torch.enable_grad():
        value = cost(leaf)
        _refuse_none(calls)
        controls = [control for _, control, _ in calls]
        if not value.requires_grad:
            raise StateError("the cost does not depend on theta by torch: it has no gradient to look into")
        leaves = [control for control in controls if control.requires_grad]
        found = dict(
            zip(map(id, leaves), torch.autograd.grad(value.sum(), leaves, allow_unused=True), strict=True)
            if leaves
            else ()
        )
    gradients = []
    for control in controls:
        gradient = found.get(id(control))
        gradients.append(torch.zeros_like(control) if gradient is None else gradient.detach())
    return LinearizedRollout(simulator, [_path(simulator, *call) for call in calls], gradients)


def contact_history(
    simulator: Simulator, cost: Callable[[torch.Tensor], torch.Tensor], theta: torch.Tensor
) -> tuple[np.ndarray, list[str]]:
    """Pairs of shapes in contact at each step, bool [batch, T, pairs], and the names of the pairs.

    A pair is in contact in a step if one of its contacts carries a force. Pairs that never touch are left out.

    Raises:
        StateError: The cost runs no rollout with this simulator.
    """
    with _watched(simulator) as calls, torch.no_grad():
        cost(theta)
    _refuse_none(calls)
    names = simulator.model.shape_names
    tables: list[tuple[np.ndarray, np.ndarray, int]] = []
    for call in calls:
        rollout = _path(simulator, *call)
        forces = simulator.run_forces(rollout.path_q, rollout.path_v, rollout.control, rollout.values)
        steps, worlds = rollout.control.shape[:2]
        row = np.repeat(np.arange(steps * worlds), np.diff(forces["contact_start"]))
        pushes = (forces["contact_force"] != 0.0).any(axis=1)
        pair = np.sort(forces["contact_shape"], axis=1)
        tables.append((row[pushes], pair[pushes] @ [len(names), 1], steps))
    keys = np.unique(np.concatenate([pair for _, pair, _ in tables]))
    parts = []
    for row, pair, steps in tables:
        active = np.zeros((steps * len(theta), len(keys)), dtype=bool)
        active[row, np.searchsorted(keys, pair)] = True
        parts.append(active.reshape(steps, len(theta), len(keys)))
    labels = [f"{names[key // len(names)]} and {names[key % len(names)]}" for key in keys]
    return np.concatenate(parts).transpose(1, 0, 2), labels


def _refuse_none(calls: list[tuple[State, torch.Tensor, dict[str, torch.Tensor]]]) -> None:
    if not calls:
        raise StateError("the cost made no rollout with this simulator: pass the one that it steps")


@torch.no_grad()
def _path(simulator: Simulator, state: State, control: torch.Tensor, values: dict[str, torch.Tensor]) -> _Rollout:
    values = {name: value.detach() for name, value in values.items()}
    path_q, path_v, _, _, _, staged = simulator.run_forward(
        state.body_q.detach(), state.body_v.detach(), control.detach(), values, True
    )
    assert path_q is not None
    assert path_v is not None
    return _Rollout(path_q, path_v, control.detach(), values, staged)
