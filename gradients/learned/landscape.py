"""A cost over two parameters fitted by a small ReLU network: raw and fitted gradients side by side.

The experiment of Suh and Tedrake, "The Surprising Effectiveness of Linear Models for Visual Foresight in Object Pile
Manipulation" (WAFR 2020): the cost of one push over its end point, a network 2-100-100-1, Adam with a rate of 1e-3,
1,000 full-batch steps on the mean squared error.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError
from ..estimators.adam import Adam
from ..estimators.network import one_thread
from .grid import GridCosts
from .progress import Progress, ProgressCallback, reporter
from .step_model import initialise

__all__ = ["LandscapeFit", "fit_landscape"]

HIDDEN = 100
_LOOK = 20


@dataclass(frozen=True)
class LandscapeFit:
    """The fit of a grid of costs; float64 on the CPU."""

    grid: GridCosts
    costs: torch.Tensor
    """Costs of the network at the grid's points [points y, points x]."""
    gradients: torch.Tensor
    """Gradients of the network at the grid's points [points y, points x, 2]."""
    raw: torch.Tensor
    """Central differences of the raw costs over two cells [points y, points x, 2]."""
    error: float
    """Root mean square of what the network leaves, over the standard deviation of the costs."""
    seconds: float
    """Wall time of the training [s]."""
    core_seconds: float
    """Time of the cores [s]."""

    @property
    def ratio(self) -> float:
        """Root mean square norm of the raw gradients over that of the fitted ones."""
        return float(self.raw.square().mean().sqrt() / self.gradients.square().mean().sqrt())

    def ratio_over(self, objective: Callable[[torch.Tensor], torch.Tensor], step: float, count: int = 256) -> float:
        """Ratio by central differences over a shorter ``step``, at ``count`` of the points spread over the grid.

        2 x 2 x count rollouts. A cost that is rough below the spacing of the grid has larger differences there.
        """
        if not 0.0 < step < math.inf:
            raise GradientError(f"step is {step!r}: give a positive length")
        stride = max(1, len(self.grid.points) // count)
        # from the middle of the first stretch on; another stride would matter only on a grid of stripes
        points = self.grid.points[stride // 2 :: stride]
        rows = self.grid.theta.repeat(len(points), 1)
        rows[:, list(self.grid.axes)] = points
        raw = []
        for axis in self.grid.axes:
            ends = rows.repeat(2, 1)
            ends[: len(rows), axis] += step
            ends[len(rows) :, axis] -= step
            plus, minus = objective(ends).double().cpu().view(2, -1)
            raw.append((plus - minus) / (2 * step))
        fitted = self.gradients.reshape(-1, 2)[stride // 2 :: stride]
        return float(torch.stack(raw, -1).square().mean().sqrt() / fitted.square().mean().sqrt())


@plain_numbers
def fit_landscape(
    grid: GridCosts, *, steps: int = 1000, seed: int = 0, progress: bool | ProgressCallback | None = None
) -> LandscapeFit:
    """Fit the network to all costs of the grid, as published; inputs and costs are standardized.

    Raises:
        GradientError: The cost is the same everywhere.
    """
    check_count("steps", steps, 1)
    costs = grid.costs.reshape(-1)
    deviation = float(costs.std())
    if not deviation > 0.0:
        raise GradientError(f"the cost is {float(costs[0]):.6g} on the whole grid: choose a range where it changes")
    points = grid.points
    centre, spread = points.mean(0), points.std(0)
    x, y = ((points - centre) / spread).float(), ((costs - costs.mean()) / deviation).float()
    kind: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
    sizes = ((2, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1))
    layers = [torch.nn.utils.skip_init(torch.nn.Linear, *size, **kind) for size in sizes]
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    initialise(network, seed)
    optimizer = Adam(network.parameters(), lr=1e-3)
    wall, core = time.perf_counter(), time.process_time()
    # one thread: products this small gain little from a second, and wait for it where other work keeps it busy
    with reporter(progress) as report, one_thread(), torch.enable_grad():
        for step in range(steps):
            loss = (network(x)[:, 0] - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % _LOOK == _LOOK - 1:
                report(Progress("fit", step + 1, steps, math.sqrt(float(loss.detach()))))
        wall, core = time.perf_counter() - wall, time.process_time() - core
        leaf = x.clone().requires_grad_()
        fitted = network(leaf)[:, 0]
        (slopes,) = torch.autograd.grad(fitted.sum(), leaf)
    error = float((fitted.detach() - y).square().mean().sqrt())
    shape = grid.costs.shape
    return LandscapeFit(
        grid=grid,
        costs=(fitted.detach().double() * deviation + costs.mean()).view(shape),
        gradients=(slopes.double() * deviation / spread).view(*shape, 2),
        raw=grid.differences(),
        error=error,
        seconds=wall,
        core_seconds=core,
    )
