"""The scalar type and the vector types built on it, for one floating-point precision."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import warp as wp

__all__ = ["FUSED", "UNROLLED", "Precision", "precision"]

FUSED = {"cpu_compiler_flags": f"{wp.config.cpu_compiler_flags or ''} -ffp-contract=fast".strip()}
"""Module options of kernels that multiply and add in one instruction on the CPU, as Warp does on CUDA anyway."""

UNROLLED = {"cpu_compiler_flags": f"{FUSED['cpu_compiler_flags']} -O3"}
"""The same for kernels that spend their time in products of 6x6 blocks, which -O2 leaves as loops."""


@dataclass(frozen=True)
class Precision:
    """Warp types of one precision. ``spatial`` is (linear, angular); ``transform`` is (position, quaternion xyzw)."""

    scalar: Any
    vec2: Any
    vec3: Any
    vec4: Any
    quat: Any
    mat33: Any
    mat63: Any
    spatial: Any
    transform: Any
    epsilon: float
    same_place: float
    """Distance up to which a corner of one shape lies in the plane of another's side, in units of their size [1].

    Sixty-four units of rounding in single precision. Further out it must not count as inside: a corner beyond a face
    has another normal at a small gap.
    """


@functools.cache
def precision(dtype: Any) -> Precision:
    """Types for ``dtype`` (``wp.float32`` or ``wp.float64``)."""
    if dtype not in (wp.float32, wp.float64):
        raise TypeError(f"dtype must be wp.float32 or wp.float64, got {dtype!r}")
    return Precision(
        scalar=dtype,
        vec2=wp.types.vector(2, dtype),
        vec3=wp.types.vector(3, dtype),
        vec4=wp.types.vector(4, dtype),
        quat=wp.types.quaternion(dtype),
        mat33=wp.types.matrix((3, 3), dtype),
        mat63=wp.types.matrix((6, 3), dtype),
        spatial=wp.types.vector(6, dtype),
        transform=wp.types.transformation(dtype),
        epsilon=1.1920929e-07 if dtype is wp.float32 else 2.220446049250313e-16,
        same_place=64 * 1.1920929e-07 if dtype is wp.float32 else 2.220446049250313e-16**0.5,
    )
