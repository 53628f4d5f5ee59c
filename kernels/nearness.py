"""What both detection kernels ask about a world before they look at a pair: bounding spheres, and speeds."""

import functools
import types
from typing import Any

import warp as wp

from . import collide_writer
from .precision import precision
from .shapes import ShapeType

__all__ = ["make"]

_SPHERE = wp.constant(int(ShapeType.SPHERE))
_CAPSULE = wp.constant(int(ShapeType.CAPSULE))
_BOX = wp.constant(int(ShapeType.BOX))
_CONVEX = wp.constant(int(ShapeType.CONVEX))


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``bounding_radius``, ``side`` and ``approach_speed`` for one precision."""
    p = precision(dtype)
    scalar, vec3, spatial, transform = p.scalar, p.vec3, p.spatial, p.transform
    Side = collide_writer.make(dtype).Side

    @wp.func
    def bounding_radius(kind: int, size: vec3) -> scalar:
        """Radius of a sphere about the shape's origin that holds the shape [m]; 0 for a plane."""
        radius = scalar(0.0)
        if kind == _SPHERE:
            radius = size[0]
        elif kind == _CAPSULE:
            radius = size[0] + size[1]
        elif kind == _BOX:
            radius = wp.length(size)
        elif kind == _CONVEX:
            radius = size[0]
        return radius

    @wp.func
    def side(shape: int, kind: int, size: vec3, pose: transform) -> Side:
        s = Side()
        s.shape = shape
        s.size = size
        s.radius = scalar(0.0)
        if kind == _SPHERE or kind == _CAPSULE:
            s.radius = size[0]
        s.rotation = wp.quat_to_matrix(wp.transform_get_rotation(pose))
        s.position = wp.transform_get_translation(pose)
        return s

    @wp.func
    def approach_speed(
        world: int,
        shape_type: wp.array1d(dtype=wp.int32),
        shape_body: wp.array1d(dtype=wp.int32),
        shape_size: wp.array2d(dtype=vec3),
        shape_pose: wp.array1d(dtype=transform),
        body_v: wp.array2d(dtype=spatial),
    ) -> scalar:
        """Bound on the speed [m/s] at which any two bodies, or a body and a static shape, can approach.

        The diagonal of the box that holds all velocities and zero, and the two greatest speeds from spinning. Not a
        bound for each pair by itself: in one step a body may pass its velocity on to another.
        """
        low = vec3(scalar(0.0), scalar(0.0), scalar(0.0))
        high = low
        first = scalar(0.0)
        second = scalar(0.0)
        fastest = int(-1)
        for s in range(shape_body.shape[0]):
            body = shape_body[s]
            if body >= 0:
                v = body_v[world, body]
                linear = vec3(v[0], v[1], v[2])
                low = wp.min(low, linear)
                high = wp.max(high, linear)
                angular = wp.length(vec3(v[3], v[4], v[5]))
                offset = wp.length(wp.transform_get_translation(shape_pose[s]))
                spin = angular * (offset + bounding_radius(shape_type[s], shape_size[world, s]))
                if spin > first:
                    if body != fastest:
                        second = first
                    first = spin
                    fastest = body
                elif body != fastest and spin > second:
                    second = spin
        return wp.length(high - low) + first + second

    return types.SimpleNamespace(bounding_radius=bounding_radius, side=side, approach_speed=approach_speed)
