"""Contact geometry: gap, normal, point and weight from the poses and a frozen feature. Pure and differentiated.

The kinds of feature are defined in ``features.py``.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision
from .features import (
    CLIP,
    CROSS,
    DROP,
    LINE,
    PARALLEL,
    POINT,
    RIM,
    RIM_POINTS,
    SHARE_CROSSED,
    SHARE_LOWEST,
    SHARE_PARALLEL,
    SHARE_RIM,
    SHARE_UPRIGHT,
    TILTED,
    UPRIGHT,
)  # fmt: skip

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``body_pose``, ``core_point_b``, ``locate``, ``fixed_share``, ``perimeter`` and ``next_corner``."""
    p = precision(dtype)
    vec3, transform = p.vec3, p.transform
    parallel2 = PARALLEL * PARALLEL
    upright2 = UPRIGHT * UPRIGHT
    band2 = TILTED * TILTED - UPRIGHT * UPRIGHT
    lying = RIM_POINTS / 2 - 1

    @wp.func
    def body_pose(body_q: wp.array2d(dtype=transform), world: int, body: int):
        """Pose of a body; the identity for static geometry (body -1)."""
        pose = wp.transform_identity(dtype=dtype)
        if body >= 0:
            pose = body_q[world, body]
        return pose

    @wp.func
    def core_point_b(kind: int, xa: transform, xb: transform, a0: vec3, a1: vec3, a2: vec3, b0: vec3, b1: vec3):
        """Contact point on b's core [m] for the kinds whose reference is a plane (FLAT, CLIP, DROP, RIM)."""
        pb = wp.transform_point(xb, b0)
        if kind == CLIP:
            db = wp.transform_vector(xb, b1)
            side = wp.transform_vector(xa, a2)
            pb = pb + db * (wp.dot(side, wp.transform_point(xa, a0) - pb) / wp.dot(side, db))
        if kind == DROP:
            nb = wp.transform_vector(xb, b1)
            na = wp.transform_vector(xa, a1)
            oa = wp.transform_point(xa, a0)
            pb = oa + na * (wp.dot(nb, pb - oa) / wp.dot(nb, na))
        if kind == RIM:
            axis = wp.transform_vector(xb, b1)
            u = wp.normalize(axis)
            na = wp.normalize(wp.transform_vector(xa, a1))
            # by cross products: u (na u) - na loses the height of the lowest point to rounding while u is near na
            side = wp.normalize(wp.cross(na, u))
            pb = pb + (wp.cross(side, u) * a2[0] + side * a2[1]) * wp.length(axis)
        return pb

    @wp.func
    def locate(
        kind: int, xa: transform, xb: transform, a0: vec3, a1: vec3, a2: vec3, b0: vec3, b1: vec3,
        radius_a: dtype, radius_b: dtype, sign: dtype,
    ):  # fmt: skip
        """Gap [m], unit normal from a to b, and contact point [m], midway between the two surfaces."""
        half = dtype(0.5)
        pa = wp.transform_point(xa, a0)
        pb = core_point_b(kind, xa, xb, a0, a1, a2, b0, b1)
        gap = dtype(0.0)
        n = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        middle = half * (pa + pb)
        if kind == POINT:
            d = pb - pa
            gap = wp.length(d)
            n = n * sign
            if gap > dtype(0.0):  # else any direction leads out, and it is the vertical one
                n = wp.normalize(d)
        elif kind == LINE:
            da = wp.transform_vector(xa, a1)
            r = pb - pa
            foot = da * wp.dot(r, da)
            d = r - foot
            gap = wp.length(d)
            if gap > dtype(0.0):
                n = wp.normalize(d)
            else:  # any direction across the line leads out
                if wp.abs(da[2]) > dtype(0.9):
                    n = vec3(dtype(1.0), dtype(0.0), dtype(0.0))
                n = wp.normalize(n - da * wp.dot(n, da)) * sign
            middle = half * (pa + foot + pb)
        elif kind == CROSS:
            da = wp.transform_vector(xa, a1)
            db = wp.transform_vector(xb, b1)
            c = wp.cross(da, db)
            n = wp.normalize(c) * sign
            r = pb - pa
            gap = wp.dot(n, r)
            along = wp.dot(wp.cross(r, db), c) / wp.dot(c, c)
            middle = pa + da * along + n * (half * gap)
        else:
            n = wp.normalize(wp.transform_vector(xa, a1))  # the solve's Hessian is definite for unit normals only
            gap = wp.dot(n, pb - pa)
            middle = pb - n * (half * gap)
        point = middle + n * (half * (radius_a - radius_b))
        return gap - radius_a - radius_b, n, point

    @wp.func(inline=False)
    def fixed_share(share: int, share_plane: int, xa: transform, xb: transform, s0: vec3, s1: vec3):
        """Factor [1] of the weight for all kinds of share but SHARE_POLYGON."""
        factor = dtype(1.0)
        if share == SHARE_CROSSED or share == SHARE_PARALLEL:
            da = wp.transform_vector(xa, s0)
            db = wp.transform_vector(xb, s1)
            cosine = wp.dot(da, db)
            sine2 = dtype(1.0) - cosine * cosine
            if share_plane != 0:
                sine2 = cosine * cosine
            if share == SHARE_CROSSED:
                factor = sine2 / (sine2 + dtype(parallel2))
            else:
                factor = dtype(parallel2) / (sine2 + dtype(parallel2))
        if share == SHARE_RIM or share == SHARE_LOWEST or share == SHARE_UPRIGHT:
            c = wp.cross(wp.transform_vector(xa, s0), wp.transform_vector(xb, s1))
            tilt2 = wp.dot(c, c)
            x = wp.clamp((tilt2 - dtype(upright2)) / dtype(band2), dtype(0.0), dtype(1.0))
            step = x * x * (dtype(3.0) - dtype(2.0) * x)
            if share == SHARE_RIM:
                factor = step * (dtype(1.0) - tilt2)
            elif share == SHARE_LOWEST:
                factor = step * (dtype(1.0) + dtype(lying) * tilt2)
            else:
                factor = dtype(1.0) - step
        return factor

    @wp.func
    def polygon_corner(
        world: int, c: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        return core_point_b(
            kind[world, c], xa, xb, a0[world, c], a1[world, c], a2[world, c], b0[world, c], b1[world, c]
        )

    @wp.func
    def perimeter(
        world: int, start: int, count: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Length of the outline of the polygon that begins with contact ``start`` [m]."""
        total = dtype(0.0)
        for i in range(count):
            here = polygon_corner(world, start + i, xa, xb, kind, a0, a1, a2, b0, b1)
            after = polygon_corner(world, start + (i + 1) % count, xa, xb, kind, a0, a1, a2, b0, b1)
            total += wp.length(after - here)
        return total

    @wp.func
    def next_corner(
        world: int, c: int, turn: int, start: int, count: int, xa: transform, xb: transform,
        kind: wp.array2d(dtype=int), a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """The corner that comes ``turn`` corners (1 or -1; 0: itself) after contact ``c`` of a polygon [m]."""
        at = start + (c - start + count + turn) % count
        return polygon_corner(world, at, xa, xb, kind, a0, a1, a2, b0, b1)

    return SimpleNamespace(
        body_pose=body_pose, core_point_b=core_point_b, locate=locate, fixed_share=fixed_share, perimeter=perimeter,
        next_corner=next_corner,
    )  # fmt: skip
