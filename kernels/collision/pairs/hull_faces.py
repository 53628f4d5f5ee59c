"""The contact polygon of two faces of convex polyhedra: one face cut to the outline of the other.

As ``box_faces.py`` does for rectangles: walking along the edges of the incident face, clipped to the sides of
the reference face, gives the corners in order (vertices of the incident face, FLAT; crossings, CLIP); where an edge
leaves through one side and another returns through a later one, the reference vertices between them that the incident
face covers belong to the polygon (DROP).

Of a polygon of more than eight corners those are kept that lie farthest in eight directions, which are fixed in the
reference face and lean down as the incident face slopes. Of a flat one the outline keeps its extent, and the choice
does not depend on rounding. Of a tilted one the corners about the lowest are kept, so that the depth is not lost. The
choice changes abruptly where another corner becomes the farthest; the total stiffness does not. (Corners that add least
to the area are no criterion: around a round outline all are nearly equal; see ``docs/dev/contact.md``.)
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import math
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import edge_blend, feature_table, hulls
from ..features import POLYGON_CORNERS

__all__ = ["make"]

DEPTH_WEIGHT = 30.0
"""Distance [1] that a corner gains for each metre of depth, where eight of more corners are chosen: at a slope of 1 in
30 the eight directions have turned downhill by up to 45 degrees."""

MOST_CORNERS = wp.constant(64)
"""Corners of a polygon before it is reduced: two faces of at most 32 corners each."""


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``face_patch(...) -> (n, part, lowest)`` for one precision; see there."""
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    hull = hulls.make(dtype)
    with_height = edge_blend.make(dtype).with_height
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull
    relative_tolerance = wp.constant(dtype(p.same_place))
    codes = wp.types.vector(int(MOST_CORNERS), wp.int32)
    values = wp.types.vector(int(MOST_CORNERS), dtype)
    first_angle = wp.constant(dtype(0.1))  # [rad] off the first side, so that regular polygons do not tie
    depth_weight = wp.constant(dtype(DEPTH_WEIGHT))
    on_plane = wp.constant(0)
    on_side = wp.constant(1)
    on_reference = wp.constant(2)

    @wp.func
    def incident_face(hs: Hulls, h: Hull, direction: vec3) -> int:
        """The face most opposed to a direction, of those that meet in the vertex least far in it.

        The most opposed of all faces need not hold that vertex, and then lies too high.
        """
        low = hull.vertex(hs, h, hull.lowest(hs, h, direction))
        tolerance = -dtype(1.0e-5) * h.radius
        result = h.face
        least = dtype(2.0)
        for f in range(h.face, h.face_end):
            cosine = wp.dot(hs.normals[f], direction)
            if cosine < least and hull.height(hs, h, f, low) > tolerance:
                least = cosine
                result = f
        return result

    @wp.func
    def covered(
        hs: Hulls, inc: Hull, face: int, rotation: mat33, position: vec3, normal: vec3, x: vec3, tolerance: dtype
    ) -> bool:
        """Whether x, seen along the reference face's normal, lies within the incident face."""
        count = hull.corners(hs, face)
        v = rotation * hull.corner(hs, inc, face, 0) + position
        for k in range(count):
            w = rotation * hull.corner(hs, inc, face, (k + 1) % count) + position
            # the incident face goes round clockwise, seen against the reference normal
            d = w - v
            if wp.dot(wp.cross(x - v, d), normal) < -tolerance * wp.length(d):
                return False
            v = w
        return True

    @wp.func
    def write(
        table: FeatureTable, world: int, n: int, hs: Hulls, ref: Side, inc: Side, hr: Hull, hi: Hull,
        face: int, incident: int, code: int,
    ) -> int:  # fmt: skip
        """Write one corner: ``code`` holds its kind, the incident corner or edge, and the reference side or vertex."""
        what = code >> 16
        m = (code >> 8) & 255
        side = code & 255
        normal = hs.normals[face]
        origin = hull.corner(hs, hr, face, side)
        if what == on_reference:
            return writer.put_drop(
                table, world, n, ref, inc, origin, normal, hull.corner(hs, hi, incident, 0), hs.normals[incident],
                dtype(1.0),
            )  # fmt: skip
        start = hull.corner(hs, hi, incident, m)
        if what == on_side:
            count = hull.corners(hs, incident)
            end = hull.corner(hs, hi, incident, (m + count - 1) % count)
            return writer.put_clip(
                table, world, n, ref, inc, origin, normal, hull.side_normal(hs, face, side), start,
                wp.normalize(end - start), dtype(1.0),
            )  # fmt: skip
        return writer.put_plane(table, world, n, ref, inc, origin, normal, start, dtype(1.0))

    @wp.func
    def clip(hs: Hulls, hr: Hull, face: int, sides: int, v: vec3, w: vec3, tolerance: dtype):
        """Whether the segment from v to w meets a face's prism, the part of it inside, and the sides at its ends.

        A side is -1 where the segment begins or ends inside.
        """
        enter = dtype(0.0)
        leave = dtype(1.0)
        enter_side = int(-1)
        leave_side = int(-1)
        for side in range(sides):
            outward = hull.side_normal(hs, face, side)
            dv = wp.dot(outward, v - hull.corner(hs, hr, face, side))
            dw = dv + wp.dot(outward, w - v)
            if dv > tolerance:
                if dw > tolerance:
                    return False, enter, leave, enter_side, leave_side
                t = dtype(1.0)
                if dw < dtype(0.0):
                    t = dv / (dv - dw)
                if t > enter:
                    enter = t
                    enter_side = side
            elif dw > tolerance:
                t = dtype(0.0)
                if dv < dtype(0.0):
                    t = dv / (dv - dw)
                if t < leave:
                    leave = t
                    leave_side = side
        return enter <= leave, enter, leave, enter_side, leave_side

    @wp.func
    def face_patch(
        table: FeatureTable, world: int, n: int, hs: Hulls, ref: Side, inc: Side, hr: Hull, hi: Hull,
        rotation: mat33, position: vec3, face: int, margin: dtype, separation: dtype, edges: dtype, part: dtype,
        width: dtype,
    ):  # fmt: skip
        """Write the polygon over ``face`` of the reference hull.

        ``rotation``, ``position`` [m] are the pose of the incident hull in the frame of the reference hull,
        ``separation`` [m] that by this face, ``edges`` [m] that by crossing edges (less by more than ``width`` if there
        are none that count) and ``part`` their part of the stiffness by ``edge_blend.by_face``.

        Returns the next free slot, the edges' part given the polygon's height, and the number of the lowest
        corner. The slot is -1 if the polygon is empty or has no part, and unchanged if it is beyond the margin.
        """
        normal = hs.normals[face]
        origin = hull.corner(hs, hr, face, 0)
        incident = incident_face(hs, hi, wp.transpose(rotation) * normal)
        out = rotation * hs.normals[incident]
        slope = wp.dot(out, normal)
        if slope > dtype(-0.05):  # the incident face stands on edge: no area to share
            return -1, part, int(0)
        tolerance = relative_tolerance * wp.min(hr.radius, hi.radius)
        along = wp.normalize(hull.corner(hs, hr, face, 1) - origin)
        across = wp.cross(normal, along)
        sides = hull.corners(hs, face)
        turns = hull.corners(hs, incident)

        code = codes()
        x = values()
        y = values()
        z = values()
        size = int(0)
        # the side through which the outline last left the reference face, found going backwards from where it begins
        left = int(-1)
        back = int(0)
        while left < 0 and back < turns:
            v = rotation * hull.corner(hs, hi, incident, back) + position
            w = rotation * hull.corner(hs, hi, incident, (back + turns - 1) % turns) + position
            met, _enter, _leave, _enter_side, leave_side = clip(hs, hr, face, sides, v, w, tolerance)
            if met:
                left = leave_side
            back += 1
        v = rotation * hull.corner(hs, hi, incident, turns - 1) + position
        for turn in range(turns):
            m = turns - 1 - turn  # against the order of the corners: counter-clockwise seen from above
            w = rotation * hull.corner(hs, hi, incident, (m + turns - 1) % turns) + position
            met, enter, leave, enter_side, leave_side = clip(hs, hr, face, sides, v, w, tolerance)
            if met:
                first = v
                kind = int(-1)
                if enter_side < 0:
                    kind = on_plane
                else:
                    if left >= 0:
                        for k in range((enter_side - left + sides) % sides):
                            j = (left + k + 1) % sides
                            between = hull.corner(hs, hr, face, j)
                            if size < MOST_CORNERS and covered(
                                hs, hi, incident, rotation, position, normal, between, tolerance
                            ):
                                z[size] = wp.dot(out, v - between) / slope
                                code[size] = (on_reference << 16) | j
                                x[size] = wp.dot(along, between - origin)
                                y[size] = wp.dot(across, between - origin)
                                size += 1
                    if enter < dtype(1.0):
                        kind = on_side
                        first = v + (w - v) * enter
                if kind >= 0 and size < MOST_CORNERS:
                    z[size] = wp.dot(normal, first - origin)
                    code[size] = (kind << 16) | (m << 8) | wp.max(enter_side, 0)
                    x[size] = wp.dot(along, first - origin)
                    y[size] = wp.dot(across, first - origin)
                    size += 1
                if leave_side >= 0 and leave > enter and size < MOST_CORNERS:
                    last = v + (w - v) * leave
                    z[size] = wp.dot(normal, last - origin)
                    code[size] = (on_side << 16) | (m << 8) | leave_side
                    x[size] = wp.dot(along, last - origin)
                    y[size] = wp.dot(across, last - origin)
                    size += 1
                if leave_side >= 0:
                    left = leave_side
            v = w
        if size == 0:
            v = rotation * hull.corner(hs, hi, incident, 0) + position
            for k in range(sides):
                at = hull.corner(hs, hr, face, k)
                if covered(hs, hi, incident, rotation, position, normal, at, tolerance):
                    z[size] = wp.dot(out, v - at) / slope
                    code[size] = (on_reference << 16) | k
                    x[size] = wp.dot(along, at - origin)
                    y[size] = wp.dot(across, at - origin)
                    size += 1
        if size == 0:
            return -1, part, int(0)
        if size > POLYGON_CORNERS:
            keep = codes()
            for k in range(POLYGON_CORNERS):
                turn_by = first_angle + dtype(k) * dtype(2.0 * math.pi) / dtype(POLYGON_CORNERS)
                cosine = wp.cos(turn_by)
                sine = wp.sin(turn_by)
                farthest = int(0)
                most = dtype(-1.0e30)
                for i in range(size):
                    extent = cosine * x[i] + sine * y[i] - depth_weight * z[i]
                    if extent > most:
                        most = extent
                        farthest = i
                keep[farthest] = 1
            kept = int(0)
            for i in range(size):
                if keep[i] == 1:
                    code[kept] = code[i]
                    x[kept] = x[i]
                    y[kept] = y[i]
                    z[kept] = z[i]
                    kept += 1
            size = kept
        round_trip = dtype(0.0)
        for i in range(size):
            j = (i + 1) % size
            round_trip += wp.abs(x[j] - x[i]) + wp.abs(y[j] - y[i])
        if round_trip <= tolerance:  # all corners in one point
            size = int(1)
        lowest = int(0)
        for i in range(size):
            if z[i] < z[lowest]:
                lowest = i
        height = z[lowest]
        if edges > separation - width:
            part = with_height(part, edges, separation, height, width)
        elif height > separation + width:
            part = dtype(1.0)
        if part >= dtype(1.0):
            return -1, part, lowest
        if height >= margin and part == dtype(0.0):
            return n, part, lowest
        start = n
        for i in range(size):
            n = write(table, world, n, hs, ref, inc, hr, hi, face, incident, code[i])
        if size > 1:  # a single corner keeps its whole weight
            writer.share_by_polygon(table, world, start, n)
        return n, part, lowest

    return types.SimpleNamespace(face_patch=face_patch)
