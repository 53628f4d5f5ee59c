"""Blend of a face polygon and a crossing of two edges of two hulls: the share of the stiffness that each has.

Both are in the list within the blend, and the stiffness goes continuously from one to the other, so that a pair whose
load lies between the two comes to rest on a part of each. With separations e of the two edges and s of the face, the
height z of the polygon's lowest corner over the face [m], and the angle between the edges' normal and the face's, the
edges have

    tilted = smooth((sine - FLAT)/(OBLIQUE - FLAT))
    part   = 1 - (1 - smooth((e - s)/(FACES w)) * tilted) * (1 - smooth(|z - max(e, s)|/w - 1/2))

of it, and the polygon the rest; smooth is x^2 (3 - 2 x), clamped to 0 and 1, and w a small part of the hulls' size. So
the edges have the stiffness where they separate the hulls by more than the face does *and* lie at an angle to it. An
edge that lies along a face rests on all of the patch, even if one of its ends is deeper by more than w. The edges also
have it where the polygon's height differs from the separation: it is deeper over a steep incident face, and higher
where it misses the nearest feature.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision
from . import contact_geometry

__all__ = ["FACES", "FLAT", "OBLIQUE", "make"]

FACES = 2.0
"""Width of the change between separations by face and by edges, in w [1]."""

FLAT, OBLIQUE = 0.05, 0.15
"""Sines of the angle [1] between the normals of face and edges at which the edges begin to count, and count fully."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``by_face``, ``with_height`` and ``factor`` for one precision."""
    p = precision(dtype)
    vec3, mat63, transform = p.vec3, p.mat63, p.transform
    geo = contact_geometry.make(dtype)
    faces, flat, band = (wp.constant(dtype(x)) for x in (FACES, FLAT, OBLIQUE - FLAT))

    @wp.func
    def smooth(x: dtype):
        c = wp.clamp(x, dtype(0.0), dtype(1.0))
        return c * c * (dtype(3.0) - dtype(2.0) * c)

    @wp.func
    def by_face(edges: dtype, face: dtype, sine: dtype, width: dtype):
        """The edges' part by the separations [m] and the sine of the angle between the normals."""
        return smooth((edges - face) / (faces * width)) * smooth((sine - flat) / band)

    @wp.func
    def with_height(part: dtype, edges: dtype, face: dtype, height: dtype, width: dtype):
        """The edges' part, given that of ``by_face`` and the height [m] of the polygon."""
        off = smooth(wp.abs(height - wp.max(edges, face)) / width - dtype(0.5))
        return dtype(1.0) - (dtype(1.0) - part) * (dtype(1.0) - off)

    @wp.func
    def row3(m: mat63, i: int):
        return vec3(m[i, 0], m[i, 1], m[i, 2])

    @wp.func(inline=False)
    def factor(
        world: int, code: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3), blend_edges: wp.array2d(dtype=mat63),
    ):  # fmt: skip
        """Part of the stiffness [1] of a contact with this ``blend`` code; see ``features.py``."""
        first = code // 4
        m = blend_edges[world, first]
        xr = xa
        xi = xb
        if (code & 1) == 1:
            xr = xb
            xi = xa
        # separation by the edges
        start = wp.transform_point(xr, row3(m, 0))
        normal = wp.normalize(wp.cross(wp.transform_vector(xr, row3(m, 1)), wp.transform_vector(xi, row3(m, 3))))
        edges = wp.dot(normal, wp.transform_point(xi, row3(m, 2)) - start) * m[5, 0]
        # separation by the face, and its polygon's height
        origin = wp.transform_point(xr, a0[world, first])
        up = wp.transform_vector(xr, a1[world, first])
        face = wp.dot(up, wp.transform_point(xi, row3(m, 4)) - origin)
        c = first + int(m[5, 2])
        low = geo.core_point_b(
            kind[world, c], xr, xi, a0[world, c], a1[world, c], a2[world, c], b0[world, c], b1[world, c]
        )
        sine = wp.length(wp.cross(normal, up))
        part = with_height(by_face(edges, face, sine, m[5, 1]), edges, face, wp.dot(up, low - origin), m[5, 1])
        if (code & 2) == 0:
            part = dtype(1.0) - part
        return part

    return SimpleNamespace(by_face=by_face, with_height=with_height, factor=factor)
