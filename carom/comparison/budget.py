"""Budget: the number of rollouts that a comparison may spend, fewer where a rollout computes much.

Nothing is measured: a budget follows from the task and its options alone, so that the same call gives the same numbers
on a busy machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..capabilities import rollout_work
from ..gradients.core.errors import GradientError

__all__ = ["MOST", "Budget", "budget_of"]

MOST = 12_000
"""Rollouts of the reference, at most, where they are cheap."""

_WORK = (2_500.0, 10_000.0, 40_000.0)
"""A rollout of more ``rollout_work`` than each of these costs the budget another factor of four.

A unit, one step of one body, takes 2 to 4 microseconds of two cores: 6, 24 and 96 ms or so a rollout.
"""


@dataclass(frozen=True)
class Budget:
    """Numbers of rollouts, all of one: ``rollouts``, those of the reference at most."""

    rollouts: int = MOST
    simulated: bool = False
    """Whether a rollout simulates anything: a race of many small steps then costs more than its rollouts."""

    @property
    def seeds(self) -> int:
        """Estimates of each backend that samples."""
        return round(self.between(8, 16))

    @property
    def fitted_seeds(self) -> int:
        """Estimates of each backend that trains something."""
        return round(self.between(5, 6))

    @property
    def race(self) -> float:
        """Rollouts of each descent of the race."""
        return float(round(self.between(40, 240 if self.simulated else 400)))

    @property
    def race_starts(self) -> int:
        """Starts of the race."""
        return 4 if self.simulated else 5

    @property
    def trust_draws(self) -> int:
        """Antithetic pairs over which the cost is averaged for each step length."""
        return round(self.between(4, 16 if self.simulated else 64))

    def between(self, least: float, most: float) -> float:
        """``most`` where the budget is full; down to ``least`` at a 64th of it, by equal ratios."""
        share = min(1.0, max(1.0 / 64.0, self.rollouts / MOST))
        return float(
            least * (most / least) ** (1.0 + torch.tensor(share, dtype=torch.float32, device="cpu").log2().item() / 6.0)
        )

    @property
    def slice(self) -> dict[str, int]:
        """Points and draws of ``cost_along_slice``."""
        return {
            "hard_points": 2 * round(self.between(12, 80)) + 1,
            "smooth_points": 2 * round(self.between(4, 10)) + 1,
            "samples": 2 * round(self.between(4, 40)),
        }

    @property
    def landscape(self) -> dict[str, Any]:
        """Points of ``cost_over_plane``."""
        return {"hard_points": 2 * round(self.between(4, 20)) + 1, "spacing": self.between(1.0, 1.0 / 3.0)}


def budget_of(objective: object) -> Budget:
    """The budget for the objective's ``rollout_work``; the full one where it has none.

    Args:
        objective: Its ``rollout_work``, where it has one, counts steps times bodies of a rollout; a body made of convex
            hulls counts as four.

    Raises:
        GradientError: ``rollout_work`` is no number, or negative.
    """
    work: Any = rollout_work(objective)
    if isinstance(work, bool) or not isinstance(work, (int, float)) or not (math.isfinite(work) and work >= 0.0):
        raise GradientError(f"the objective's rollout_work is {work!r}: it counts steps times bodies of a rollout")
    return Budget(MOST // 4 ** sum(work > limit for limit in _WORK), simulated=work > 0)
