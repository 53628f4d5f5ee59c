"""Downhill steps: displacement of the final positions of the bodies by a small step along each gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...gradients.noise.counter_random import draw_uniforms

__all__ = ["DownhillSteps", "downhill_steps"]


@dataclass(frozen=True)
class DownhillSteps:
    """Displacements of the final positions of the bodies [m]."""

    moves: dict[str, np.ndarray]
    """Displacements by gradient, x and y of each body, [bodies, 2]; a gradient of exactly zero moves nothing."""
    body_names: tuple[str, ...]
    chance: np.ndarray
    """Root mean square distance that steps of the same length in random directions move each body, [bodies]."""

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "moves": {name: move.tolist() for name, move in self.moves.items()},
            "body_names": list(self.body_names),
            "chance": self.chance.tolist(),
        }


def downhill_steps(
    objective: Any,
    theta: torch.Tensor,
    gradients: Mapping[str, Sequence[float]],
    scale: torch.Tensor,
    *,
    seed: int,
    chances: int = 8,
) -> DownhillSteps:
    """Rollouts one noise scale downhill along each gradient, by steepest descent in units of the noise.

    Args:
        objective: Objective with ``record(theta)``.
        theta: [parameters].
        gradients: Gradients by name; those that are not finite are left out.
        scale: Standard deviation of the noise [parameters].
        seed: Seed of the random directions.
        chances: Number of random directions.
    """
    unit = scale.double().cpu().expand(len(theta))
    gradients = {name: gradient for name, gradient in gradients.items() if all(map(math.isfinite, gradient))}
    noise = torch.special.ndtri(draw_uniforms(seed, "nudges", first=0, rows=chances, columns=len(theta)))
    slopes = [torch.tensor(gradient, dtype=torch.float64, device="cpu") * unit for gradient in gradients.values()]
    steps = [-slope / float(slope.norm()) if float(slope.norm()) > 0.0 else 0.0 * slope for slope in slopes]
    steps += list(noise / noise.norm(dim=1, keepdim=True))
    rows = torch.stack([theta.double().cpu() + unit * step for step in [torch.zeros_like(unit), *steps]])
    recording = objective.record(rows.to(theta))
    ends = recording.body_q[-1, :, :, :2].astype(float)  # [rows, bodies, 2]
    moved = ends[1:] - ends[0]
    by_chance = moved[len(gradients) :]
    return DownhillSteps(
        moves=dict(zip(gradients, moved, strict=False)),
        body_names=tuple(recording.body_names),
        chance=np.sqrt((by_chance**2).sum(axis=2).mean(axis=0)),
    )
