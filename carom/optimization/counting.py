"""Rollouts counted at the objective, whatever evaluates it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from ..gradients.core.arrays import as_numbers

__all__ = ["Counted", "Tally"]


@dataclass
class Tally:
    """Evaluations of an objective since the last reset."""

    forward: int = 0
    """Rows whose cost was computed: rollouts."""
    backward: int = 0
    """Rows of these whose exact gradient was computed too: backward passes."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """Small batches of rows whose cost is known, with it."""

    def reset(self) -> None:
        """Begin anew."""
        self.forward, self.backward, self.seen = 0, 0, []

    def known(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Cost [] of ``theta`` [parameters] if it was computed, to the bit this row, since the last reset."""
        for rows, costs in self.seen:
            if rows.dtype == theta.dtype and rows.shape[1:] == theta.shape and bool((rows[0] == theta).all()):
                return costs[0]
        return None


class Counted:
    """An objective whose evaluations are counted; it has the attributes of the objective."""

    def __init__(self, objective: Any, tally: Tally, *, remember: bool = True):
        self._objective, self._tally, self._remember = objective, tally, remember

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of ``theta`` [batch, parameters]; arrays where the objective has arrays."""
        costs: torch.Tensor = self._objective(theta)
        self._count(theta)  # afterwards: an objective that is written for arrays fails with a tensor first
        self._note(theta, costs)
        return costs

    def __getattr__(self, name: str) -> Any:
        """Attribute of the objective of this name; counted where it makes rollouts."""
        attribute = getattr(self._objective, name)
        if name == "value_and_gradient":
            return self._with_gradient(attribute)
        if name == "outputs":
            return self._outputs(attribute)
        if name == "softened":
            return lambda *args, **options: Counted(attribute(*args, **options), self._tally, remember=False)
        return attribute

    def _count(self, theta: torch.Tensor, backward: bool | None = None) -> None:
        self._tally.forward += len(theta)
        graph = isinstance(theta, torch.Tensor) and theta.requires_grad and torch.is_grad_enabled()
        if graph if backward is None else backward:
            self._tally.backward += len(theta)

    def _note(self, theta: torch.Tensor, costs: torch.Tensor) -> None:
        if not self._remember or len(theta) != 1:
            return
        rows = theta if isinstance(theta, torch.Tensor) else torch.from_numpy(theta)
        numbers = as_numbers(costs)
        if numbers is not None and numbers.shape == (1,):
            self._tally.seen.append((rows.detach(), numbers.detach()))

    def _with_gradient(self, method: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
        def value_and_gradient(theta: torch.Tensor) -> Any:
            answer = method(theta)
            self._count(theta, backward=True)
            if isinstance(answer, tuple) and answer:
                self._note(theta, answer[0])
            return answer

        return value_and_gradient

    def _outputs(self, method: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
        def outputs(theta: torch.Tensor) -> Any:
            self._count(theta)
            return method(theta)

        return outputs
