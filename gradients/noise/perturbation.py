"""The noise of one estimate: rows of a table of points, as moves of theta and the scores that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from .counter_random import derive_seed
from .distributions import Distribution
from .sampling import Sampling, Table
from .scale import ScaleMap

__all__ = ["Draw", "Perturbation"]


@dataclass(frozen=True)
class Draw:
    """Noise of some units, float64, on theta's device; d is the number of perturbed parameters."""

    noise: torch.Tensor
    """e, shape [units, d]."""
    moves: torch.Tensor
    """L e, shape [units, d]."""
    map: ScaleMap
    distribution: Distribution

    def scores(self) -> torch.Tensor:
        """L^-T s(e), shape [units, d]: what multiplies the objective in the gradient with respect to theta."""
        return self.map.pull(self.distribution.score(self.noise))

    def scale_scores(self) -> torch.Tensor:
        """L^-T (s e^T - I) flattened, shape [units, components]: the same for the gradient with respect to L."""
        return self.map.score(self.noise, self.distribution.score(self.noise))

    def part(self, places: slice) -> Draw:
        """A part of the units."""
        return replace(self, noise=self.noise[places], moves=self.moves[places])


class Perturbation:
    """Units of noise by number: ``replications`` tables of ``points`` rows each, one after another.

    Unit u is row u % points of the table of replication u // points. A unit is one draw of e; with antithetic pairs
    the caller uses it with both signs. Any range of units may be drawn in any order, on any process.
    """

    def __init__(
        self,
        distribution: Distribution,
        scale: ScaleMap,
        sampling: Sampling,
        *,
        seed: int,
        points: int,
        columns: int,
        replications: int = 1,
        stream: str = "smoothing",
        device: torch.device | str = "cpu",
    ) -> None:
        self.distribution = distribution
        self.scale = scale
        self.points = points
        self.replications = replications
        self.columns = columns
        self.device = device
        self._sampling = sampling
        self._seed = seed
        self._stream = stream
        self._made: tuple[int, Table] | None = None
        self._table(0)  # refuses what cannot be made before any rollout

    @property
    def units(self) -> int:
        """Units in all."""
        return self.points * self.replications

    def pieces(self, first: int, count: int) -> list[tuple[int, slice]]:
        """A range of units cut at the borders of replications: (replication, places within the range)."""
        cuts = []
        unit = first
        while unit < first + count:
            replication = unit // self.points
            end = min(first + count, (replication + 1) * self.points)
            cuts.append((replication, slice(unit - first, end - first)))
            unit = end
        return cuts

    def draw(self, first: int, count: int) -> Draw:
        """Units ``first`` to ``first + count``."""
        rows = [
            self._table(replication).rows((first + places.start) % self.points, places.stop - places.start)
            for replication, places in self.pieces(first, count)
        ]
        uniforms = rows[0] if len(rows) == 1 else torch.cat(rows)
        noise = self.distribution.sample(uniforms).to(self.device)
        return Draw(noise, self.scale.move(noise), self.scale, self.distribution)

    def _table(self, replication: int) -> Table:
        # Only the last one is kept: some tables hold memory, and ranges are walked in order.
        if self._made is None or self._made[0] != replication:
            seed = self._seed if replication == 0 else derive_seed(self._seed, "replication", replication)
            table = self._sampling.table(seed=seed, stream=self._stream, points=self.points, columns=self.columns)
            self._made = (replication, table)
        return self._made[1]
