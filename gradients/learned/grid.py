"""A cost over a grid of two parameters, raw; costs computed so far are kept, and a later call resumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.checks import as_batch, check_count
from ..core.errors import GradientError
from ..core.interface import Objective
from ..core.objective import evaluate, objective_name
from .files import read_model, write_model
from .progress import Progress, ProgressCallback, reporter

__all__ = ["GridCosts", "cost_on_grid", "load_grid"]

_KIND = "grid of costs"


@dataclass(frozen=True)
class GridCosts:
    """Costs over two parameters, on the centres of equal cells; float64 on the CPU."""

    objective: str
    """Name."""
    theta: torch.Tensor
    """The other parameters (and, unused, the two) [parameters]."""
    axes: tuple[int, int]
    """The two parameters."""
    x: torch.Tensor
    """Values of the first [points]."""
    y: torch.Tensor
    """Values of the second [points]."""
    costs: torch.Tensor
    """[points y, points x]"""
    label: Mapping[str, Any]
    """Label given by the caller, e.g. the task's options."""

    @property
    def points(self) -> torch.Tensor:
        """The two parameters of every cost, [points y * points x, 2]."""
        y, x = torch.meshgrid(self.y, self.x, indexing="ij")
        return torch.stack([x, y], dim=-1).reshape(-1, 2)

    def differences(self) -> torch.Tensor:
        """Raw gradients by central differences over two cells (one at the edge), [points y, points x, 2]."""
        by_y, by_x = np.gradient(self.costs.numpy(), self.y.numpy(), self.x.numpy())
        return torch.from_numpy(np.stack([by_x, by_y], axis=-1))


@plain_numbers
def cost_on_grid(
    objective: Objective,
    theta: torch.Tensor,
    axes: tuple[int, int],
    low: tuple[float, float],
    high: tuple[float, float],
    points: int = 100,
    *,
    path: str | Path | None = None,
    label: Mapping[str, Any] | None = None,
    chunk: int = 256,
    progress: bool | ProgressCallback | None = None,
) -> GridCosts:
    """Costs on a grid of ``points`` x ``points`` cells between ``low`` and ``high``, each at its cell's centre.

    With ``path`` the costs are written there after every chunk, and a call that finds some of the same grid there goes
    on from them: an interrupted run loses one chunk.

    Args:
        objective: The cost.
        theta: Values of the other parameters [parameters].
        axes: Indices of the two parameters.
        low: Least value of each, at the outer edge of the first cell.
        high: Largest value of each.
        points: Cells a side.
        path: File of the costs (.npz).
        label: Plain numbers and strings that must agree on resuming, e.g. the task's options.
        chunk: Most rollouts in one call of the objective.
        progress: True for a bar on the terminal, or a function that takes each ``Progress``.

    Raises:
        GradientError: A bad range; a file that holds another grid or is damaged.
    """
    theta = as_theta(theta)
    batch, single = as_batch(theta)
    check_count("points", points, 2)
    check_count("chunk", chunk, 1)
    if not single or len(set(axes)) != 2 or not all(0 <= axis < batch.shape[1] for axis in axes):
        raise GradientError(f"axes is {axes} for theta of shape {list(theta.shape)}: give two of [parameters]")
    for name, a, b in zip(("first", "second"), low, high, strict=True):
        if not a < b:
            raise GradientError(f"the grid's {name} axis goes from {a} to {b}: give low < high")
    at = (torch.arange(points, dtype=torch.float64, device="cpu") + 0.5) / points
    x, y = (a + (b - a) * at for a, b in zip(low, high, strict=True))
    grid = GridCosts(
        objective_name(objective),
        batch[0].double().cpu(),
        axes,
        x,
        y,
        torch.zeros(points, points, dtype=torch.float32, device="cpu"),
        dict(label or {}),
    )
    rows = batch.expand(points * points, -1).clone()
    rows[:, list(axes)] = grid.points.to(rows)
    done = torch.zeros(0, dtype=torch.float64, device="cpu")
    if path is not None and Path(path).exists():
        done = _resumed(Path(path), grid)
    with reporter(progress) as report:
        report(Progress("rollouts", len(done), len(rows)))
        while len(done) < len(rows):
            part = rows[len(done) : len(done) + chunk]
            done = torch.cat([done, evaluate(objective, part).double().cpu()])
            if path is not None:
                write_model(path, _KIND, _header(grid), {"costs": done.numpy()})
            report(Progress("rollouts", len(done), len(rows)))
    return _with_costs(grid, done)


def load_grid(path: str | Path) -> GridCosts:
    """The costs of a finished ``cost_on_grid``.

    Raises:
        FileNotFoundError: There is no such file.
        GradientError: The file is damaged, something else, or of a grid that is not finished.
    """
    header, arrays = read_model(path, _KIND)
    try:
        x, y = (torch.tensor(header[name], dtype=torch.float64, device="cpu") for name in ("x", "y"))
        theta = torch.tensor(header["theta"], dtype=torch.float64, device="cpu")
        axes = (int(header["axes"][0]), int(header["axes"][1]))
        costs = torch.from_numpy(arrays["costs"].astype(np.float64))
        name, label = str(header["objective"]), dict(header["label"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise GradientError(f"{path} cannot be used: its header is incomplete ({error})") from None
    if len(costs) != len(x) * len(y):
        raise GradientError(f"{path} holds {len(costs)} of {len(x) * len(y)} costs: resume the run that wrote it")
    return _with_costs(GridCosts(name, theta, axes, x, y, costs, label), costs)


def _with_costs(grid: GridCosts, costs: torch.Tensor) -> GridCosts:
    shaped = costs.view(len(grid.y), len(grid.x))
    return GridCosts(grid.objective, grid.theta, grid.axes, grid.x, grid.y, shaped, grid.label)


def _header(grid: GridCosts) -> dict[str, Any]:
    return {
        "objective": grid.objective,
        "theta": grid.theta.tolist(),
        "axes": list(grid.axes),
        "x": grid.x.tolist(),
        "y": grid.y.tolist(),
        "label": dict(grid.label),
    }


def _resumed(path: Path, grid: GridCosts) -> torch.Tensor:
    """The costs that are already there."""
    header, arrays = read_model(path, _KIND)
    for name, mine in _header(grid).items():
        if header.get(name) != mine:
            raise GradientError(
                f"{path} holds another grid: its {name} is {str(header.get(name))[:200]}, asked for is "
                f"{str(mine)[:200]}. Give another file, or remove this one"
            )
    return torch.from_numpy(arrays["costs"].astype(np.float64))
