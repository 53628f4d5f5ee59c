"""Contacts of two convex polyhedra, a box being one: separating axes choose a pair of faces or a pair of edges.

The conventions are those of ``collide_box_box.py``: the face with the greatest separation gives a contact polygon
(``collide_convex_patch.py``), a pair of crossing edges one contact (CROSS) if it wins, and where the hulls are apart
and the polygon is empty, the closest pair of edges gives the contact. Between polygon and crossing the stiffness is
handed over continuously (``handover.py``); of the faces of both, the one that lies flatter to the edges counts then.
Here the closest points of two edges also count, rather than the lines through them, wherever edges win and the hulls
are apart: the gap is then the distance.

Three facts keep this cheap. The first axis with a separation beyond the margin ends it. A face is looked at only if it
can win, given the sphere inside the other hull. And the edges that make the deciding axis come as near to the other
hull as the hulls overlap (or, apart, as the margin), so that all others are left out before pairs are formed.

What jumps is the force where the choice changes between faces or between pairs of edges.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from . import collide_box_edges, collide_convex_patch, collide_writer, handover, hulls
from .collide_box_box import SWITCH
from .precision import precision

__all__ = ["make"]

MOST_EDGES = wp.constant(192)
"""Edges that a hull of 64 vertices may have, by Euler's formula at most 186."""


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``separation`` and ``convex_convex`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    scalar, vec3, mat33 = p.scalar, p.vec3, p.mat33
    writer = collide_writer.make(dtype)
    hull = hulls.make(dtype)
    patch = collide_convex_patch.make(dtype)
    hand = handover.make(dtype)
    closest_parameters = collide_box_edges.make(dtype).closest_parameters
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull
    switch = wp.constant(scalar(SWITCH))
    # Sine of the angle below which two edges count as parallel: their common normal says nothing that faces do not.
    parallel = wp.constant(scalar(0.01))
    parallel2 = wp.constant(scalar(p.epsilon))  # squared sine
    edge_list = wp.types.vector(int(MOST_EDGES), wp.uint8)  # counted from the hull's first; small, as it is copied

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
    def edge_gap(hs: Hulls, a: Hull, b: Hull, rotation: mat33, position: vec3, ea: int, eb: int):
        """Separation [m] along the common normal of two edges, and the sign that points it from a to b.

        Minus infinity unless the two edges are a feature of the Minkowski difference: the arcs between the normals of
        their faces, those of b turned over, cross on the sphere of directions.
        """
        gap = scalar(-1.0e30)
        sign = scalar(1.0)
        start_a = edge_start(hs, a, ea)
        da = edge_end(hs, a, ea) - start_a
        start_b = edge_start(hs, b, eb)
        local = edge_end(hs, b, eb) - start_b
        db = rotation * local
        in_b = wp.transpose(rotation) * da
        b0 = wp.dot(hs.normals[hs.edges[eb][2]], in_b)
        b1 = wp.dot(hs.normals[hs.edges[eb][3]], in_b)
        a0 = wp.dot(hs.normals[hs.edges[ea][2]], db)
        a1 = wp.dot(hs.normals[hs.edges[ea][3]], db)
        if b0 * b1 < scalar(0.0) and a0 * a1 < scalar(0.0) and b0 * a1 < scalar(0.0):
            normal = wp.cross(da, db)
            length = wp.length(normal)
            if length > parallel * wp.length(da) * wp.length(db):
                if wp.dot(normal, start_a) < scalar(0.0):
                    sign = scalar(-1.0)
                gap = sign * wp.dot(normal, rotation * start_b + position - start_a) / length
        return gap, sign

    @wp.func
    def near_edges(hs: Hulls, h: Hull, other: Hull, rotation: mat33, position: vec3, distance: scalar, toward: int):
        """How many edges of h come within about a distance of another hull, which, and whether one meets it.

        ``rotation``, ``position`` are the pose of h in the frame of the other, whose face ``toward`` looks at h.
        """
        normal = wp.transpose(rotation) * hs.normals[toward]
        level = -hull.height(hs, other, toward, position) + distance
        low = wp.int64(0)  # bits of the vertices that are no higher over that face than the distance
        for v in range(h.vertex, h.vertex_end):
            if wp.dot(normal, hull.vertex(hs, h, v)) <= level:
                low = low | (wp.int64(1) << wp.int64(v - h.vertex))
        count = int(0)
        found = edge_list()
        touch = bool(False)
        beyond = toward  # the face that the last edge was beyond: often the next one is, too
        for e in range(h.edge, h.edge_end):
            ends = hs.edges[e]
            bits = (low >> wp.int64(ends[0] - h.vertex)) | (low >> wp.int64(ends[1] - h.vertex))
            if (bits & wp.int64(1)) == wp.int64(1) and count < MOST_EDGES:
                start = rotation * hull.vertex(hs, h, ends[0]) + position
                end = rotation * hull.vertex(hs, h, ends[1]) + position
                if wp.min(hull.height(hs, other, beyond, start), hull.height(hs, other, beyond, end)) <= distance:
                    near, meets, beyond = hull.reaches(hs, other, start, end, distance)
                    if near:
                        found[count] = wp.uint8(e - h.edge)
                        count += 1
                        touch = touch or meets
        return count, found, touch

    @wp.func
    def put_edges(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, ha: Hull, hb: Hull,
        ea: int, eb: int, sign: scalar,
    ) -> int:  # fmt: skip
        u = edge_along(hs, ha, ea)
        v = edge_along(hs, hb, eb)
        return writer.put_cross(
            table, world, n, a, b, edge_start(hs, ha, ea), u, edge_start(hs, hb, eb), v, sign, scalar(1.0)
        )

    @wp.func
    def segments(hs: Hulls, a: Hull, b: Hull, rotation: mat33, position: vec3, ea: int, eb: int):
        """Of two edges: middles (that of b in the frame of a), unit directions (b's in its own) and half lengths."""
        half = scalar(0.5)
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
        rotation: mat33, position: vec3, margin: scalar,
        count_a: int, near_a: edge_list, count_b: int, near_b: edge_list,
    ) -> int:  # fmt: skip
        """The closest points of the edges of two separate hulls."""
        nearest = scalar(1.0e30)
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
            sign = scalar(1.0)
            if wp.dot(cross, between) > scalar(0.0):
                sign = scalar(-1.0)
            n = writer.put_cross(table, world, n, a, b, on_a, u, on_b, v, sign, scalar(1.0))
        elif inner_a:
            n = writer.put_line(table, world, n, a, b, on_a, u, point_b, scalar(1.0))
        elif inner_b:
            n = writer.put_line(table, world, n, b, a, on_b, v, point_a, scalar(1.0))
        else:
            n = writer.put_point(table, world, n, a, b, point_a, point_b, scalar(1.0))
        return n

    @wp.func
    def separation(hs: Hulls, ha: Hull, hb: Hull, rotation: mat33, position: vec3, enough: scalar):
        """Separation [m] along the line of the centres and the faces' normals, a lower bound on the distance.

        Ends at the first one of ``enough``. Then the greatest separations by faces of a and of b, with the faces.
        """
        best = scalar(-1.0e30)
        best_b = best
        face = ha.face
        face_b = hb.face
        distance = wp.length(position)
        greatest = best
        if distance > scalar(0.0):
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
        rotation: mat33, position: vec3, margin: scalar, best: scalar, face: int, best_b: scalar, face_b: int,
    ) -> int:  # fmt: skip
        """Contacts of two hulls whose ``separation`` is less than the margin."""
        back = wp.transpose(rotation)
        seen = back * (-position)  # centre of a, frame of b
        greatest = wp.max(best, best_b)

        # Overlapping hulls: the deciding edges come within the depth of the best face. Apart: within the margin.
        slack = scalar(0.001) * wp.min(ha.inner, hb.inner)
        distance = wp.max(margin, scalar(0.0)) + slack
        overlap = greatest < scalar(0.0)
        if overlap:
            distance = slack - greatest
        count_a, near_a, touch_a = near_edges(hs, ha, hb, back, seen, distance, face_b)
        count_b, near_b, touch_b = near_edges(hs, hb, ha, rotation, position, distance, face)
        if overlap and not touch_a and not touch_b and distance < margin + slack:  # apart all the same
            count_a, near_a, touch_a = near_edges(hs, ha, hb, back, seen, margin + slack, face_b)
            count_b, near_b, touch_b = near_edges(hs, hb, ha, rotation, position, margin + slack, face)
        best_edge = scalar(-1.0e30)
        edge_a = int(-1)
        edge_b = int(-1)
        edge_sign = scalar(1.0)
        for i in range(count_a):
            for j in range(count_b):
                i_a = ha.edge + int(near_a[i])
                j_b = hb.edge + int(near_b[j])
                gap, sign = edge_gap(hs, ha, hb, rotation, position, i_a, j_b)
                if gap > best_edge:
                    best_edge = gap
                    edge_a = i_a
                    edge_b = j_b
                    edge_sign = sign
        if best_edge >= margin:
            return n
        # Hulls that overlap have an edge of one in the other, or one holds the other's centre. Where neither is so, the
        # axis that separates them may belong to edges too far apart to be looked at; those near count.
        apart = overlap and not touch_a and not touch_b
        _near, b_in_a, _face = hull.reaches(hs, ha, position, position, scalar(0.0))
        _near, a_in_b, _face = hull.reaches(hs, hb, seen, seen, scalar(0.0))
        apart = apart and not b_in_a and not a_in_b
        if apart and best_edge <= scalar(0.0):
            return closest_edges(
                table, world, n, hs, a, b, ha, hb, rotation, position, margin, count_a, near_a, count_b, near_b
            )

        width = switch * wp.min(ha.inner, hb.inner)
        part_a = scalar(0.0)  # what edges have of the stiffness, by the faces of a and of b
        part_b = scalar(0.0)
        if best_edge > wp.min(best, best_b):
            common = wp.normalize(wp.cross(edge_along(hs, ha, edge_a), rotation * edge_along(hs, hb, edge_b)))
            sine_a = wp.length(wp.cross(common, hs.normals[face]))
            sine_b = wp.length(wp.cross(common, rotation * hs.normals[face_b]))
            part_a = hand.by_face(best_edge, best, sine_a, width)
            part_b = hand.by_face(best_edge, best_b, sine_b, width)
        end = int(-1)
        if wp.min(part_a, part_b) < scalar(1.0):
            part = scalar(0.0)
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
            if end > n and part > scalar(0.0):
                if best_edge <= scalar(0.0) or crosses(hs, ha, hb, rotation, position, edge_a, edge_b):
                    put_edges(table, world, end, hs, a, b, ha, hb, edge_a, edge_b, edge_sign)
                    pa = edge_start(hs, ha, edge_a)
                    pb = edge_start(hs, hb, edge_b)
                    u = edge_along(hs, ha, edge_a)
                    v = edge_along(hs, hb, edge_b)
                    if turned:  # the last polygon was not
                        low = hull.vertex(hs, hb, hull.lowest(hs, hb, back * hs.normals[face]))
                        writer.hand_over(table, world, n, end, a, b, 0, pa, u, pb, v, low, edge_sign, width, lowest)
                    else:
                        low = hull.vertex(hs, ha, hull.lowest(hs, ha, rotation * hs.normals[face_b]))
                        writer.hand_over(table, world, n, end, b, a, 1, pb, v, pa, u, low, edge_sign, width, lowest)
                    return end + 1
                if part > scalar(0.5):  # the lines meet beyond the edges: their gap is less than the distance
                    end = int(-1)
            if end >= 0:
                return end

        # No such polygon: hulls that pass each other, or faces that hardly face each other.
        turned = best_b > best
        if wp.max(greatest, best_edge) > scalar(0.0):
            return closest_edges(
                table, world, n, hs, a, b, ha, hb, rotation, position, margin, count_a, near_a, count_b, near_b
            )
        if best_edge > greatest - width:  # of edges further inside not all were looked at
            return put_edges(table, world, n, hs, a, b, ha, hb, edge_a, edge_b, edge_sign)
        if turned:
            low = hull.vertex(hs, ha, hull.lowest(hs, ha, rotation * hs.normals[face_b]))
            origin = hull.corner(hs, hb, face_b, 0)
            return writer.put_plane(table, world, n, b, a, origin, hs.normals[face_b], low, scalar(1.0))
        low = hull.vertex(hs, hb, hull.lowest(hs, hb, back * hs.normals[face]))
        origin = hull.corner(hs, ha, face, 0)
        return writer.put_plane(table, world, n, a, b, origin, hs.normals[face], low, scalar(1.0))

    return types.SimpleNamespace(separation=separation, convex_convex=convex_convex)
