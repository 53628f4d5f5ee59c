"""Shape types. A shape's frame is centred on it; ``size`` is a vec3 whose meaning depends on the type."""

from __future__ import annotations

import enum

import warp as wp

__all__ = ["TYPE_BOX", "TYPE_CAPSULE", "TYPE_CONVEX", "TYPE_PLANE", "TYPE_SPHERE", "ShapeType"]


class ShapeType(enum.IntEnum):
    """Type of a collision shape and the meaning of its ``size`` [m]."""

    PLANE = 0  # half-space z <= 0 of the shape's frame; size unused; only on static shapes
    SPHERE = 1  # size = (radius, 0, 0)
    CAPSULE = 2  # size = (radius, half length of the axis, 0); axis along z, hemispheres beyond it
    BOX = 3  # size = half extents (x, y, z)
    CONVEX = 4  # size = (bounding radius, half of the least width, inscribed radius); about the centre of mass


TYPE_PLANE = wp.constant(int(ShapeType.PLANE))
TYPE_SPHERE = wp.constant(int(ShapeType.SPHERE))
TYPE_CAPSULE = wp.constant(int(ShapeType.CAPSULE))
TYPE_BOX = wp.constant(int(ShapeType.BOX))
TYPE_CONVEX = wp.constant(int(ShapeType.CONVEX))
"""Types as constants of kernels."""
