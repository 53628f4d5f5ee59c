"""Contacts of a sphere with a sphere, a capsule and a box: one contact, at the closest point of the other core.

The distance to a convex core is continuously differentiable outside of it, so neither gap nor normal jumps when the
closest feature changes (face, edge, vertex). Inside a box the nearest face counts: there the normal flips where two
faces are equally near.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """Functions ``f(table, world, n, a, b, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot. ``point_segment``
    and ``point_box`` write the contact of one point of a shape's core with a capsule's axis and a box.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side

    @wp.func
    def point_segment(
        table: FeatureTable, world: int, n: int, capsule: Side, other: Side,
        at: vec3, own: vec3, margin: dtype, weight: dtype,
    ) -> int:  # fmt: skip
        """A point of ``other``, ``at`` in the capsule's frame and ``own`` in its own, against the capsule's axis."""
        half = capsule.size[1]
        along = wp.clamp(at[2], -half, half)
        foot = vec3(dtype(0.0), dtype(0.0), along)
        if wp.length(at - foot) - capsule.radius - other.radius < margin:
            if wp.abs(at[2]) < half:
                axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
                n = writer.put_line(table, world, n, capsule, other, vec3(), axis, own, weight)
            else:
                n = writer.put_point(table, world, n, capsule, other, foot, own, weight)
        return n

    @wp.func
    def point_box(
        table: FeatureTable, world: int, n: int, box: Side, other: Side,
        at: vec3, own: vec3, margin: dtype, weight: dtype,
    ) -> int:  # fmt: skip
        """A point of ``other``, ``at`` in the box's frame and ``own`` in its own, against the box."""
        half = box.size
        foot = vec3(
            wp.clamp(at[0], -half[0], half[0]), wp.clamp(at[1], -half[1], half[1]), wp.clamp(at[2], -half[2], half[2])
        )
        if wp.length(at - foot) - other.radius >= margin:
            return n
        outside = int(0)
        face = int(0)
        edge = int(0)
        depth = dtype(-1.0e30)
        for i in range(3):
            separation = wp.abs(at[i]) - half[i]
            if separation > dtype(0.0):
                outside += 1
            else:
                edge = i
            if separation > depth:
                depth = separation
                face = i
        if outside == 3:
            return writer.put_point(table, world, n, box, other, foot, own, weight)
        if outside == 2:
            direction = vec3()
            direction[edge] = dtype(1.0)
            foot[edge] = dtype(0.0)
            return writer.put_line(table, world, n, box, other, foot, direction, own, weight)
        side = dtype(1.0)
        if at[face] < dtype(0.0):
            side = dtype(-1.0)
        normal = vec3()
        normal[face] = side
        origin = vec3()
        origin[face] = side * half[face]
        return writer.put_plane(table, world, n, box, other, origin, normal, own, weight)

    @wp.func
    def sphere_sphere(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        if wp.length(position) - a.radius - b.radius < margin:
            n = writer.put_point(table, world, n, a, b, vec3(), vec3(), dtype(1.0))
        return n

    @wp.func
    def sphere_capsule(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        at = wp.transpose(rotation) * (-position)
        return point_segment(table, world, n, b, a, at, vec3(), margin, dtype(1.0))

    @wp.func
    def sphere_box(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        at = wp.transpose(rotation) * (-position)
        return point_box(table, world, n, b, a, at, vec3(), margin, dtype(1.0))

    return types.SimpleNamespace(
        point_segment=point_segment, point_box=point_box,
        sphere_sphere=sphere_sphere, sphere_capsule=sphere_capsule, sphere_box=sphere_box,
    )  # fmt: skip
