"""Cholesky factor of an island's Hessian (``island_hessian.py``) in blocks of a body each, and solves. Forward only."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision
from . import block_products, island_graph

__all__ = ["BlockArrays", "make"]


@dataclass(frozen=True)
class BlockArrays:
    """The Hessian of W worlds, then its factor."""

    diagonal: wp.array  # block [W, B]; then the inverse of the factor's diagonal block, lower triangular
    below: wp.array  # block [W, N]; their columns are stored as rows

    @classmethod
    def allocate(cls, worlds: int, bodies: int, dtype: Any, device: Any) -> "BlockArrays":
        """Room for every pair of bodies."""
        block = block_products.make(dtype).block
        blocks = max(1, bodies * (bodies - 1) // 2)
        return cls(
            wp.zeros((worlds, bodies), dtype=block, device=device),
            wp.zeros((worlds, blocks), dtype=block, device=device),
        )


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``factor`` and ``solve`` for one precision."""
    spatial = precision(dtype).spatial
    products = block_products.make(dtype)
    mat68 = products.block
    factor_block, scale_block, subtract_product = (
        products.factor_block, products.scale_block, products.subtract_product,
    )  # fmt: skip
    Graph = island_graph.make().Graph

    @wp.func
    def factor(
        world: int, island: int, g: Graph, bodies: int, diagonal: wp.array2d(dtype=mat68),
        below: wp.array2d(dtype=mat68),
    ):  # fmt: skip
        """Factor the Hessian of an island in place, each column updating those that it reaches."""
        for k in range(g.island_body[world, island], g.island_body[world, island + 1]):
            body = g.order[world, k]
            factor_block(diagonal, world, body)
            start = g.column[world, body]
            end = start + g.height[world, body]
            for s in range(start, end):
                scale_block(below, diagonal, world, s, body)
            for s in range(start, end):
                early = g.below[world, s]
                subtract_product(diagonal, below, world, early, s, s)
                for r in range(s + 1, end):
                    t = g.slot[world, early * bodies + g.below[world, r]]
                    subtract_product(below, below, world, t, r, s)

    @wp.func
    def times(m: mat68, x: spatial):
        """The sum of the stored rows, weighted by x."""
        y = spatial()
        for j in range(6):
            for i in range(6):
                y[i] = y[i] + m[j, i] * x[j]
        return y

    @wp.func
    def along(m: mat68, x: spatial):
        """The stored rows' dot products with x."""
        y = spatial()
        for j in range(6):
            for i in range(6):
                y[j] = y[j] + m[j, i] * x[i]
        return y

    @wp.func
    def solve(
        world: int, island: int, g: Graph, diagonal: wp.array2d(dtype=mat68), below: wp.array2d(dtype=mat68),
        x: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Solve with the factor; ``x``: right-hand side, zero on locked axes, then the solution."""
        first = g.island_body[world, island]
        last = g.island_body[world, island + 1] - 1
        for k in range(first, last + 1):
            body = g.order[world, k]
            y = along(diagonal[world, body], x[world, body])
            x[world, body] = y
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                other = g.below[world, s]
                x[world, other] = x[world, other] - times(below[world, s], y)
        for k in range(last + 1 - first):
            body = g.order[world, last - k]
            y = x[world, body]
            start = g.column[world, body]
            for s in range(start, start + g.height[world, body]):
                y -= along(below[world, s], x[world, g.below[world, s]])
            x[world, body] = times(diagonal[world, body], y)

    return SimpleNamespace(block=mat68, factor=factor, solve=solve)
