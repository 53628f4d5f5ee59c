"""What the solvers write for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import warp as wp

from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from .block_cholesky import BlockArrays
from .dense_algebra import SMALL
from .island_graph import GraphArrays
from .search_data import row_count

__all__ = ["Scratch"]


@dataclass
class Scratch:
    """What the solver writes for itself. n free axes a world."""

    inertia: wp.array  # mat33 [W, B], world axes
    target: wp.array  # spatial [W, B]: velocity without contacts and actuators
    gradient: wp.array  # spatial [W, B]
    direction: wp.array  # spatial [W, B]
    hessian: wp.array  # [W, n n], lower triangle; of small worlds
    vector: wp.array  # [W, n]; of small worlds
    slip: wp.array  # Motion of ``contact/law.py`` [W, C]: relative velocities
    slip_change: wp.array  # the same [W, C]
    friction: wp.array  # vec3 [W, C]: of hard contacts, in parts of its limit; of small worlds
    search_data: wp.array  # [W, R C + 8], R numbers a contact, see ``line_search.py``; of large worlds
    graph: GraphArrays | None  # of worlds too large for one dense system
    blocks: BlockArrays | None

    @classmethod
    def allocate(cls, worlds: int, model: ModelArrays, capacity: int, dtype: Any) -> Scratch:
        """Scratch for the Newton solver, dense up to ``dense_algebra.SMALL`` free axes."""
        bodies, dofs, device = model.body_mask.shape[0], model.dofs, model.dof_index.device
        p = precision(dtype)
        small = dofs <= SMALL

        def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=device)

        return cls(
            inertia=zeros((worlds, bodies), p.mat33),
            target=zeros((worlds, bodies), p.spatial),
            gradient=zeros((worlds, bodies), p.spatial),
            direction=zeros((worlds, bodies), p.spatial),
            hessian=zeros((worlds, max(dofs * dofs, 1) if small else 1), p.scalar),
            vector=zeros((worlds, max(dofs, 1) if small else 1), p.scalar),
            slip=zeros((worlds, capacity), p.vec3),
            slip_change=zeros((worlds, capacity), p.vec3),
            friction=zeros((worlds, capacity if small else 1), p.vec3),
            search_data=zeros((worlds, 1 if small else row_count(False) * capacity + LANES), p.scalar),
            graph=None if small else GraphArrays.allocate(worlds, bodies, capacity, device),
            blocks=None if small else BlockArrays.allocate(worlds, bodies, dtype, device),
        )
