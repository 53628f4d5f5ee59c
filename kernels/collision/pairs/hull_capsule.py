"""Contacts of a capsule and a convex polyhedron: ``capsule_box.py`` for any convex hull.

The closest points are the contact while the axis meets the hull at an angle. They fade out (SHARE_CROSSED) where it
runs parallel to a face or an edge, and two points fade in (SHARE_PARALLEL). The force jumps as it does there. It also
jumps where the closest point is a vertex and the choice of the edge or of the face changes: the edge is the one most
along the axis, the face the one whose normal is nearest.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table, hulls
from ..features import LINE_ARM, SHARE_CROSSED, SHARE_PARALLEL
from . import box_edges, hull_point, sphere
from .hull_point import ON_EDGE, ON_FACE, ON_VERTEX

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``capsule_convex(table, world, n, hulls, a, b, h, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b, the hull, in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    hull = hulls.make(dtype)
    point = hull_point.make(dtype)
    point_segment = sphere.make(dtype).point_segment
    closest_parameters = box_edges.make(dtype).closest_parameters
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull
    # Sine of an angle below which an axis is parallel: the place where it crosses a plane would be lost in rounding.
    parallel = wp.constant(dtype(p.epsilon**0.5))
    line_arm = wp.constant(dtype(LINE_ARM))

    @wp.func
    def edge_direction(hs: Hulls, h: Hull, e: int) -> vec3:
        return wp.normalize(hull.vertex(hs, h, hs.edges[e][1]) - hull.vertex(hs, h, hs.edges[e][0]))

    @wp.func
    def over_face(
        table: FeatureTable, world: int, n: int, hs: Hulls, side: Side, capsule: Side, h: Hull,
        centre: vec3, u: vec3, t: dtype, cut: int, face: int, margin: dtype, weight: dtype, share: int,
    ) -> int:  # fmt: skip
        """The point t of the axis over a face: an end of the axis (cut < 0), or where side plane ``cut`` cuts it."""
        if hull.height(hs, h, face, centre + u * t) - capsule.radius < margin:
            axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
            normal = hs.normals[face]
            if cut < 0:
                origin = hull.corner(hs, h, face, 0)
                n = writer.put_plane(table, world, n, side, capsule, origin, normal, axis * t, weight)
            else:
                origin = hull.corner(hs, h, face, cut)
                outward = hull.side_normal(hs, face, cut)
                n = writer.put_clip(table, world, n, side, capsule, origin, normal, outward, vec3(), axis, weight)
            writer.share_by_angle(table, world, n - 1, side, capsule, share, 1, normal, axis)
        return n

    @wp.func
    def along_edge(
        table: FeatureTable, world: int, n: int, hs: Hulls, side: Side, capsule: Side, h: Hull,
        centre: vec3, u: vec3, vertex: vec3, other: vec3, rotation: mat33, position: vec3, margin: dtype,
    ) -> int:  # fmt: skip
        """One of two contacts along an edge: its end ``vertex``, or the end of the axis on that side."""
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        direction = wp.normalize(vertex - other)
        length = wp.length(vertex - other)
        t = capsule.size[1]
        if wp.dot(u, direction) < dtype(0.0):
            t = -t
        end = centre + u * t
        along = wp.dot(end - other, direction)
        foot = other + direction * wp.clamp(along, dtype(0.0), length)
        s = wp.clamp(wp.dot(vertex - centre, u), -capsule.size[1], capsule.size[1])
        start = n
        if wp.length(end - foot) < wp.length(vertex - centre - u * s):
            if wp.length(end - foot) - capsule.radius < margin:
                if along > dtype(0.0) and along < length:
                    n = writer.put_line(table, world, n, side, capsule, other, direction, axis * t, dtype(0.5))
                else:
                    n = writer.put_point(table, world, n, side, capsule, foot, axis * t, dtype(0.5))
            if n > start:
                writer.share_by_angle(table, world, start, side, capsule, SHARE_PARALLEL, 0, direction, axis)
        else:
            at = rotation * vertex + position
            n = point_segment(table, world, n, capsule, side, at, vertex, margin, dtype(0.5))
            if n > start:
                writer.share_by_angle(table, world, start, capsule, side, SHARE_PARALLEL, 0, axis, direction)
        return n

    @wp.func
    def capsule_convex(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, h: Hull,
        rotation: mat33, position: vec3, margin: dtype,
    ) -> int:  # fmt: skip
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        length = a.size[1]
        centre = wp.transpose(rotation) * (-position)  # of the capsule, frame of the hull
        u = vec3(rotation[2, 0], rotation[2, 1], rotation[2, 2])  # its axis
        tiny = parallel * h.radius
        deep, _meets, _face = hull.reaches(hs, h, centre - u * length, centre + u * length, tiny)

        # The closest points of the axis and of the hull, and the feature of the hull.
        t = -length
        what, index, foot = point.closest(hs, h, centre - u * length)
        distance = wp.length(centre - u * length - foot)
        edge = int(-1)
        if not deep:
            what_high, index_high, foot_high = point.closest(hs, h, centre + u * length)
            if wp.length(centre + u * length - foot_high) < distance:
                t = length
                what = what_high
                index = index_high
                foot = foot_high
                distance = wp.length(centre + u * length - foot)
            for e in range(h.edge, h.edge_end):
                origin = hull.vertex(hs, h, hs.edges[e][0])
                along = hull.vertex(hs, h, hs.edges[e][1]) - origin
                half = dtype(0.5) * wp.length(along)
                v = wp.normalize(along)
                middle = origin + v * half
                st = closest_parameters(centre - middle, u, v, length, half)
                if wp.abs(st[0]) < length:
                    on_edge = middle + v * st[1]
                    gap = wp.length(centre + u * st[0] - on_edge)
                    if gap < distance:
                        distance = gap
                        t = st[0]
                        foot = on_edge
                        what = ON_EDGE
                        index = e
                        if st[1] <= -half:
                            what = ON_VERTEX
                            index = hs.edges[e][0]
                        elif st[1] >= half:
                            what = ON_VERTEX
                            index = hs.edges[e][1]
            if distance - a.radius >= margin:
                return n
        x = centre + u * t

        # The face that counts, and the edge: of a vertex the one most along the axis.
        face = h.face
        best = dtype(-1.0e30)
        for f in range(h.face, h.face_end):
            if deep:
                height = hull.height(hs, h, f, centre) - length * wp.abs(wp.dot(u, hs.normals[f]))
                if height > best:
                    best = height
                    face = f
            elif hull.height(hs, h, f, foot) > -tiny:
                lean = wp.dot(hs.normals[f], x - foot)
                if lean > best:
                    best = lean
                    face = f
        if not deep:
            if what == ON_EDGE:
                edge = index
            if what == ON_VERTEX:
                most = dtype(-1.0)
                for e in range(h.edge, h.edge_end):
                    if hs.edges[e][0] == index or hs.edges[e][1] == index:
                        cosine = wp.abs(wp.dot(edge_direction(hs, h, e), u))
                        if cosine > most:
                            most = cosine
                            edge = e

        # The part of the axis over the face.
        low = -length
        high = length
        low_cut = int(-1)
        high_cut = int(-1)
        empty = bool(False)
        for k in range(hull.corners(hs, face)):
            outward = hull.side_normal(hs, face, k)
            beyond = wp.dot(outward, centre - hull.corner(hs, h, face, k))
            rate = wp.dot(outward, u)
            if rate > parallel:
                if -beyond / rate < high:
                    high = -beyond / rate
                    high_cut = k
            elif rate < -parallel:
                if -beyond / rate > low:
                    low = -beyond / rate
                    low_cut = k
            elif beyond > dtype(0.0):
                empty = True
        if low > high:
            empty = True

        # The closest points.
        start = n
        if deep:
            cut = high_cut
            at = high
            if wp.dot(u, hs.normals[face]) > dtype(0.0):
                cut = low_cut
                at = low
            n = over_face(
                table, world, n, hs, b, a, h, centre, u, at, cut, face, margin, dtype(1.0), SHARE_CROSSED
            )  # fmt: skip
        else:
            hull_first = bool(True)
            if wp.abs(t) >= length:
                n = point.point_hull(table, world, n, hs, b, a, h, x, axis * t, margin, dtype(1.0))
            elif what == ON_EDGE:
                direction = edge_direction(hs, h, edge)
                normal = wp.cross(direction, u)
                if wp.length(normal) > parallel:
                    sign = dtype(1.0)
                    if wp.dot(normal, x - foot) < dtype(0.0):
                        sign = dtype(-1.0)
                    on_edge = hull.vertex(hs, h, hs.edges[edge][0])
                    n = writer.put_cross(table, world, n, b, a, on_edge, direction, vec3(), axis, sign, dtype(1.0))
            elif what == ON_VERTEX:
                hull_first = False
                at_vertex = rotation * foot + position
                n = point_segment(table, world, n, a, b, at_vertex, foot, margin, dtype(1.0))
            if n > start:
                plane = int(1)
                on_hull = hs.normals[face]
                if empty and what != ON_FACE:
                    plane = int(0)
                    on_hull = edge_direction(hs, h, edge)
                if hull_first:
                    writer.share_by_angle(table, world, start, b, a, SHARE_CROSSED, plane, on_hull, axis)
                else:
                    writer.share_by_angle(table, world, start, a, b, SHARE_CROSSED, plane, axis, on_hull)

        # The two points for an axis parallel to the hull.
        if not empty:
            ends = n
            lowest = wp.min(hull.height(hs, h, face, centre + u * low), hull.height(hs, h, face, centre + u * high))
            listing_gap = writer.face_listing_gap(lowest - a.radius, length, margin)
            n = over_face(
                table, world, n, hs, b, a, h, centre, u, low, low_cut, face, listing_gap, dtype(0.5), SHARE_PARALLEL
            )  # fmt: skip
            n = over_face(
                table, world, n, hs, b, a, h, centre, u, high, high_cut, face, listing_gap, dtype(0.5), SHARE_PARALLEL
            )  # fmt: skip
            writer.lie_on_face(table, world, ends, n, line_arm, dtype(1.0), length)
        elif what != ON_FACE and edge >= 0:
            one = hull.vertex(hs, h, hs.edges[edge][0])
            two = hull.vertex(hs, h, hs.edges[edge][1])
            n = along_edge(table, world, n, hs, b, a, h, centre, u, one, two, rotation, position, margin)
            n = along_edge(table, world, n, hs, b, a, h, centre, u, two, one, rotation, position, margin)
        return n

    return types.SimpleNamespace(capsule_convex=capsule_convex)
