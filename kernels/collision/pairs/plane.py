"""Contacts of a half-space: one for each vertex of the other shape's core that is near or below the plane.

The number of possible contacts is fixed, and so is each one's weight, so the total force is continuous in the pose.
The plane is always the reference (side a); its solid is z <= 0 of its frame.
"""

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table
from ..features import LINE_ARM

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """Functions ``f(table, world, n, a, b, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side

    line_arm = wp.constant(dtype(LINE_ARM))

    @wp.func
    def rectangle(a: dtype, b: dtype):
        """Arm, roundness and size of a rectangle with the half sides a and b, see ``contact/face_friction.py``."""
        d2 = a * a + b * b
        d = wp.sqrt(d2)
        mean = d / dtype(3.0) + a * a / (dtype(6.0) * b) * wp.log((b + d) / a)
        mean += b * b / (dtype(6.0) * a) * wp.log((a + d) / b)
        return mean / d, dtype(4.0) * a * a * b * b / (d2 * d2), d

    @wp.func
    def plane_sphere(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        if position[2] - b.radius < margin:
            n = writer.put_plane(
                table, world, n, a, b, vec3(), vec3(dtype(0.0), dtype(0.0), dtype(1.0)), vec3(), dtype(1.0)
            )
        return n

    @wp.func
    def plane_capsule(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        up = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        rise = rotation[2, 2] * b.size[1]
        start = n
        listing_gap = writer.face_listing_gap(position[2] - wp.abs(rise) - b.radius, b.size[1], margin)
        if position[2] + rise - b.radius < listing_gap:
            end = vec3(dtype(0.0), dtype(0.0), b.size[1])
            n = writer.put_plane(table, world, n, a, b, vec3(), up, end, dtype(0.5))
        if position[2] - rise - b.radius < listing_gap:
            end = vec3(dtype(0.0), dtype(0.0), -b.size[1])
            n = writer.put_plane(table, world, n, a, b, vec3(), up, end, dtype(0.5))
        writer.lie_on_face(table, world, start, n, line_arm, dtype(1.0), b.size[1])
        return n

    @wp.func
    def plane_box(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        up = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        half = b.size
        start = n
        rise = vec3(rotation[2, 0] * half[0], rotation[2, 1] * half[1], rotation[2, 2] * half[2])
        lowest = position[2] - wp.abs(rise[0]) - wp.abs(rise[1]) - wp.abs(rise[2])
        if lowest >= margin:
            return n
        low = int(0)  # the axis that stands most upright
        for i in range(1, 3):
            if wp.abs(rotation[2, i]) > wp.abs(rotation[2, low]):
                low = i
        arm, roundness, size = rectangle(half[(low + 1) % 3], half[(low + 2) % 3])
        listing_gap = writer.face_listing_gap(lowest, size, margin)
        for corner in range(8):
            sx = dtype(1 - 2 * (corner & 1))
            sy = dtype(1 - (corner & 2))
            sz = dtype(1 - ((corner & 4) >> 1))
            if position[2] + sx * rise[0] + sy * rise[1] + sz * rise[2] < listing_gap:
                vertex = vec3(sx * half[0], sy * half[1], sz * half[2])
                n = writer.put_plane(table, world, n, a, b, vec3(), up, vertex, dtype(0.25))
        writer.lie_on_face(table, world, start, n, arm, roundness, size)
        return n

    return types.SimpleNamespace(plane_sphere=plane_sphere, plane_capsule=plane_capsule, plane_box=plane_box)
