"""The cost along a line through theta: as it is, and averaged over noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..gradients.core.interface import Objective
from ..gradients.core.objective import evaluate
from ..gradients.noise.counter_random import draw_uniforms

__all__ = ["Slice", "cost_along_slice", "slice_noise"]

_CHUNK = 4096  # rollouts in one call of the objective


@dataclass(frozen=True)
class Slice:
    """Costs at theta + t * direction, float64 on the CPU."""

    direction: torch.Tensor
    """Unit vector [parameters]."""
    direction_name: str
    """Description of the direction."""
    noise_scale: float
    """Standard deviation of the noise along the direction, in the units of theta."""
    hard_at: torch.Tensor
    """Distances t of the cost as it is [points]."""
    hard: torch.Tensor
    smooth_at: torch.Tensor
    """Distances t of the smoothed cost [fewer points]."""
    smooth: torch.Tensor
    smooth_error: torch.Tensor
    """Standard error of ``smooth``; the noise is the same at every point: the shape is known better than the height."""
    evaluations: int

    def as_dict(self) -> dict[str, object]:
        """Plain lists and numbers."""
        return {
            "direction": self.direction.tolist(),
            "direction_name": self.direction_name,
            "noise_scale": self.noise_scale,
            "hard": {"distance": self.hard_at.tolist(), "cost": self.hard.tolist()},
            "smoothed": {
                "distance": self.smooth_at.tolist(),
                "cost": self.smooth.tolist(),
                "standard_error": self.smooth_error.tolist(),
            },
            "evaluations": self.evaluations,
        }


def slice_noise(scale: torch.Tensor, *, samples: int, seed: int) -> torch.Tensor:
    """Noise over which the smoothed cost is averaged, [pairs, signs, parameters], for ``scale`` [parameters]."""
    half = torch.special.ndtri(draw_uniforms(seed, "slice", first=0, rows=samples // 2, columns=len(scale))) * scale
    return torch.stack([half, -half], dim=1)


def cost_along_slice(
    objective: Objective,
    theta: torch.Tensor,
    gradient: torch.Tensor,
    scale: torch.Tensor,
    *,
    seed: int,
    hard_points: int = 161,
    smooth_points: int = 21,
    samples: int = 80,
    reach: float = 3.0,
) -> Slice:
    """Costs along the descent direction of ``gradient``, ``reach`` noise scales to either side.

    The smoothed cost averages ``samples`` antithetic draws of Gaussian noise, the same ones at every point.

    Args:
        objective: The cost.
        theta: Centre [parameters].
        gradient: Gradient [parameters] whose negative gives the direction; where it is zero, the first coordinate does.
        scale: Standard deviation of the noise [parameters].
        seed: Seed of the noise.
        hard_points: Points of the cost as it is, an odd number so that theta is one of them.
        smooth_points: Points of the smoothed cost.
        samples: Noise draws, an even number.
        reach: Half-length of the slice in standard deviations of the noise along it.
    """
    direction = -gradient.double().cpu()
    if float(direction.norm()) > 0.0:
        direction, name = direction / direction.norm(), "along the reference's descent direction"
    else:
        direction, name = (
            torch.eye(len(theta), dtype=torch.float64, device="cpu")[0],
            "along the first parameter (the reference is zero)",
        )
    scale = scale.double().cpu().expand(len(theta))
    sigma = float((direction * scale).norm())
    hard_at = torch.linspace(-reach, reach, hard_points, dtype=torch.float64, device="cpu") * sigma
    smooth_at = torch.linspace(-reach, reach, smooth_points, dtype=torch.float64, device="cpu") * sigma
    noise = slice_noise(scale, samples=samples, seed=seed)

    centre = theta.double().cpu()
    hard_rows = centre + hard_at[:, None] * direction
    smooth_rows = (centre + smooth_at[:, None] * direction)[:, None, None] + noise
    rows = torch.cat([hard_rows, smooth_rows.reshape(-1, len(theta))]).to(theta)
    costs = torch.cat([evaluate(objective, part) for part in rows.split(_CHUNK)]).double().cpu()
    pairs = costs[hard_points:].view(smooth_points, -1, 2).mean(2)
    return Slice(
        direction=direction,
        direction_name=name,
        noise_scale=sigma,
        hard_at=hard_at,
        hard=costs[:hard_points],
        smooth_at=smooth_at,
        smooth=pairs.mean(1),
        smooth_error=pairs.std(1) / pairs.shape[1] ** 0.5,
        evaluations=len(rows),
    )
