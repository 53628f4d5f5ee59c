"""Contacts of two convex polyhedra, a box being one: separating axes choose a pair of faces or a pair of edges.

The conventions are those of ``box_box.py``: the face with the greatest separation gives a contact polygon
(``hull_faces.py``), a pair of crossing edges with a greater separation one contact (CROSS), and where the hulls are
apart and the polygon is empty, the closest pair of edges gives the contact. Between polygon and crossing the stiffness
is blended continuously (``collision/edge_blend.py``); of the faces of both, the one that lies flatter to the edges
counts then. In contrast to boxes, the closest points of two edges count, not the lines through them, wherever edges
decide and the hulls are apart: the gap is then the distance.

Three facts keep this cheap. The first axis with a separation beyond the margin ends the search. A face is tested only
if it can decide, given the sphere inside the other hull. The edges of the deciding axis are as near to the other hull
as the hulls overlap (or, apart, as the margin), so that all other edges are left out before pairs are formed.

The force jumps where the choice changes between faces or between pairs of edges.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import edge_blend, feature_table, hulls, hulls_simd
from ..hulls_simd import MOST_EDGES
from . import box_edges, hull_faces
from .box_box import SWITCH

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``separation`` and ``convex_convex`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    hull = hulls.make(dtype)
    simd = hulls_simd.make(dtype)
    patch = hull_faces.make(dtype)
    hand = edge_blend.make(dtype)
    closest_parameters = box_edges.make(dtype).closest_parameters
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull
    switch = wp.constant(dtype(SWITCH))
    # Sine of the angle below which two edges count as parallel: their common normal adds nothing to those of the faces.
    parallel = wp.constant(dtype(0.01))
    parallel2 = wp.constant(dtype(p.epsilon))  # squared sine
    edge_list = simd.edge_list  # counted from the hull's first

    @wp.func
    def edge_start(hs: Hulls, h: Hull, e: int) -> vec3:
        return hull.vertex(hs, h, hs.edges[e][0])

    @wp.func
    def edge_end(hs: Hulls, h: Hull, e: int) -> vec3:
        return hull.vertex(hs, h, hs.edges[e][1])

    @wp.func
    def edge_along(hs: Hulls, h: Hull, e: int) -> vec3:
        return wp.normalize(edge_end(hs, h, e) - edge_start(hs, h, e))

    @wp.func
    def near_edges(
        hs: Hulls, h: Hull, other: Hull, rotation: mat33, position: vec3, distance: dtype, toward: int
    ) -> edge_list:
        """The edges of h that come within about a distance of another hull; the last number is how many.

        ``rotation``, ``position`` are the pose of h in the frame of the other, whose face ``toward`` looks at h.
        """
        return simd.near_edges(
            hs.edge_rows, hs.face_rows, h.edge, h.edge_end, h.scale, rotation, position, other.face, other.face_end,
            toward, other.scaled, other.scale, distance,
        )  # fmt: skip

    @wp.func
    def put_edges(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, ha: Hull, hb: Hull,
        ea: int, eb: int, sign: dtype,
    ) -> int:  # fmt: skip
        u = edge_along(hs, ha, ea)
        v = edge_along(hs, hb, eb)
        return writer.put_cross(
            table, world, n, a, b, edge_start(hs, ha, ea), u, edge_start(hs, hb, eb), v, sign, dtype(1.0)
        )

    @wp.func
    def segments(hs: Hulls, a: Hull, b: Hull, rotation: mat33, position: vec3, ea: int, eb: int):
        """Of two edges: middles (that of b in the frame of a), unit directions (b's in its own) and half lengths."""
        half = dtype(0.5)
        a0 = edge_start(hs, a, ea)
        a1 = edge_end(hs, a, ea)
        b0 = edge_start(hs, b, eb)
        b1 = edge_end(hs, b, eb)
        middle = (b0 + b1) * half
        return (
            (a0 + a1) * half, middle, rotation * middle + position, wp.normalize(a1 - a0), wp.normalize(b1 - b0),
            wp.length(a1 - a0) * half, wp.length(b1 - b0) * half,
        )  # fmt: skip

    @wp.func
    def crosses(hs: Hulls, ha: Hull, hb: Hull, rotation: mat33, position: vec3, ea: int, eb: int) -> bool:
        """Whether the lines of two edges are closest to each other within both edges."""
        on_a, _on_b, at_b, u, v, half_a, half_b = segments(hs, ha, hb, rotation, position, ea, eb)
        st = closest_parameters(on_a - at_b, u, rotation * v, half_a, half_b)
        return wp.abs(st[0]) < half_a and wp.abs(st[1]) < half_b

    @wp.func
    def closest_edges(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, ha: Hull, hb: Hull,
        rotation: mat33, position: vec3, margin: dtype, distance: dtype, face: int, face_b: int,
    ) -> int:  # fmt: skip
        """The closest points of the edges of two separate hulls, of those within a distance of the other hull."""
        back = wp.transpose(rotation)
        near_a = near_edges(hs, ha, hb, back, back * (-position), distance, face_b)
        near_b = near_edges(hs, hb, ha, rotation, position, distance, face)
        count_a = int(near_a[MOST_EDGES - 1])
        count_b = int(near_b[MOST_EDGES - 1])
        nearest = dtype(1.0e30)
        ea = int(-1)
        eb = int(-1)
        for i in range(count_a):
            for j in range(count_b):
                i_a = ha.edge + int(near_a[i])
                j_b = hb.edge + int(near_b[j])
                on_a, _on_b, at_b, u, v, half_a, half_b = segments(hs, ha, hb, rotation, position, i_a, j_b)
                st = closest_parameters(on_a - at_b, u, rotation * v, half_a, half_b)
                distance = wp.length(on_a + u * st[0] - at_b - rotation * v * st[1])
                if distance < nearest:
                    nearest = distance
                    ea = i_a
                    eb = j_b
        if nearest >= margin:
            return n
        on_a, on_b, at_b, u, v, half_a, half_b = segments(hs, ha, hb, rotation, position, ea, eb)
        between = on_a - at_b
        st = closest_parameters(between, u, rotation * v, half_a, half_b)
        point_a = on_a + u * st[0]
        point_b = on_b + v * st[1]
        inner_a = wp.abs(st[0]) < half_a
        inner_b = wp.abs(st[1]) < half_b
        cross = wp.cross(u, rotation * v)
        if inner_a and inner_b and wp.dot(cross, cross) > parallel2:
            sign = dtype(1.0)
            if wp.dot(cross, between) > dtype(0.0):
                sign = dtype(-1.0)
            n = writer.put_cross(table, world, n, a, b, on_a, u, on_b, v, sign, dtype(1.0))
        elif inner_a:
            n = writer.put_line(table, world, n, a, b, on_a, u, point_b, dtype(1.0))
        elif inner_b:
            n = writer.put_line(table, world, n, b, a, on_b, v, point_a, dtype(1.0))
        else:
            n = writer.put_point(table, world, n, a, b, point_a, point_b, dtype(1.0))
        return n

    @wp.func
    def separation(hs: Hulls, ha: Hull, hb: Hull, rotation: mat33, position: vec3, enough: dtype):
        """Separation [m] along the line of the centres and the faces' normals, a lower bound on the distance.

        Ends at the first one of ``enough``. Then the greatest separations by faces of a and of b, with the faces.
        """
        best = dtype(-1.0e30)
        best_b = best
        face = ha.face
        face_b = hb.face
        distance = wp.length(position)
        greatest = best
        if distance > dtype(0.0):
            d = position / distance
            e = wp.transpose(rotation) * d
            high = hull.vertex(hs, ha, hull.lowest(hs, ha, -d))
            low = hull.vertex(hs, hb, hull.lowest(hs, hb, e))
            greatest = distance + wp.dot(e, low) - wp.dot(d, high)
        if greatest < enough:
            best, face = hull.best_face(hs, ha, hb, rotation, position, enough)
            greatest = wp.max(greatest, best)
        if greatest < enough:
            back = wp.transpose(rotation)
            best_b, face_b = hull.best_face(hs, hb, ha, back, back * (-position), enough)
            greatest = wp.max(greatest, best_b)
        return greatest, best, face, best_b, face_b

    @wp.func
    def convex_convex(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, ha: Hull, hb: Hull,
        rotation: mat33, position: vec3, margin: dtype, best: dtype, face: int, best_b: dtype, face_b: int,
    ) -> int:  # fmt: skip
        """Contacts of two hulls whose ``separation`` is less than the margin."""
        back = wp.transpose(rotation)
        seen = back * (-position)  # centre of a, frame of b
        greatest = wp.max(best, best_b)

        # Overlapping hulls: the deciding edges come within the depth of the best face. Apart: within the margin.
        slack = dtype(0.001) * wp.min(ha.inner, hb.inner)
        distance = wp.max(margin, dtype(0.0)) + slack
        overlap = greatest < dtype(0.0)
        if overlap:
            distance = slack - greatest
        wider = distance
        if overlap:  # by their faces; without an edge that meets the other hull they are apart all the same
            wider = wp.max(distance, margin + slack)
        found = simd.crossing(
            hs.edge_rows, hs.face_rows, ha.edge, ha.edge_end, ha.face, ha.face_end, ha.scaled, ha.scale, hb.edge,
            hb.edge_end, hb.face, hb.face_end, hb.scaled, hb.scale, rotation, position, face, face_b, distance, wider,
            parallel,
        )  # fmt: skip
        best_edge = found[0]
        edge_a = ha.edge + int(found[1])
        edge_b = hb.edge + int(found[2])
        edge_sign = found[3]
        distance = found[5]
        if best_edge >= margin:
            return n
        # Hulls that overlap have an edge of one in the other, or one holds the other's centre. Where neither is so, the
        # axis that separates them may belong to edges too far apart to be tested; those near count.
        apart = overlap and found[4] == dtype(0.0)
        if apart:
            apart = not hull.inside(hs, ha, position) and not hull.inside(hs, hb, seen)
        if apart and best_edge <= dtype(0.0):
            return closest_edges(table, world, n, hs, a, b, ha, hb, rotation, position, margin, distance, face, face_b)

        width = switch * wp.min(ha.inner, hb.inner)
        part_a = dtype(0.0)  # the edges' part of the stiffness, by the faces of a and of b
        part_b = dtype(0.0)
        if best_edge > wp.min(best, best_b):
            common = wp.normalize(wp.cross(edge_along(hs, ha, edge_a), rotation * edge_along(hs, hb, edge_b)))
            sine_a = wp.length(wp.cross(common, hs.normals[face]))
            sine_b = wp.length(wp.cross(common, rotation * hs.normals[face_b]))
            part_a = hand.by_face(best_edge, best, sine_a, width)
            part_b = hand.by_face(best_edge, best_b, sine_b, width)
        end = int(-1)
        if wp.min(part_a, part_b) < dtype(1.0):
            part = dtype(0.0)
            lowest = int(0)
            turned = part_b < part_a or (part_b == part_a and best_b > best + width)
            for _attempt in range(1 + int(part_b == part_a and wp.abs(best_b - best) <= width)):
                if end < 0:
                    if turned:
                        end, part, lowest = patch.face_patch(
                            table, world, n, hs, b, a, hb, ha, back, seen, face_b, margin, best_b, best_edge,
                            part_b, width,
                        )  # fmt: skip
                    else:
                        end, part, lowest = patch.face_patch(
                            table, world, n, hs, a, b, ha, hb, rotation, position, face, margin, best, best_edge,
                            part_a, width,
                        )  # fmt: skip
                    turned = not turned
            if end > n and part > dtype(0.0):
                if best_edge <= dtype(0.0) or crosses(hs, ha, hb, rotation, position, edge_a, edge_b):
                    put_edges(table, world, end, hs, a, b, ha, hb, edge_a, edge_b, edge_sign)
                    pa = edge_start(hs, ha, edge_a)
                    pb = edge_start(hs, hb, edge_b)
                    u = edge_along(hs, ha, edge_a)
                    v = edge_along(hs, hb, edge_b)
                    if turned:  # the last polygon was not
                        low = hull.vertex(hs, hb, hull.lowest(hs, hb, back * hs.normals[face]))
                        writer.share_by_blend(
                            table, world, n, end, a, b, 0, pa, u, pb, v, low, edge_sign, width, lowest
                        )
                    else:
                        low = hull.vertex(hs, ha, hull.lowest(hs, ha, rotation * hs.normals[face_b]))
                        writer.share_by_blend(
                            table, world, n, end, b, a, 1, pb, v, pa, u, low, edge_sign, width, lowest
                        )
                    return end + 1
                if part > dtype(0.5):  # the lines meet beyond the edges: their gap is less than the distance
                    end = int(-1)
            if end >= 0:
                return end

        # No such polygon: hulls that pass each other, or faces that hardly face each other.
        turned = best_b > best
        if wp.max(greatest, best_edge) > dtype(0.0):
            return closest_edges(table, world, n, hs, a, b, ha, hb, rotation, position, margin, distance, face, face_b)
        if best_edge > greatest - width:  # not all edges further inside were tested
            return put_edges(table, world, n, hs, a, b, ha, hb, edge_a, edge_b, edge_sign)
        if turned:
            low = hull.vertex(hs, ha, hull.lowest(hs, ha, rotation * hs.normals[face_b]))
            origin = hull.corner(hs, hb, face_b, 0)
            return writer.put_plane(table, world, n, b, a, origin, hs.normals[face_b], low, dtype(1.0))
        low = hull.vertex(hs, hb, hull.lowest(hs, hb, back * hs.normals[face]))
        origin = hull.corner(hs, ha, face, 0)
        return writer.put_plane(table, world, n, a, b, origin, hs.normals[face], low, dtype(1.0))

    return types.SimpleNamespace(separation=separation, convex_convex=convex_convex)
