"""How many rollouts a comparison may spend: fewer where a rollout takes long."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from .gradients.interface import Objective
from .gradients.noise import draw_uniforms
from .gradients.objective import evaluate

__all__ = ["MOST", "Budget", "affordable"]

MOST = 12_000
"""Rollouts of the reference, at most, where they are cheap."""

_SECONDS = (0.006, 0.024, 0.096)
"""A rollout that takes longer than each of these costs the budget another factor of four.

Coarse steps, so that the same machine chooses the same budget again although no two measurements agree.
"""


@dataclass(frozen=True)
class Budget:
    """Numbers of rollouts, all of one: ``rollouts``, those of the reference at most."""

    rollouts: int = MOST

    @property
    def pilot(self) -> int:
        """Rollouts to find out how many the reference needs."""
        return self.rollouts // 7

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


def affordable(objective: Objective, theta: torch.Tensor, scale: torch.Tensor) -> Budget:
    """The budget for what a rollout near theta takes on this machine, as measured, in batches as they will be used."""
    seconds = 0.0
    for count in (8, 128):
        uniforms = draw_uniforms(0, "budget", first=0, rows=count, columns=len(theta))
        rows = (theta.double().cpu() + torch.special.ndtri(uniforms) * scale.cpu()).to(theta)
        evaluate(objective, rows)  # prepares buffers of this size
        clock = time.perf_counter()
        evaluate(objective, rows)
        seconds = (time.perf_counter() - clock) / count
        if seconds > _SECONDS[1]:  # a wider batch, which takes less for each, would not change much
            break
    return Budget(MOST // 4 ** sum(seconds > limit for limit in _SECONDS))
