"""Passes over the steps of a batch of worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch

__all__ = ["Kind", "Parts", "Pass"]


class Kind(Enum):
    """Work of a pass."""

    FORWARD = "forward"
    """Steps."""
    BACKWARD = "backward"
    """Adjoints of steps, the last first."""
    FORCES = "forces"
    """Contacts and forces of a step whose end is known."""
    OVERLAP = "overlap"
    """Depth of the deepest overlap of the first state."""


@dataclass(frozen=True)
class Pass:
    """One kind of work under one contact law; each is recorded in graphs of its own."""

    kind: Kind
    impacts: bool = False
    """Whether shapes have restitution."""
    resists: bool = False
    """Whether contacts have rolling or torsional resistance."""

    @property
    def is_backward(self) -> bool:
        """Whether it needs adjoints."""
        return self.kind is Kind.BACKWARD


@dataclass(frozen=True)
class Parts:
    """Assignment of worlds to passes."""

    order: torch.Tensor | None
    """Worlds in the order in which they are run, [W]; None for the given order."""
    bounds: list[tuple[int, int]]
    """Places in that order at which each part starts and stops; the stop is not in it."""
    passes: list[Pass]
    """Of each part."""

    def work(self, start: int) -> Pass:
        """Pass of the part that holds a place of the order."""
        return next(work for (_, stop), work in zip(self.bounds, self.passes, strict=True) if start < stop)

    def own(self, start: int, stop: int) -> slice | torch.Tensor:
        """Index of the worlds at some places of the order."""
        return slice(start, stop) if self.order is None else self.order[start:stop]

    def numbers(self, start: int, stop: int) -> Sequence[int]:
        """Their numbers."""
        return range(start, stop) if self.order is None else self.order[start:stop].tolist()
