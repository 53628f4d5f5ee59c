"""CMA-ES, a baseline that needs no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..gradients import GradientError
from ..gradients.core.checks import check_count
from ..plain import plain_numbers
from .checks import check_positive
from .interface import Step
from .problem import Problem

__all__ = ["CMAES"]


@plain_numbers
@dataclass(frozen=True)
class CMAES:
    """Covariance matrix adaptation (Hansen, 2016, arXiv:1604.00772, by the package ``cmaes``).

    The strong choice for few parameters (up to some dozens) on costs that jump or are rough. It adapts its scale,
    so that the initial one need not be exact.

    Needs ``pip install 'carom[optimization]'``.
    """

    needs_gradient: ClassVar[bool] = False

    scale: float | None = None
    """Standard deviation of the first generation; by default twice the objective's ``smoothing_scale``, or 0.04."""
    population: int | None = None
    """Rollouts a generation; by default the package's 4 + 3 log(parameters)."""

    def __post_init__(self) -> None:
        check_positive("scale", self.scale, optional=True)
        if self.population is not None:
            check_count("population", self.population, 4)

    def begin(self, problem: Problem, theta: torch.Tensor) -> dict[str, Any]:
        """The distribution of the first generation: round about theta."""
        return _pack(self._make(problem, theta))

    def step(
        self, problem: Problem, theta: torch.Tensor, memory: dict[str, Any], *, iteration: int, used: float
    ) -> Step:
        """One generation; theta is its mean."""
        search = self._make(problem, theta)
        search.__setstate__(_unpack(memory))
        search.reseed_rng(problem.random_seed(iteration) % 2**32)
        drawn = torch.from_numpy(np.stack([search.ask() for _ in range(search.population_size)]))
        rows = problem.project(drawn.to(theta))  # rounded to theta's type, then within the bounds again
        costs = problem.costs(rows)
        exact = rows.double().cpu().numpy()
        search.tell([(exact[i], float(costs[i])) for i in range(len(exact))])
        least = int(costs.argmin())
        return Step(
            theta=problem.project(torch.from_numpy(search.mean.copy()).to(theta)),
            memory=_pack(search),
            cost=float(costs[least]),
            best=(rows[least].clone(), float(costs[least])),
            stop="converged: the population has shrunk to a point" if search.should_stop() else None,
        )

    def _make(self, problem: Problem, theta: torch.Tensor) -> Any:
        try:
            from cmaes import CMA
        except ImportError:
            raise GradientError("CMA-ES is the package cmaes: pip install 'carom[optimization]'") from None
        if len(theta) < 2:
            raise GradientError("CMA-ES needs at least two parameters: for one, use another optimizer")
        bounds = problem.bounds(theta.double().cpu())
        scale = self.scale or (0.04 if problem.scale is None else 2.0 * float(problem.scale))
        return CMA(
            mean=theta.double().cpu().numpy(),
            sigma=scale,
            bounds=None if bounds is None else torch.stack(bounds, dim=1).numpy(),
            population_size=self.population,
            seed=0,
        )


def _pack(search: Any) -> dict[str, Any]:
    """State of the package's optimizer, as it is pickled, of tensors and numbers alone."""
    packed: dict[str, Any] = {}
    for name, entry in search.__getstate__().items():
        if isinstance(entry, np.ndarray):
            packed[name] = torch.from_numpy(entry.copy())
        else:
            packed[name] = entry.item() if isinstance(entry, np.generic) else entry
    return packed


def _unpack(memory: dict[str, Any]) -> dict[str, Any]:
    return {name: entry.numpy().copy() if isinstance(entry, torch.Tensor) else entry for name, entry in memory.items()}
