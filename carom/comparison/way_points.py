"""Displacement of way-points along a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["descent"]


def descent(task: Any, theta: torch.Tensor, gradient: Sequence[float]) -> np.ndarray:
    """Displacement of ``task.way_points`` for a small step against the gradient, per unit of step [points, 2]."""
    theta = theta.double()
    slope = torch.tensor(gradient, dtype=torch.float64, device=theta.device)
    step = 1e-6 / max(float(slope.norm()), 1e-300)
    moved = task.way_points((theta - step * slope)[None])[0] - task.way_points(theta[None])[0]
    return (moved / step).cpu().numpy()  # type: ignore[no-any-return]
