"""Types for native text that takes LANES worlds side by side, and the loader of such text.

A text is C++ with the words TYPE (the scalar), INT (an integer of the same width, for masks and counts) and LANES,
which ``native`` replaces. LANES is 1 or that of ``core/simd.py``, 8; sixteen worlds do not fit in the registers. With
one lane ``row`` and ``irow`` are plain numbers: a world a thread, as on a GPU. With more they are vectors, and a loop
over worlds becomes one instruction.

A world's numbers must not depend on how many lanes there are, nor on its neighbours. Hence ``WORLDS_AS_LANES``: the
compiler fuses no product with a sum, which it chooses differently for vectors and for plain numbers, even where it may
do so only within an expression; a text says itself where they are, ``fused(a, b, c)`` = a b + c. And a text must freeze
a world that is done.

A group's contacts or bodies lie on the stack; on a GPU, where no launcher chooses these kernels yet, on its heap.
"""

from __future__ import annotations

import re
from typing import Any

import warp as wp

from ..core.precision import FUSED
from ..core.simd import LANES

__all__ = ["WORLDS_AS_LANES", "native"]

WORLDS_AS_LANES = {"cpu_compiler_flags": FUSED["cpu_compiler_flags"].replace("-ffp-contract=fast", "-ffp-contract=off")}
"""Module options of such kernels: products and sums fuse where the text says so."""

_TYPES = """
#if LANES == 1
    typedef TYPE row;
    typedef INT irow;
    auto any = [](irow m) { return m != 0; };
    auto root = [](row x) { return wp::sqrt(x); };
    auto fused = [](row a, row b, row c) { return sizeof(TYPE) == 4 ? (TYPE)fmaf(a, b, c) : (TYPE)fma(a, b, c); };
    auto put = [](row& x, int, TYPE y) { x = y; };
    auto lane = [](row x, int) { return x; };
    auto ilane = [](irow x, int) { return (int)x; };
#else
    typedef TYPE row __attribute__((vector_size(LANES * sizeof(TYPE))));
    typedef INT irow __attribute__((vector_size(LANES * sizeof(TYPE))));
    auto any = [](irow m) { return __builtin_reduce_or(m) != 0; };
    auto root = [](row x) { return __builtin_elementwise_sqrt(x); };
    auto fused = [](row a, row b, row c) { return __builtin_elementwise_fma(a, b, c); };
    auto put = [](row& x, int l, TYPE y) { x[l] = y; };
    auto lane = [](row x, int l) { return x[l]; };
    auto ilane = [](irow x, int l) { return (int)x[l]; };
#endif
    const row zero = row{}, one = zero + (TYPE)1;
    const irow no = irow{};
    auto absolute = [](row x) { return x < (TYPE)0 ? -x : x; };
    auto larger = [](row a, row b) { return a > b ? a : b; };
    auto smaller = [](row a, row b) { return a < b ? a : b; };
    // lane l is world first + l; lanes behind the last world repeat it and are not written
    int at[LANES];
    for (int l = 0; l < LANES; ++l) at[l] = first + l < worlds ? first + l : worlds - 1;
#if LANES == 1
    auto of_worlds = [&](const TYPE* x, long s) { return row(x[at[0] * s]); };
    auto of_worlds_int = [&](const int* x, long s) { return irow(x[at[0] * s]); };
#else
    auto of_worlds = [&](const TYPE* x, long s) {
        return row{x[at[0] * s], x[at[1] * s], x[at[2] * s], x[at[3] * s],
                   x[at[4] * s], x[at[5] * s], x[at[6] * s], x[at[7] * s]};
    };
    auto of_worlds_int = [&](const int* x, long s) {
        return irow{x[at[0] * s], x[at[1] * s], x[at[2] * s], x[at[3] * s],
                    x[at[4] * s], x[at[5] * s], x[at[6] * s], x[at[7] * s]};
    };
#endif
"""
"""Needs ``first``, the thread's first world, and ``worlds``. ``of_worlds(x, s)`` gathers, ``s`` numbers a world."""


def native(dtype: Any, lanes: int, head: str, *codes: str, ints: dict[str, str], scalars: dict[str, str]) -> str:
    """The body of a native function for one precision and number of lanes (1 or ``LANES``).

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        lanes: Worlds side by side.
        head: Text before the types; defines ``worlds``.
        codes: Text behind the types.
        ints: Arrays of integers, [worlds, ...] or [...], by name: how the function's arguments call them. Of an array
            ``x`` the text has the pointer ``x`` and ``x_stride``, its numbers from row to row.
        scalars: Arrays of scalars, vectors and matrices of them, alike.
    """
    if lanes not in (1, LANES):
        raise ValueError(f"lanes must be 1 or {LANES}, got {lanes}")
    pointers = [
        f"    {kind}* {name} = ({kind}*){array}.data;\n"
        f"    const long {name}_stride = {array}.strides[0] / (long)sizeof({kind});\n"
        for kind, arrays in (("int", ints), ("TYPE", scalars))
        for name, array in arrays.items()
    ]
    code = "".join((*pointers, head, _TYPES, *codes))
    double = dtype is wp.float64
    words = {"LANES": str(lanes), "TYPE": "double" if double else "float", "INT": "long long" if double else "int"}
    return re.sub(r"\b(LANES|TYPE|INT)\b", lambda word: words[word[0]], code)
