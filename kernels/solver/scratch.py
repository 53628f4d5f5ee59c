"""Scratch memory of the solvers."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..core.struct_arguments import filled
from . import block_products
from .block_cholesky import BlockArrays
from .dense_algebra import SMALL
from .island_graph import GraphArrays
from .search_data import row_count

__all__ = ["Scratch", "make"]


@functools.cache
def make(dtype: Any, motion: Any) -> SimpleNamespace:
    """The structs ``Dense`` and ``Islands``: what either solver writes for itself as one argument of kernels.

    ``motion`` is the type ``Motion`` of the contact law.
    """
    p = precision(dtype)
    block = block_products.make(dtype).block

    @wp.struct
    class Dense:
        """Scratch of the solver of small worlds; fields as in ``Scratch``."""

        inertia: wp.array2d(dtype=p.mat33)
        target: wp.array2d(dtype=p.spatial)
        gradient: wp.array2d(dtype=p.spatial)
        direction: wp.array2d(dtype=p.spatial)
        hessian: wp.array2d(dtype=dtype)
        vector: wp.array2d(dtype=dtype)
        slip: wp.array2d(dtype=motion)
        slip_change: wp.array2d(dtype=motion)
        friction: wp.array2d(dtype=p.vec3)

    @wp.struct
    class Islands:
        """Scratch of the solver by islands; fields as in ``Scratch`` and ``BlockArrays``."""

        inertia: wp.array2d(dtype=p.mat33)
        target: wp.array2d(dtype=p.spatial)
        gradient: wp.array2d(dtype=p.spatial)
        direction: wp.array2d(dtype=p.spatial)
        diagonal: wp.array2d(dtype=block)
        below: wp.array2d(dtype=block)
        slip: wp.array2d(dtype=motion)
        search_data: wp.array2d(dtype=dtype)

    return SimpleNamespace(Dense=Dense, Islands=Islands)


@dataclass(frozen=True)
class Scratch:
    """Scratch memory of the dense solver. n free axes a world. Frozen, since ``struct`` is filled once."""

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

    @functools.cached_property
    def struct(self) -> Any:
        """The struct ``Islands`` of these arrays, or ``Dense`` where there is no graph."""
        structs = make(self.vector.dtype, self.slip.dtype)
        kind = structs.Dense if self.blocks is None else structs.Islands
        own = {} if self.blocks is None else {"diagonal": self.blocks.diagonal, "below": self.blocks.below}
        return filled(kind, **own, **{name: getattr(self, name) for name in kind.vars if name not in own})

    @classmethod
    def allocate(cls, worlds: int, model: ModelArrays, capacity: int, dtype: Any) -> "Scratch":
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
