"""Counter-based random numbers: a value depends on (seed, stream, row, column) and on nothing else.

Philox is advanced straight to the first row that is wanted, so rows may be drawn in chunks of any size, in any order
and on any number of processes. No global generator is read or written. Numbers are made on the CPU in float64 and
then moved, so every device gets the same ones.
"""

from __future__ import annotations

import numpy as np
import torch

from ...first_order import eager
from ...plain import plain
from ..core.errors import GradientError

__all__ = ["derive_seed", "draw_uniforms"]

_WORDS_PER_COUNT = 4  # one count of Philox4x64 yields four 64-bit words


def _sequence(seed: int, *path: int | str) -> np.random.SeedSequence:
    seed = plain(seed)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise GradientError(f"seed is {seed!r}: give an integer, e.g. seed=0")
    words = [int.from_bytes(part.encode(), "little") if isinstance(part, str) else int(part) for part in path]
    return np.random.SeedSequence([int(seed) % 2**64, *words])


@eager
def derive_seed(seed: int, *path: int | str) -> int:
    """A seed in [0, 2^63) of its own for each path (counters or names) below ``seed``."""
    return int(_sequence(seed, *path).generate_state(1, np.uint64)[0] >> np.uint64(1))


@eager
def draw_uniforms(seed: int, stream: str, *, first: int, rows: int, columns: int) -> torch.Tensor:
    """Rows ``first`` to ``first + rows`` of the stream's table of uniform numbers, shape [rows, columns].

    Strictly between 0 and 1 (midpoints of 2^52 cells), float64, on the CPU. Streams with different names or seeds are
    independent.
    """
    counts = -(-columns // _WORDS_PER_COUNT)
    bits = np.random.Philox(key=_sequence(seed, stream).generate_state(2, np.uint64))
    bits.advance(first * counts)
    words = bits.random_raw(rows * counts * _WORDS_PER_COUNT).reshape(rows, -1)[:, :columns]
    return torch.from_numpy(((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)
