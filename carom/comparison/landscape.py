"""The cost over two of the parameters: as it is, and averaged over noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..gradients.core.interface import Objective
from ..gradients.core.objective import evaluate
from ..gradients.noise.counter_random import draw_uniforms

__all__ = ["Landscape", "cost_over_plane"]

_CHUNK = 4096  # rollouts in one call of the objective
_TAIL = 2.0
"""Standard deviations of the noise beyond the edge from which the average is still taken; the rest is left out."""


@dataclass(frozen=True)
class Landscape:
    """Costs at theta + (dx, dy) in two parameters, float64 on the CPU. Rows run along the second one."""

    axes: tuple[int, int]
    """The two parameters."""
    scale: tuple[float, float]
    """Standard deviation of the noise on each."""
    hard_x: torch.Tensor
    """Distances dx of the cost as it is [points]."""
    hard_y: torch.Tensor
    hard: torch.Tensor
    """[points y, points x]"""
    smooth_x: torch.Tensor
    """Distances dx of the smoothed cost [fewer points]."""
    smooth_y: torch.Tensor
    smooth: torch.Tensor
    smooth_error: torch.Tensor
    """Standard error of ``smooth``; neighbours share their rollouts, so the shape is known better than the height."""
    evaluations: int

    def as_dict(self) -> dict[str, object]:
        """Plain lists and numbers."""
        return {
            "axes": list(self.axes),
            "scale": list(self.scale),
            "hard": {"dx": self.hard_x.tolist(), "dy": self.hard_y.tolist(), "cost": self.hard.tolist()},
            "smoothed": {
                "dx": self.smooth_x.tolist(),
                "dy": self.smooth_y.tolist(),
                "cost": self.smooth.tolist(),
                "standard_error": self.smooth_error.tolist(),
            },
            "evaluations": self.evaluations,
        }


def cost_over_plane(
    objective: Objective,
    theta: torch.Tensor,
    axes: tuple[int, int],
    scale: torch.Tensor,
    *,
    seed: int,
    hard_points: int = 41,
    spacing: float = 1.0 / 3.0,
    reach: float = 4.0,
) -> Landscape:
    """Costs over the parameters ``axes``, ``reach`` noise scales to every side of theta.

    The smoothed cost is the average over Gaussian noise on *all* parameters. In the two shown it is a sum over a
    regular grid with Gaussian weights, which for a spacing up to one standard deviation is exact to 1e-8 where the cost
    is smooth; in the others, one draw at each point of that grid. So one rollout serves all the points around it.
    Near the edge the average lacks what lies more than two standard deviations beyond it, 2 % of the noise.

    Args:
        objective: The cost.
        theta: Centre [parameters].
        axes: Indices of the two parameters.
        scale: Standard deviation of the noise [parameters], positive.
        seed: Seed of the noise.
        hard_points: Points of the cost as it is along each axis, an odd number so that theta is one of them.
        spacing: Spacing of the grid for the smoothed cost, in standard deviations.
        reach: Half of the width shown, in standard deviations.
    """
    centre, scale = theta.double().cpu(), scale.double().cpu().expand(len(theta))
    sigma = scale[list(axes)]
    hard_at = torch.linspace(-reach, reach, hard_points, dtype=torch.float64, device="cpu")
    shown = round(reach / spacing)
    outer = shown + round(_TAIL / spacing)
    grid = torch.arange(-outer, outer + 1, dtype=torch.float64, device="cpu") * spacing

    def rows(at: torch.Tensor) -> torch.Tensor:
        """Parameters [y, x, parameters] on a grid of distances in standard deviations."""
        out = centre.repeat(len(at), len(at), 1)
        out[:, :, axes[0]] += at * sigma[0]
        out[:, :, axes[1]] += at[:, None] * sigma[1]
        return out

    uniforms = draw_uniforms(seed, "landscape", first=0, rows=len(grid) ** 2, columns=len(theta))
    noise = torch.special.ndtri(uniforms) * scale
    noise[:, list(axes)] = 0.0
    every = torch.cat([rows(hard_at).flatten(0, 1), rows(grid).flatten(0, 1) + noise]).to(theta)
    costs = torch.cat([evaluate(objective, part) for part in every.split(_CHUNK)]).double().cpu()
    hard = costs[: hard_points**2].view(hard_points, hard_points)
    drawn = costs[hard_points**2 :].view(len(grid), len(grid))

    at = grid[outer - shown : outer + shown + 1]
    weights = torch.exp(-0.5 * (grid - at[:, None]) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)  # what lies beyond the tail is left out
    smooth = weights @ drawn @ weights.T
    # the noise in the other parameters alone: what a cost's neighbours differ by that is no slope
    residual = _roughness(drawn)
    error = torch.sqrt((weights**2) @ residual @ (weights**2).T)
    return Landscape(
        axes=axes,
        scale=(float(sigma[0]), float(sigma[1])),
        hard_x=hard_at * sigma[0],
        hard_y=hard_at * sigma[1],
        hard=hard,
        smooth_x=at * sigma[0],
        smooth_y=at * sigma[1],
        smooth=smooth,
        smooth_error=error,
        evaluations=len(every),
    )


def _roughness(values: torch.Tensor) -> torch.Tensor:
    """Variance of independent noise on a grid of values, by second differences (Rice 1984), spread to every point."""
    d = values[:, 2:] - 2.0 * values[:, 1:-1] + values[:, :-2]
    pad = torch.nn.functional.pad((d * d / 6.0)[None, None], (1, 1, 0, 0), mode="replicate")
    mean = torch.nn.functional.avg_pool2d(pad, 3, stride=1, padding=1, count_include_pad=False)
    return mean[0, 0]
