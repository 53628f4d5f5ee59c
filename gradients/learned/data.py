"""Rollouts that a surrogate is fitted to, and the identity of the objective they came from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.errors import GradientError
from ..core.interface import Objective
from ..core.objective import evaluate, objective_name
from ..core.optional import optional
from .fit import check_samples
from .progress import Progress, ProgressCallback, reporter
from .regions import Region

__all__ = ["Identity", "RegionData", "draw_data", "objective_dtype"]


@dataclass(frozen=True)
class Identity:
    """Identity of the objective that a surrogate was fitted to."""

    name: str
    parameters: int
    parameter_names: tuple[str, ...] | None

    @classmethod
    def of(cls, objective: object, parameters: int) -> Identity:
        """Identity of an objective with this many parameters."""
        names = optional(objective, "parameter_names")
        return cls(objective_name(objective), parameters, None if names is None else tuple(map(str, names)))

    def check(self, objective: object, parameters: int, where: str = "the surrogate") -> None:
        """Refuse another objective than this."""
        other = Identity.of(objective, parameters)
        if self == other:
            return
        for what in ("name", "parameters", "parameter_names"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise GradientError(
                    f"{where} was fitted to another objective: its {what.replace('_', ' ')}: {mine!r}, here: "
                    f"{theirs!r}. Fit one to this objective with fit_surrogate()"
                )


@dataclass(frozen=True)
class RegionData:
    """Rollouts in one region."""

    region: Region
    points: torch.Tensor
    """[n, parameters], float64, as the objective got them."""
    costs: torch.Tensor
    """[n], float64."""
    eps: float
    """Relative rounding of the costs."""


def objective_dtype(objective: object) -> torch.dtype:
    """The precision that an objective says it computes in, else float64."""
    dtype = optional(objective, "dtype")
    return dtype if isinstance(dtype, torch.dtype) else torch.float64


def draw_data(
    objective: Objective,
    region: Region,
    samples: int,
    *,
    chunk: int,
    seed: int,
    progress: bool | ProgressCallback | None,
) -> RegionData:
    """Rollouts at points of the region, at most ``chunk`` in one call; the result does not depend on ``chunk``."""
    check_samples(samples, len(region.centre))
    dtype = objective_dtype(objective)
    points = region.draw(seed, "surrogate region", samples).to(device=getattr(objective, "device", "cpu"), dtype=dtype)
    costs: list[torch.Tensor] = []
    with reporter(progress) as report:
        report(Progress("rollouts", 0, samples))
        for part in points.split(chunk):
            costs.append(evaluate(objective, part).double().cpu())
            report(Progress("rollouts", sum(map(len, costs)), samples))
    return RegionData(region, points.double().cpu(), torch.cat(costs), torch.finfo(dtype).eps)
