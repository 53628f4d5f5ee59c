"""Moments of the weights of a face's corners, and how far they draw friction in; see ``face_friction.py``."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision.features import LINE_ARM
from ..core.precision import precision

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Functions of moments for one precision."""
    p = precision(dtype)
    vec3 = p.vec3
    vec10 = wp.types.vector(10, dtype)
    tiny = 16.0 * p.epsilon

    @wp.func
    def moments(weight: dtype, x: vec3):
        """Of a weight at x: itself, first and second moments."""
        y = x * weight
        return vec10(
            weight, y[0], y[1], y[2], x[0] * y[0], x[1] * y[1], x[2] * y[2], x[0] * y[1], x[0] * y[2], x[1] * y[2]
        )

    @wp.func
    def mean(s: vec10):
        return vec3(s[1], s[2], s[3]) / s[0]

    @wp.func
    def spread(s: vec10):
        """Trace of the covariance of weights in a plane [m^2], and its roundness [1]."""
        m = mean(s)
        raw = (s[4] + s[5] + s[6]) / s[0]
        xx = s[4] / s[0] - m[0] * m[0]
        yy = s[5] / s[0] - m[1] * m[1]
        zz = s[6] / s[0] - m[2] * m[2]
        xy = s[7] / s[0] - m[0] * m[1]
        xz = s[8] / s[0] - m[0] * m[2]
        yz = s[9] / s[0] - m[1] * m[2]
        trace = xx + yy + zz
        roundness = dtype(0.0)
        if trace > dtype(tiny) * raw:
            square = xx * xx + yy * yy + zz * zz + dtype(2.0) * (xy * xy + xz * xz + yz * yz)
            roundness = dtype(2.0) - dtype(2.0) * square / (trace * trace)
        return trace, roundness

    @wp.func
    def weight_at(x: dtype):
        result = dtype(0.0)
        if x > dtype(1.0):
            result = dtype(4.0) * x
        elif x > dtype(-1.0):
            result = (dtype(1.0) + x) * (dtype(1.0) + x)
        return result

    @wp.func
    def lifted(gap: dtype, height: dtype):
        """Height [m] from which the weights of a patch count whose lowest corner has this gap."""
        bend = dtype(0.5) * height
        result = dtype(0.0)
        if gap > bend:
            result = gap - dtype(0.5) * bend
        elif gap > dtype(0.0):
            result = dtype(0.5) * gap * gap / bend
        return result

    @wp.func
    def drawn_in(sums: vec10, arm: dtype, even: dtype):
        """How far friction is drawn in towards the middle of a patch, from the moments of its weights."""
        _size, roundness = spread(sums)
        q = dtype(0.0)
        if even > dtype(1.0e-6):
            q = wp.clamp(roundness / even, dtype(0.0), dtype(1.0))
        return dtype(1.0) - dtype(LINE_ARM) - (arm - dtype(LINE_ARM)) * q * (dtype(2.0) - q)

    return SimpleNamespace(
        Moments=vec10, moments=moments, mean=mean, spread=spread, weight_at=weight_at, lifted=lifted, drawn_in=drawn_in
    )
