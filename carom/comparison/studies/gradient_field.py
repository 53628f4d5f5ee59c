"""Gradients of each backend over a plane of two parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...gradients.core.backend_options import with_option
from ...gradients.core.checked import checked_batch
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective

__all__ = ["GradientField", "gradient_field"]


@dataclass(frozen=True)
class GradientField:
    """Gradients at theta + (dx, dy) in two parameters, float64 on the CPU."""

    axes: tuple[int, int]
    dx: torch.Tensor
    """Distances along the first parameter [points]."""
    dy: torch.Tensor
    gradients: dict[str, torch.Tensor]
    """Both components by backend, [points y, points x, 2]."""
    evaluations: dict[str, int]
    """Rollouts of one arrow, by backend."""
    notes: tuple[str, ...]
    """Reasons why backends have none."""

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "axes": list(self.axes),
            "dx": self.dx.tolist(),
            "dy": self.dy.tolist(),
            "gradients": {name: part.tolist() for name, part in self.gradients.items()},
            "evaluations": self.evaluations,
            "notes": list(self.notes),
        }


def gradient_field(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    axes: tuple[int, int],
    scale: torch.Tensor,
    *,
    points: int,
    samples: int,
    seed: int,
    reach: float = 3.0,
) -> GradientField:
    """Gradients of all backends at ``points`` x ``points`` places, ``reach`` noise scales to every side of theta.

    Args:
        objective: The cost.
        theta: Centre [parameters].
        backends: By name; those that sample take ``samples``, the same noise at all places.
        axes: Indices of the two parameters.
        scale: Standard deviation of the noise [parameters].
        points: Along each side.
        samples: Samples of each arrow.
        seed: Seed of the noise.
        reach: Half of the width, in standard deviations.
    """
    sigma = scale.double().cpu()[list(axes)]
    at = torch.linspace(-reach, reach, points, dtype=torch.float64, device="cpu")
    rows = theta.double().cpu().repeat(points, points, 1)
    rows[:, :, axes[0]] += at * sigma[0]
    rows[:, :, axes[1]] += at[:, None] * sigma[1]
    batch = rows.flatten(0, 1).to(theta)
    gradients, evaluations, notes = {}, {}, []
    for name, backend in backends.items():
        try:
            chosen = with_option(backend, "samples", samples) or backend
            estimate = checked_batch(chosen, objective, batch, seed=seed)
        except GradientError as error:
            notes.append(f"{name}: {error}")
            continue
        found = estimate.gradient.double().cpu()[:, list(axes)]
        gradients[name] = found.view(points, points, 2)
        evaluations[name] = estimate.evaluations // len(batch)
    return GradientField(axes, at * sigma[0], at * sigma[1], gradients, evaluations, tuple(notes))
