"""Linear algebra of one small world over its free axes; used by the solver and by its adjoint. Forward only.

Worlds of more than SMALL free axes are solved in blocks (``block_cholesky.py``).
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision

__all__ = ["SMALL", "make"]

SMALL = 8
"""Free axes up to which a world is solved as one dense system in registers: a free body and a guided pusher."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``solve``, ``gather`` and ``spread`` for one world and precision."""
    spatial = precision(dtype).spatial
    small_matrix, small_vector = wp.types.matrix((SMALL, SMALL), dtype), wp.types.vector(SMALL, dtype)

    @wp.func
    def solve(a: wp.array2d(dtype=dtype), x: wp.array2d(dtype=dtype), world: int, n: int):
        """Solve with the lower triangle ``a``; ``x``: right-hand side, then solution. Unrolled and in registers.

        Rows from n on are filled up with the identity.
        """
        m = small_matrix()
        y = small_vector()
        for i in range(SMALL):
            if i < n:
                y[i] = x[world, i]
                for j in range(i + 1):
                    m[i, j] = a[world, i * n + j]
            else:
                m[i, i] = dtype(1.0)
        for j in range(SMALL):
            d = m[j, j]
            for k in range(j):
                d = d - m[j, k] * m[j, k]
            inverse = dtype(1.0) / wp.sqrt(d)
            m[j, j] = inverse
            for i in range(j + 1, SMALL):
                s = m[i, j]
                for k in range(j):
                    s = s - m[i, k] * m[j, k]
                m[i, j] = s * inverse
        for i in range(SMALL):
            s = y[i]
            for k in range(i):
                s = s - m[i, k] * y[k]
            y[i] = s * m[i, i]
        for r in range(SMALL):
            s = y[SMALL - 1 - r]
            for k in range(SMALL - r, SMALL):
                s = s - m[k, SMALL - 1 - r] * y[k]
            y[SMALL - 1 - r] = s * m[SMALL - 1 - r, SMALL - 1 - r]
        for i in range(SMALL):
            if i < n:
                x[world, i] = y[i]

    @wp.func
    def gather(
        x: wp.array2d(dtype=spatial), dof_index: wp.array(dtype=int), world: int, sign: dtype,
        out: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Free axes of body vectors, times ``sign``, into a flat vector."""
        for body in range(x.shape[1]):
            value = x[world, body]
            for i in range(6):
                d = dof_index[6 * body + i]
                if d >= 0:
                    out[world, d] = sign * value[i]

    @wp.func
    def spread(x: wp.array2d(dtype=dtype), dof_index: wp.array(dtype=int), world: int, out: wp.array2d(dtype=spatial)):
        """Body vectors from a flat vector over the free axes; zero on locked axes."""
        for body in range(out.shape[1]):
            value = spatial()
            for i in range(6):
                d = dof_index[6 * body + i]
                if d >= 0:
                    value[i] = x[world, d]
            out[world, body] = value

    return SimpleNamespace(solve=solve, gather=gather, spread=spread)
