"""Independent difference gradients of the averaged cost: the units of the reference that slopes are held against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..core.checks import Scale, check_scale, expand_scale
from ..core.interface import Objective
from ..core.objective import evaluate_in_calls
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Gaussian
from ..statistics.units import UnitSummary, summarize

__all__ = ["SlopeReference", "slope_reference"]

_STEP = 0.5
_LEAST_UNITS = 24
_MOST_ROWS = 65_536  # held at once
_AT_ONCE = 256
_LEAST_DIRECTIONS, _MOST_DIRECTIONS = 8, 64
_SIDES = 4  # rollouts for one direction of one unit: both sides, twice


@dataclass(frozen=True)
class SlopeReference:
    """Slopes of the averaged cost along some directions, in noise scales: units, and the directions."""

    units: torch.Tensor
    """[units, directions], per noise scale."""
    directions: torch.Tensor
    """Orthonormal rows in units of the noise [directions, parameters]; the identity where all coordinates are known."""
    scale: torch.Tensor
    """Standard deviation of the noise [parameters]."""
    rollouts: int

    @property
    def complete(self) -> bool:
        """Whether the directions span all parameters."""
        return len(self.directions) == self.directions.shape[1]

    @property
    def summary(self) -> UnitSummary:
        """Mean of the units and its covariance."""
        return summarize(self.units)

    def along(self, gradients: torch.Tensor) -> torch.Tensor:
        """Slopes [n, directions] along the directions, per noise scale, of ``gradients`` [n, parameters]."""
        return (gradients.double().cpu() * self.scale) @ self.directions.T


def slope_reference(
    objective: Objective,
    theta: torch.Tensor,
    scale: Scale,
    *,
    rollouts: int,
    seed: int,
    all_coordinates: bool = False,
    known: SlopeReference | None = None,
) -> SlopeReference:
    """Central differences of F(theta) = E f(theta + scale * w), w Gaussian, a gradient for each antithetic pair of w.

    A unit is the mean over w and -w of differences over half a noise scale to either side; the noise along the
    difference is reduced so that both together average over ``scale`` (see ``CentralDifferences``). With all
    coordinates a unit takes 4 * parameters rollouts. Where that leaves fewer than 24 units, the slopes are taken along
    fewer random orthonormal directions, the same for all units: a bias seen in them is that of the whole gradient up
    to a factor that chi-square distributions bound.

    Args:
        objective: The cost.
        theta: [parameters].
        scale: Standard deviation of the noise, one number or one per coordinate.
        rollouts: About how many to spend; at least four units are made.
        seed: Seed of the noise and of the directions.
        all_coordinates: Whether to take all coordinates however few the units are.
        known: A smaller reference of the same objective, theta, scale and seed to go on from: its directions are kept,
            and its units are not made again.
    """
    batch = theta.detach()[None]
    spread = expand_scale(check_scale(scale), batch).double().cpu().reshape(-1).expand(len(theta))
    parameters = len(theta)
    directions = torch.eye(parameters, dtype=torch.float64, device="cpu")
    if known is not None:
        directions = known.directions
    elif not all_coordinates and rollouts // (_SIDES * parameters) < _LEAST_UNITS:
        count = max(_LEAST_DIRECTIONS, min(_MOST_DIRECTIONS, rollouts // (_SIDES * 2 * _LEAST_UNITS)))
        if count < parameters:
            uniforms = draw_uniforms(seed, "reference directions", first=0, rows=count, columns=parameters)
            directions = torch.linalg.qr(Gaussian().sample(uniforms).T).Q.T.contiguous()
    rows_per_unit = _SIDES * len(directions)
    units = max(4, rollouts // rows_per_unit)
    most = max(1, _MOST_ROWS // rows_per_unit)
    parts = [] if known is None else [known.units]
    parts += [
        _units(objective, theta, spread, directions, first, min(most, units - first), seed)
        for first in range(sum(len(part) for part in parts), units, most)
    ]
    found = torch.cat(parts)
    return SlopeReference(found, directions, spread, len(found) * rows_per_unit)


def _units(
    objective: Objective,
    theta: torch.Tensor,
    scale: torch.Tensor,
    directions: torch.Tensor,
    first: int,
    count: int,
    seed: int,
) -> torch.Tensor:
    """Units ``first`` to ``first + count``, [count, directions]."""
    parameters = len(theta)
    uniforms = draw_uniforms(seed, "slope reference", first=first, rows=count, columns=parameters)
    noise = Gaussian().sample(uniforms).cpu()
    shrink = 1.0 - math.sqrt(1.0 - _STEP**2 / 3.0)
    along = noise @ directions.T  # [count, directions]
    centres = noise[:, None] - shrink * along[..., None] * directions
    centres = torch.stack([centres, -centres], dim=1)  # [count, pair, directions, parameters]
    sides = torch.stack([centres + _STEP * directions, centres - _STEP * directions], dim=3)
    rows = theta.double().cpu() + scale * sides
    costs = evaluate_in_calls(objective, rows.reshape(-1, parameters).to(theta), at_once=_AT_ONCE).double().cpu()
    costs = costs.view(count, 2, len(directions), 2)
    return ((costs[..., 0] - costs[..., 1]) / (2.0 * _STEP)).mean(1)
