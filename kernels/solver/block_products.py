"""Products of 6x6 blocks, and the factor of one, in native code: the time of a pile's solve goes here.

A block is stored as six rows of eight numbers, the last two of which are zero: a row is what one vector instruction of
the CPU takes, or two in double precision. The compiler finds such instructions in Warp's own matrix products only in
part, and at -O3. On a GPU the same sums are loops of one thread.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.simd import LANES

__all__ = ["make"]

_FACTOR = """
    const TYPE one = 1;
#ifdef __CUDACC__
    auto& m = wp::index(block, world, at).data;
    TYPE z[6][6] = {};
    for (int j = 0; j < 6; ++j) {
        z[j][j] = one;
        const TYPE scale = one / sqrt(m[j][j]);
        for (int i = j; i < 6; ++i)
            m[j][i] *= scale;
        for (int k = 0; k <= j; ++k)
            z[j][k] *= scale;
        for (int i = j + 1; i < 6; ++i) {
            const TYPE x = m[j][i];
            for (int k = i; k < 6; ++k)
                m[i][k] -= x * m[j][k];
            for (int k = 0; k <= j; ++k)
                z[i][k] -= x * z[j][k];
        }
    }
    for (int i = 0; i < 6; ++i)
        for (int k = 0; k < 6; ++k)
            m[i][k] = z[i][k];
#else
    typedef TYPE row __attribute__((vector_size(8 * sizeof(TYPE)), aligned(sizeof(TYPE)), may_alias));
    row* data = (row*)wp::index(block, world, at).data;
    row m[6];
    row z[6];
#pragma clang loop unroll(full)
    for (int i = 0; i < 6; ++i) {
        m[i] = data[i];
        z[i] = row {};
        z[i][i] = one;
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 6; ++j) {
        const TYPE scale = one / wp::sqrt(m[j][j]);
        m[j] *= scale;
        z[j] *= scale;
#pragma clang loop unroll(full)
        for (int i = j + 1; i < 6; ++i) {
            const TYPE x = m[j][i];
            m[i] -= m[j] * x;
            z[i] -= z[j] * x;
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 6; ++i)
        data[i] = z[i];
#endif
"""

_SCALE = """
    const auto& z = wp::index(diagonal, world, body).data;
#ifdef __CUDACC__
    auto& b = wp::index(below, world, at).data;
    for (int j = 5; j >= 0; --j)
        for (int i = 0; i < 6; ++i) {
            TYPE sum = 0;
            for (int k = 0; k <= j; ++k)
                sum += z[j][k] * b[k][i];
            b[j][i] = sum;
        }
#else
    typedef TYPE row __attribute__((vector_size(8 * sizeof(TYPE)), aligned(sizeof(TYPE)), may_alias));
    row* data = (row*)wp::index(below, world, at).data;
    row b[6];
#pragma clang loop unroll(full)
    for (int i = 0; i < 6; ++i)
        b[i] = data[i];
#pragma clang loop unroll(full)
    for (int j = 0; j < 6; ++j) {
        row sum = b[0] * z[j][0];
#pragma clang loop unroll(full)
        for (int k = 1; k <= j; ++k)
            sum += b[k] * z[j][k];
        data[j] = sum;
    }
#endif
"""

_SUBTRACT = """
    const auto& f = wp::index(factors, world, second).data;
#ifdef __CUDACC__
    auto& t = wp::index(target, world, at).data;
    const auto& g = wp::index(factors, world, first).data;
    for (int j = 0; j < 6; ++j)
        for (int i = 0; i < 6; ++i) {
            TYPE sum = t[j][i];
            for (int k = 0; k < 6; ++k)
                sum -= g[k][i] * f[k][j];
            t[j][i] = sum;
        }
#else
    typedef TYPE row __attribute__((vector_size(8 * sizeof(TYPE)), aligned(sizeof(TYPE)), may_alias));
    row* t = (row*)wp::index(target, world, at).data;
    const row* data = (const row*)wp::index(factors, world, first).data;
    row g[6];
#pragma clang loop unroll(full)
    for (int k = 0; k < 6; ++k)
        g[k] = data[k];
#pragma clang loop unroll(full)
    for (int j = 0; j < 6; ++j) {
        row sum = t[j];
#pragma clang loop unroll(full)
        for (int k = 0; k < 6; ++k)
            sum -= g[k] * f[k][j];
        t[j] = sum;
    }
#endif
"""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The type ``block`` and its ``factor_block``, ``scale_block``, ``subtract_product``; forward only."""
    block_type = wp.types.matrix((6, LANES), dtype)
    native = "double" if dtype is wp.float64 else "float"

    @wp.func_native(_FACTOR.replace("TYPE", native))
    def factor_block(block: wp.array2d(dtype=block_type), world: int, at: int):
        """Replace a symmetric block by the inverse of its lower Cholesky factor; reads the upper triangle."""
        ...

    @wp.func_native(_SCALE.replace("TYPE", native))
    def scale_block(
        below: wp.array2d(dtype=block_type), diagonal: wp.array2d(dtype=block_type), world: int, at: int, body: int
    ):
        """Replace a block B, of which the columns are stored as rows, by B Z^T; Z is ``diagonal[world, body]``."""
        ...

    @wp.func_native(_SUBTRACT.replace("TYPE", native))
    def subtract_product(
        target: wp.array2d(dtype=block_type), factors: wp.array2d(dtype=block_type), world: int, at: int, first: int,
        second: int,
    ):  # fmt: skip
        """Subtract F G^T from a block, all with their columns stored as rows; F and G are ``factors``."""
        ...

    return SimpleNamespace(
        block=block_type, factor_block=factor_block, scale_block=scale_block, subtract_product=subtract_product
    )
