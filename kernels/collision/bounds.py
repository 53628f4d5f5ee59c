"""Bounds for detection on the distance and the speed of approach of a pair and of all pairs of a world."""

import functools
import types
from typing import Any

import warp as wp

from ..core.precision import precision
from ..core.shape_types import TYPE_BOX, TYPE_CAPSULE, TYPE_CONVEX, TYPE_SPHERE
from . import feature_table

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``bounding_radius``, ``side`` and the bounds on speeds, for one precision."""
    p = precision(dtype)
    vec2, vec3, spatial, transform = p.vec2, p.vec3, p.spatial, p.transform
    Side = feature_table.make(dtype).Side

    @wp.func
    def bounding_radius(kind: int, size: vec3) -> dtype:
        """Radius of a sphere about the shape's origin that holds the shape [m]; 0 for a plane."""
        radius = dtype(0.0)
        if kind == TYPE_SPHERE:
            radius = size[0]
        elif kind == TYPE_CAPSULE:
            radius = size[0] + size[1]
        elif kind == TYPE_BOX:
            radius = wp.length(size)
        elif kind == TYPE_CONVEX:
            radius = size[0]
        return radius

    @wp.func
    def side(shape: int, kind: int, size: vec3, pose: transform) -> Side:
        s = Side()
        s.shape = shape
        s.size = size
        s.radius = dtype(0.0)
        if kind == TYPE_SPHERE or kind == TYPE_CAPSULE:
            s.radius = size[0]
        s.rotation = wp.quat_to_matrix(wp.transform_get_rotation(pose))
        s.position = wp.transform_get_translation(pose)
        return s

    @wp.func
    def approach_speed(
        world: int,
        shape_body: wp.array(dtype=int),
        bounding_sphere: wp.array2d(dtype=vec2),
        body_v: wp.array2d(dtype=spatial),
    ) -> dtype:
        """Bound on the speed [m/s] at which any two bodies, or a body and a static shape, approach.

        The diagonal of the box that holds all velocities and zero, and the two greatest speeds from spinning.
        """
        low = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        high = low
        first = dtype(0.0)
        second = dtype(0.0)
        fastest = int(-1)
        for s in range(shape_body.shape[0]):
            body = shape_body[s]
            if body >= 0:
                v = body_v[world, body]
                linear = vec3(v[0], v[1], v[2])
                low = wp.min(low, linear)
                high = wp.max(high, linear)
                spin = wp.length(vec3(v[3], v[4], v[5])) * bounding_sphere[world, s][1]
                if spin > first:
                    if body != fastest:
                        second = first
                    first = spin
                    fastest = body
                elif body != fastest and spin > second:
                    second = spin
        return wp.length(high - low) + first + second

    @wp.func
    def pair_speed(
        world: int, a: int, b: int, shape_body: wp.array(dtype=int), bounding_sphere: wp.array2d(dtype=vec2),
        body_v: wp.array2d(dtype=spatial),
    ) -> dtype:  # fmt: skip
        """Bound on the speed [m/s] at which two shapes approach."""
        linear = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        spin = dtype(0.0)
        body_a = shape_body[a]
        body_b = shape_body[b]
        if body_a >= 0:
            v = body_v[world, body_a]
            linear -= vec3(v[0], v[1], v[2])
            spin += wp.length(vec3(v[3], v[4], v[5])) * bounding_sphere[world, a][1]
        if body_b >= 0:
            v = body_v[world, body_b]
            linear += vec3(v[0], v[1], v[2])
            spin += wp.length(vec3(v[3], v[4], v[5])) * bounding_sphere[world, b][1]
        return wp.length(linear) + spin

    @wp.func
    def pair_gravity_speed(a: int, b: int, shape_body: wp.array(dtype=int), gravity_speed: dtype) -> dtype:
        """Speed [m/s] that gravity adds in a step: ``gravity_speed`` if one of the two is static, else 0."""
        result = dtype(0.0)
        if shape_body[a] < 0 or shape_body[b] < 0:
            result = gravity_speed
        return result

    @wp.func
    def pair_near(
        world: int, a: int, b: int, shape_body: wp.array(dtype=int), bounding_sphere: wp.array2d(dtype=vec2),
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial), margin: dtype, look_ahead: dtype,
        gravity_speed: dtype,
    ) -> dtype:  # fmt: skip
        """Distance [m] within which the contacts of a pair are listed."""
        before = pair_speed(world, a, b, shape_body, bounding_sphere, body_v0) + pair_gravity_speed(
            a, b, shape_body, gravity_speed
        )
        return margin + look_ahead * wp.max(before, pair_speed(world, a, b, shape_body, bounding_sphere, body_v1))

    @wp.func
    def world_near(
        world: int, shape_body: wp.array(dtype=int), bounding_sphere: wp.array2d(dtype=vec2),
        body_v0: wp.array2d(dtype=spatial),
        body_v1: wp.array2d(dtype=spatial), margin: dtype, look_ahead: dtype, gravity_speed: dtype,
    ) -> dtype:  # fmt: skip
        """Distance [m] beyond which no pair of a world has listed contacts, at least ``pair_near`` of each pair."""
        before = approach_speed(world, shape_body, bounding_sphere, body_v0) + gravity_speed
        return margin + look_ahead * wp.max(before, approach_speed(world, shape_body, bounding_sphere, body_v1))

    return types.SimpleNamespace(
        bounding_radius=bounding_radius, side=side, approach_speed=approach_speed, pair_speed=pair_speed,
        pair_near=pair_near, world_near=world_near,
    )  # fmt: skip
