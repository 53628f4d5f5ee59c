"""States and trajectories: plain torch tensors, worlds first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Diagnostics", "State", "Trajectory"]


@dataclass
class State:
    """Poses and velocities of all bodies of all worlds."""

    body_q: torch.Tensor
    """Pose of the centre of mass: position [m], unit quaternion (x, y, z, w); [worlds, bodies, 7]."""
    body_v: torch.Tensor
    """Velocity of the centre of mass [m/s], angular velocity [rad/s], world axes; [worlds, bodies, 6]."""

    @property
    def worlds(self) -> int:
        """Number of worlds."""
        return self.body_q.shape[0]

    def clone(self) -> State:
        """A copy that shares nothing."""
        return State(self.body_q.clone(), self.body_v.clone())


@dataclass
class Diagnostics:
    """How the contact solves of a rollout went, a row a world (int or float tensors on the CPU, [worlds])."""

    iterations: torch.Tensor
    """Newton iterations, summed over the steps."""
    steps: int
    failed_steps: torch.Tensor
    """Steps that did not reach the tolerance."""
    first_failure: torch.Tensor
    """The first such step, counted from 0; -1 if there is none."""
    residual: torch.Tensor
    """Largest relative gradient norm left at the end of a step."""
    contacts: torch.Tensor
    """Largest number of contacts listed at once."""
    penetration: torch.Tensor | None = None
    """Depth of the deepest contact at the end [m]; None for a single step or where overlaps are allowed."""


@dataclass
class Trajectory:
    """States of a rollout of T steps. ``body_q`` and ``body_v`` are None when only the end was asked for."""

    final: State
    body_q: torch.Tensor | None
    """[T + 1, worlds, bodies, 7]; entry 0 is the initial state."""
    body_v: torch.Tensor | None
    """[T + 1, worlds, bodies, 6]."""
    diagnostics: Diagnostics
