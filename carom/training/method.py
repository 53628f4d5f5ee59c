"""Interface of training methods: a state of plain tensors, and a step from one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..envs.control import ControlTask
from .policy import Policy

__all__ = ["Method", "State", "Trained"]

State = dict[str, Any]
"""State of a training: networks, optimizers and worlds, as nested dicts and lists of tensors and numbers."""


@dataclass(frozen=True)
class Trained:
    """Result of one iteration."""

    state: State
    figures: dict[str, float | None]
    """Row of the history, the same names in every iteration; "cost" is the task's mean cost of an interval."""


class Method(Protocol):
    """A way of training a policy. ``advance`` depends on its arguments alone: so runs can be resumed to the bit."""

    @property
    def softening(self) -> object | None:
        """Contact function that the task's simulator must have; None for hard contact."""
        ...

    def check(self, task: ControlTask) -> None:
        """Refuse a task that it does not fit, by a TrainingError."""
        ...

    def steps(self, task: ControlTask) -> int:
        """Control intervals simulated in an iteration, over all worlds."""
        ...

    def begin(self, task: ControlTask, seed: int) -> State:
        """The state of iteration 0."""
        ...

    def advance(self, task: ControlTask, state: State, *, seed: int, iteration: int, progress: float) -> Trained:
        """One iteration; ``state`` is left as it was.

        Args:
            task: Task of the training.
            state: State of the iteration.
            seed: Seed of the run.
            iteration: Number of the iteration, from 0.
            progress: Part of the training that is done, from 0 to 1: for schedules.
        """
        ...

    def policy(self, task: ControlTask, state: State) -> Policy:
        """The policy of a state."""
        ...
