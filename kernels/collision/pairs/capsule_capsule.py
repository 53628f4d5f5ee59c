"""Contacts of two capsules: the closest points of the two axes, and each end against the other axis.

Where two axes cross at an angle, their closest points are the contact. As the axes become parallel, the closest
points move along them without bound on their speed, and the contact of one point becomes a line. So the closest points
fade out with the angle (SHARE_CROSSED) and the four ends, which move smoothly, fade in (SHARE_PARALLEL). The force is
stable for parallel axes, and continuous in the pose everywhere.
"""

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table
from ..features import SHARE_CROSSED, SHARE_PARALLEL
from . import sphere

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``capsule_capsule(table, world, n, a, b, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    point_contacts = sphere.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side
    # Below this squared sine of the angle the common normal is lost in rounding; its weight is zero there.
    parallel = wp.constant(dtype(p.epsilon))

    @wp.func
    def end_contact(
        table: FeatureTable, world: int, n: int, capsule: Side, other: Side,
        at: vec3, own: vec3, margin: dtype, weight: dtype, share: int,
    ) -> int:  # fmt: skip
        """An end of ``other``'s axis against the capsule's axis, weighted by the angle of the axes."""
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        end = point_contacts.point_segment(table, world, n, capsule, other, at, own, margin, weight)
        if end > n:
            writer.share_by_angle(table, world, n, capsule, other, share, 0, axis, axis)
        return end

    @wp.func
    def capsule_capsule(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        half_a = a.size[1]
        half_b = b.size[1]
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        u = vec3(rotation[0, 2], rotation[1, 2], rotation[2, 2])  # axis of b, frame of a
        back = wp.transpose(rotation)

        sine2 = u[0] * u[0] + u[1] * u[1]
        if sine2 > parallel:
            along = -wp.dot(u, position)
            s = wp.clamp((u[2] * along + position[2]) / sine2, -half_a, half_a)
            t = wp.clamp(u[2] * s + along, -half_b, half_b)
            s = wp.clamp(u[2] * t + position[2], -half_a, half_a)
            if wp.abs(t) >= half_b:
                own = vec3(dtype(0.0), dtype(0.0), t)
                n = end_contact(table, world, n, a, b, position + u * t, own, margin, dtype(1.0), SHARE_CROSSED)
            elif wp.abs(s) >= half_a:
                own = vec3(dtype(0.0), dtype(0.0), s)
                n = end_contact(table, world, n, b, a, back * (own - position), own, margin, dtype(1.0), SHARE_CROSSED)
            else:
                height = wp.dot(wp.cross(axis, u), position) / wp.sqrt(sine2)
                if wp.abs(height) - a.radius - b.radius < margin:
                    sign = dtype(1.0)
                    if height < dtype(0.0):
                        sign = dtype(-1.0)
                    n = writer.put_cross(table, world, n, a, b, vec3(), axis, vec3(), axis, sign, dtype(1.0))
                    writer.share_by_angle(table, world, n - 1, a, b, SHARE_CROSSED, 0, axis, axis)

        for i in range(2):
            side = dtype(1 - 2 * i)
            end_a = vec3(dtype(0.0), dtype(0.0), side * half_a)
            end_b = vec3(dtype(0.0), dtype(0.0), side * half_b)
            at_a = back * (end_a - position)
            at_b = position + u * end_b[2]
            n = end_contact(table, world, n, b, a, at_a, end_a, margin, dtype(0.5), SHARE_PARALLEL)
            n = end_contact(table, world, n, a, b, at_b, end_b, margin, dtype(0.5), SHARE_PARALLEL)
        return n

    return types.SimpleNamespace(capsule_capsule=capsule_capsule)
