"""Contacts of a convex polyhedron with a plane and a sphere.

Against a plane every vertex is a contact of fixed weight (``ConvexMesh.shares``), so that the force is continuous in
the pose; on a face of several corners the weights add up to about 1. Against a sphere the closest point of the hull
is the contact, and inside the hull the nearest face, where the normal flips between faces.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table, hulls

__all__ = ["ON_EDGE", "ON_FACE", "ON_VERTEX", "make"]

ON_FACE = wp.constant(1)
ON_EDGE = wp.constant(2)
ON_VERTEX = wp.constant(3)


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``plane_convex``, ``sphere_convex``, and for the capsule ``closest`` and ``point_hull``, for one precision."""
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    hull = hulls.make(dtype)
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull

    @wp.func
    def over(hs: Hulls, h: Hull, face: int, x: vec3) -> bool:
        """Whether x lies between the side planes of a face."""
        count = hull.corners(hs, face)
        v = hull.corner(hs, h, face, 0)
        for k in range(count):
            w = hull.corner(hs, h, face, (k + 1) % count)
            if wp.dot(wp.cross(w - v, hs.normals[face]), x - v) > dtype(0.0):
                return False
            v = w
        return True

    @wp.func
    def closest(hs: Hulls, h: Hull, x: vec3):
        """Feature of the hull closest to x: ON_FACE, ON_EDGE or ON_VERTEX, its number, and the closest point [m].

        Inside the hull it is the nearest face.
        """
        best = dtype(-1.0e30)
        index = h.face
        for f in range(h.face, h.face_end):
            height = hull.height(hs, h, f, x)
            if height > best:
                best = height
                index = f
        what = ON_FACE
        foot = x - hs.normals[index] * best
        if best > dtype(0.0) and not over(hs, h, index, x):
            # A closest point within a face means the greatest height, so it is on an edge or a vertex.
            nearest = dtype(1.0e30)
            for e in range(h.edge, h.edge_end):
                start = hull.vertex(hs, h, hs.edges[e][0])
                along = hull.vertex(hs, h, hs.edges[e][1]) - start
                t = wp.dot(x - start, along) / wp.dot(along, along)
                point = start + along * wp.clamp(t, dtype(0.0), dtype(1.0))
                distance = wp.length(x - point)
                if distance < nearest:
                    nearest = distance
                    foot = point
                    what = ON_EDGE
                    index = e
                    if t <= dtype(0.0):
                        what = ON_VERTEX
                        index = hs.edges[e][0]
                    elif t >= dtype(1.0):
                        what = ON_VERTEX
                        index = hs.edges[e][1]
        return what, index, foot

    @wp.func
    def point_hull(
        table: FeatureTable, world: int, n: int, hs: Hulls, side: Side, other: Side, h: Hull,
        at: vec3, own: vec3, margin: dtype, weight: dtype,
    ) -> int:  # fmt: skip
        """A point of ``other``, ``at`` in the hull's frame and ``own`` in its own, against the hull."""
        what, index, foot = closest(hs, h, at)
        if wp.length(at - foot) - other.radius >= margin:
            if what != ON_FACE or hull.height(hs, h, index, at) > dtype(0.0):
                return n
        if what == ON_VERTEX:
            return writer.put_point(table, world, n, side, other, foot, own, weight)
        if what == ON_EDGE:
            start = hull.vertex(hs, h, hs.edges[index][0])
            along = wp.normalize(hull.vertex(hs, h, hs.edges[index][1]) - start)
            return writer.put_line(table, world, n, side, other, start, along, own, weight)
        origin = hull.corner(hs, h, index, 0)
        return writer.put_plane(table, world, n, side, other, origin, hs.normals[index], own, weight)

    @wp.func
    def sphere_convex(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, h: Hull,
        rotation: mat33, position: vec3, margin: dtype,
    ) -> int:  # fmt: skip
        at = wp.transpose(rotation) * (-position)
        return point_hull(table, world, n, hs, b, a, h, at, vec3(), margin, dtype(1.0))

    @wp.func
    def plane_convex(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, h: Hull,
        rotation: mat33, position: vec3, margin: dtype,
    ):  # fmt: skip
        """The next free slot, and the least height [m] of a vertex that is not listed."""
        up = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        rise = wp.transpose(rotation) * up
        beyond = dtype(1.0e30)
        for v in range(h.vertex, h.vertex_end):
            beyond = wp.min(beyond, position[2] + wp.dot(rise, hull.vertex(hs, h, v)))
        if beyond >= margin:
            return n, beyond
        arm = hs.arms[hull.most_opposed(hs, h, rise)]
        listing_gap = writer.face_listing_gap(beyond, arm[2], margin)
        beyond = dtype(1.0e30)
        start = n
        for v in range(h.vertex, h.vertex_end):
            x = hull.vertex(hs, h, v)
            height = position[2] + wp.dot(rise, x)
            if height >= listing_gap:
                beyond = wp.min(beyond, height)
            else:
                n = writer.put_plane(table, world, n, a, b, vec3(), up, x, hs.shares[v])
        writer.lie_on_face(table, world, start, n, arm[0], arm[1], arm[2])
        return n, beyond

    return types.SimpleNamespace(
        closest=closest, point_hull=point_hull, sphere_convex=sphere_convex, plane_convex=plane_convex
    )
