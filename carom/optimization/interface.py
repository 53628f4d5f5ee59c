"""The one interface of all optimizers: state in, state out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from .problem import Problem

__all__ = ["Optimizer", "Step"]


@dataclass(frozen=True)
class Step:
    """Result of one iteration of an optimizer."""

    theta: torch.Tensor
    """Initial parameters of the next iteration, [parameters]."""
    memory: dict[str, Any]
    """State of the optimizer: tensors, numbers, strings, and dicts and lists of them."""
    cost: float
    """Cost of the theta that the iteration began with; of a population, its least."""
    best: tuple[torch.Tensor, float]
    """The best of the thetas whose cost was computed, [parameters], and its cost."""
    gradient_norm: float | None = None
    """Length of the gradient followed."""
    error_norm: float | None = None
    """Length of its standard errors, where it has any."""
    held: int = 0
    """Parameters that the bounds kept from going where the optimizer would have."""
    stop: str | None = None
    """Reason why no iteration should follow; None where one should."""


class Optimizer(Protocol):
    """A descent method: a small frozen dataclass without state.

    Its state is in ``memory``, so that a checkpoint of theta and memory is all there is. Randomness comes from
    ``problem.random_seed(iteration)``. Any two calls with the same arguments therefore give the same.
    """

    needs_gradient: ClassVar[bool]
    """Whether the problem must have a backend."""

    def begin(self, problem: Problem, theta: torch.Tensor) -> dict[str, Any]:
        """The memory before iteration 0, which begins at theta [parameters]."""
        ...

    def step(
        self, problem: Problem, theta: torch.Tensor, memory: dict[str, Any], *, iteration: int, used: float
    ) -> Step:
        """One iteration.

        Args:
            problem: Gives costs and gradients.
            theta: Parameters at its beginning, [parameters].
            memory: Memory of the iteration before; left as it is.
            iteration: Its number, from 0.
            used: Share of the budget used so far, from 0 to 1: for learning rates and noise that fall.
        """
        ...
