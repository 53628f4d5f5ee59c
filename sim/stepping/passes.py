"""Passes over the steps of a batch of worlds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Kind", "Pass"]


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
