"""States and trajectories: plain torch tensors, worlds first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..short_text import counted

__all__ = ["Diagnostics", "State", "Trajectory"]


@dataclass
class State:
    """Poses and velocities of all bodies of all worlds."""

    body_q: torch.Tensor
    """Pose of the centre of mass: position [m], unit quaternion (x, y, z, w); [worlds, bodies, 7]."""
    body_v: torch.Tensor
    """Velocity of the centre of mass [m/s], angular velocity [rad/s], world axes; [worlds, bodies, 6]."""

    def __repr__(self) -> str:
        q = self.body_q
        bodies = counted(q.shape[-2], "body") if q.dim() > 1 else "bodies"
        return f"State of {counted(q.shape[0], 'world')}, {bodies}; {str(q.dtype)[6:]} on {q.device}"

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

    def __repr__(self) -> str:
        failed, contacts = int(self.failed_steps.sum()), counted(int(self.contacts.max()), "contact")
        return (
            f"Diagnostics: {counted(self.steps, 'step')} of {counted(len(self.iterations), 'world')}, "
            f"{int(self.iterations.sum()):,} Newton iterations, at most {contacts}, "
            f"{'no step' if failed == 0 else counted(failed, 'step')} failed"
        )


@dataclass
class Trajectory:
    """States of a rollout of T steps. ``body_q`` and ``body_v`` are None when only the end was asked for."""

    final: State
    body_q: torch.Tensor | None
    """[T + 1, worlds, bodies, 7]; entry 0 is the initial state."""
    body_v: torch.Tensor | None
    """[T + 1, worlds, bodies, 6]."""
    diagnostics: Diagnostics

    def __repr__(self) -> str:
        kept = "its last state" if self.body_q is None else "all states"
        rest = repr(self.diagnostics).removeprefix("Diagnostics: ")
        return f"Trajectory with {kept}: {counted(self.final.body_q.shape[-2], 'body')}, {rest}"
