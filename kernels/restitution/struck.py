"""Which contacts may have an impact in what is left of a step: they are left out of the plain solve.

A contact with restitution is *free* if its gap closes on the path of gravity alone at more than the threshold, or would
do so later: its look-ahead would brake it. One that is closed is free if it moves faster than the threshold either way:
what leaves fast must not be pushed out by its depth.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.precision import precision

__all__ = ["make"]

SLOWEST = 0.01
"""Threshold where there is no gravity, in parts of the option."""

PUSHED = 0.001
"""Speed at which overlap pushes out where there is no gravity, in parts of the option: more gains energy."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Functions ``root``, ``threshold_of``, ``cap_of``, ``is_free`` and ``falls`` for one precision."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    dyn = motion.make(dtype)

    @wp.func
    def root(gap: dtype, u: dtype, a: dtype):
        """First time from now at which ``gap + u t + a t^2/2`` is 0, or the last before now if ``gap`` < 0 [s].

        Negative infinity stands for none.
        """
        result = dtype(-wp.inf)
        square = u * u - dtype(2.0) * a * gap
        if u > dtype(0.0):  # leaves: comes back only if pulled
            if a < dtype(0.0):
                result = (u + wp.sqrt(wp.max(square, dtype(0.0)))) / -a
        elif square >= dtype(0.0) and wp.sqrt(square) - u > dtype(0.0):
            result = dtype(2.0) * gap / (wp.sqrt(square) - u)
        return result

    @wp.func
    def threshold_of(gravity: vec3, threshold: dtype, h: dtype):
        """Speed up to which nothing bounces [m/s]: what gravity gives in two steps, at most the option."""
        return wp.max(wp.min(threshold, dtype(2.0) * h * wp.length(gravity)), dtype(SLOWEST) * threshold)

    @wp.func
    def cap_of(gravity: vec3, threshold: dtype, h: dtype):
        """Speed at which overlap stops to push what bounces out [m/s]."""
        return wp.max(dtype(PUSHED) * threshold, dtype(2.0) * h * wp.length(gravity))

    @wp.func
    def is_free(gap: dtype, u: dtype, a: dtype, left: dtype, threshold: dtype, stored: dtype):
        """Whether a contact may have an impact.

        Args:
            gap: [m].
            u: Its rate [m/s].
            a: Rate of that on the free path [m/s^2].
            left: What is left of the step [s].
            threshold: [m/s].
            stored: Rate that decides where the gap is closed [m/s].
        """
        if gap <= dtype(0.0):
            return wp.abs(stored) > threshold
        t = root(gap, u, a)
        if t < dtype(0.0) or t > left:
            return wp.max(-u, -(u + a * left)) > threshold
        return wp.sqrt(wp.max(u * u - dtype(2.0) * a * gap, dtype(0.0))) > threshold

    @wp.func
    def falls(gravity: vec3, body_mask: wp.array(dtype=spatial), a: int, b: int):
        """Acceleration of b relative to a that gravity gives [m/s^2]."""
        g = vec3()
        if b >= 0:
            g += wp.cw_mul(gravity, dyn.linear(body_mask[b]))
        if a >= 0:
            g -= wp.cw_mul(gravity, dyn.linear(body_mask[a]))
        return g

    return SimpleNamespace(root=root, threshold_of=threshold_of, cap_of=cap_of, is_free=is_free, falls=falls)
