"""Native code for eight numbers at a time: one vector instruction of the CPU takes them, or two in double precision.

On a GPU the same sources are loops of one thread, a number at a time.
"""

from typing import Any

import warp as wp

__all__ = ["LANES", "native"]

LANES = 8
"""Numbers of a vector register. Arrays that are read in registers have as many more behind the last number."""

_LANES = """
    const TYPE big = 1e30;
#ifdef __CUDACC__
    constexpr int lanes = 1;
    typedef TYPE row;
    typedef TYPE loose;
    typedef INT irow;
    const irow iota = 0;
    auto any = [](irow m) { return m != 0; };
    auto least = [](row x) { return x; };
    auto greatest = [](row x) { return x; };
    auto sum = [](row x) { return x; };
    auto first_of = [](irow x) { return x; };
    auto lane = [](row x, int) { return x; };
    auto ilane = [](irow x, int) { return x; };
    auto root = [](row x) { return sqrt(x); };
#else
    constexpr int lanes = 8;
    typedef TYPE row __attribute__((vector_size(8 * sizeof(TYPE))));
    typedef TYPE loose __attribute__((vector_size(8 * sizeof(TYPE)), aligned(sizeof(TYPE)), may_alias));
    typedef INT irow __attribute__((vector_size(8 * sizeof(TYPE))));
    const irow iota = {0, 1, 2, 3, 4, 5, 6, 7};
    auto any = [](irow m) { return __builtin_reduce_or(m) != 0; };
    auto least = [](row x) { return __builtin_reduce_min(x); };
    auto greatest = [](row x) { return __builtin_reduce_max(x); };
    auto sum = [](row x) {
        x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3);
        x += __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5);
        x += __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6);
        return x[0];
    };
    auto first_of = [](irow x) { return __builtin_reduce_min(x); };
    auto lane = [](row x, int i) { return x[i]; };
    auto ilane = [](irow x, int i) { return x[i]; };
    auto root = [](row x) { return __builtin_elementwise_sqrt(x); };
#endif
    const irow none = iota * 0 + (1 << 30);
    auto load = [](const TYPE* x) { return row(*(const loose*)x); };
    auto put = [](TYPE* x, row value) { *(loose*)x = value; };
"""


def native(dtype: Any, *codes: str) -> str:
    """The body of a native function for one precision (``TYPE``, and ``INT`` for its masks)."""
    code = "".join((_LANES, *codes))
    double = dtype is wp.float64
    return code.replace("TYPE", "double" if double else "float").replace("INT", "long long" if double else "int")
