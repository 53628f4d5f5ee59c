"""Outcome of a race."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from .descent import Arm
from .scoring import Relation

__all__ = ["Race", "RaceCurve", "RaceEntry"]


@dataclass(frozen=True)
class RaceCurve:
    """A descent of the race."""

    rollouts: tuple[float, ...]
    """Spent before each point; a backward pass counts as 2 and the cost along the path as 1. 0 at the start."""
    cost: tuple[float, ...]
    """Cost as it is."""
    best: torch.Tensor
    """Theta of the least cost [parameters]."""
    gradient: torch.Tensor | None
    """The backend's gradient there; None where the descent ended before it was taken."""
    averaged: float | None
    """Cost averaged over the noise at ``best``; the noise is the same for all."""
    core_seconds: float
    """Seconds of a core until the end, of gradients alone."""
    stopped: str | None = None

    @property
    def least(self) -> float:
        """The least cost of the descent."""
        return min(self.cost)


@dataclass(frozen=True)
class RaceEntry:
    """A backend with the settings that did best for it."""

    name: str
    arm: Arm
    curves: tuple[RaceCurve, ...]
    """One a start."""
    log_work: tuple[float, ...]
    """One a start where some backend lowered the cost."""
    relation: Relation | None
    """Against the best; None for the best itself."""

    @property
    def core_seconds(self) -> float:
        """Seconds of a core, over all starts."""
        return sum(curve.core_seconds for curve in self.curves)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, without the seconds."""
        found = self.relation
        return {
            "samples": self.arm.samples or None,
            "rate": self.arm.rate,
            "log_work": list(self.log_work),
            "relation": None if found is None else found.label,
            "factor": None if found is None else [_plain(found.low), _plain(found.factor), _plain(found.high)],
            "curves": [
                {
                    "rollouts": list(curve.rollouts),
                    "cost": [_plain(cost) for cost in curve.cost],
                    "best": curve.best.tolist(),
                    "averaged": None if curve.averaged is None else _plain(curve.averaged),
                    "stopped": curve.stopped,
                }
                for curve in self.curves
            ],
        }


@dataclass(frozen=True)
class Race:
    """All backends, the best first."""

    entries: tuple[RaceEntry, ...]
    budget: float
    """Rollouts of each descent."""
    starts: int
    optimizer: str = "Adam"
    descends: bool = True
    """Whether any backend lowered the cost."""
    averaged_winner: str | None = None
    """Backend whose ends cost least on average over the noise, where that is certain and another than the best."""
    rollouts: int = 0
    """Spent in all, with the arms that were dropped."""
    failed: dict[str, str] = field(default_factory=dict)
    """Backends that could not run, with the reason."""

    @property
    def by_name(self) -> dict[str, RaceEntry]:
        """Entries by backend."""
        return {entry.name: entry for entry in self.entries}

    @property
    def undecided(self) -> bool:
        """Whether the two best are not told apart."""
        second = self.entries[1].relation if len(self.entries) > 1 else None
        return self.descends and second is not None and second.label == "not told apart"

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, without the seconds."""
        return {
            "optimizer": self.optimizer,
            "budget": self.budget,
            "starts": self.starts,
            "descends": self.descends,
            "averaged_winner": self.averaged_winner,
            "rollouts": self.rollouts,
            "entries": {entry.name: entry.as_dict() for entry in self.entries},
            "failed": self.failed,
        }


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None
