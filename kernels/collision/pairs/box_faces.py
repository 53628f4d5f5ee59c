"""The contact polygon of two box faces: the face of one box cut to the outline of the face of the other.

The polygon is the intersection of two rectangles, seen along the reference face's normal. Its corners are vertices of
the incident face (FLAT), crossings of an incident edge and a side of the reference face (CLIP), and vertices of the
reference face (DROP). Walking along the four edges of the incident face gives them in order: where an edge leaves the
reference face through one side and another returns through a later side, the vertices in between belong to the polygon.

Sides are parallel to edges in most stacks, so rounding decides which side a vertex is on. A vertex counts as inside up
to a small tolerance, and an edge that leaves at so small an angle that the crossing is lost in rounding is cut at its
vertex instead: the corners then move by no more than the tolerance, and no crossing of nearly parallel lines is listed.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table
from ..features import POLYGON_CORNERS

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``face_patch(table, world, n, ref, inc, rotation, position, face, sign, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of the incident box in the frame of the reference box, whose face has
    the outward normal ``sign`` times axis ``face``. Returns -1 if the polygon is empty, and the unchanged ``n`` if all
    of its corners are beyond the margin.
    """
    p = precision(dtype)
    vec2, vec3, mat33 = p.vec2, p.vec3, p.mat33
    writer = feature_table.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side
    relative_tolerance = wp.constant(dtype(p.same_place))
    most = wp.constant(POLYGON_CORNERS)  # two rectangles meet in no more; a further corner would repeat one of them

    @wp.struct
    class Faces:
        """The two faces: reference in its own frame, incident in its own frame and as seen from the reference."""

        face: wp.int32
        sign: dtype
        x: wp.int32  # the reference face's two axes; (x, y) are coordinates in its plane
        y: wp.int32
        half: vec2  # half extents along them [m]
        normal: vec3  # reference frame
        incident: wp.int32
        incident_sign: dtype
        first: wp.int32  # the incident face's two axes, ordered so that its vertices go round counter-clockwise
        second: wp.int32
        centre: vec3  # of the incident face, reference frame [m]
        along_first: vec3  # half edges, reference frame [m]
        along_second: vec3
        slope: vec2  # change of the incident plane's height with x and y
        tolerance: dtype  # [m]

    @wp.func
    def unit(i: int, length: dtype) -> vec3:
        v = vec3()
        v[i] = length
        return v

    @wp.func
    def choose(ref: Side, inc: Side, rotation: mat33, position: vec3, face: int, sign: dtype) -> Faces:
        """Find the incident face, the one most opposed to the reference face, and its outline."""
        f = Faces()
        f.face = face
        f.sign = sign
        f.x = (face + 1) % 3
        f.y = (face + 2) % 3
        f.half = vec2(ref.size[f.x], ref.size[f.y])
        f.normal = unit(face, sign)
        j = int(0)
        for k in range(1, 3):
            if wp.abs(rotation[face, k]) > wp.abs(rotation[face, j]):
                j = k
        f.incident = j
        f.incident_sign = dtype(1.0)
        if sign * rotation[face, j] > dtype(0.0):
            f.incident_sign = dtype(-1.0)
        f.first = (j + 1) % 3
        f.second = (j + 2) % 3
        out = vec3(rotation[0, j], rotation[1, j], rotation[2, j])
        f.centre = position + out * (f.incident_sign * inc.size[j])
        one = vec3(rotation[0, f.first], rotation[1, f.first], rotation[2, f.first]) * inc.size[f.first]
        two = vec3(rotation[0, f.second], rotation[1, f.second], rotation[2, f.second]) * inc.size[f.second]
        f.along_first = one
        f.along_second = two
        if one[f.x] * two[f.y] - one[f.y] * two[f.x] < dtype(0.0):
            swap = f.first
            f.first = f.second
            f.second = swap
            f.along_first = two
            f.along_second = one
        f.slope = vec2(-out[f.x] / out[face], -out[f.y] / out[face])
        f.tolerance = relative_tolerance * wp.min(wp.length(ref.size), wp.length(inc.size))
        return f

    @wp.func
    def vertex_signs(m: int) -> vec2:
        """Signs of the incident face's vertex m, counter-clockwise: ++, -+, --, +-."""
        s = vec2(dtype(1.0), dtype(1.0))
        if m == 1 or m == 2:
            s[0] = dtype(-1.0)
        if m >= 2:
            s[1] = dtype(-1.0)
        return s

    @wp.func
    def vertex_in_reference(f: Faces, m: int) -> vec3:
        s = vertex_signs(m)
        return f.centre + f.along_first * s[0] + f.along_second * s[1]

    @wp.func
    def vertex_in_own(f: Faces, inc: Side, m: int) -> vec3:
        s = vertex_signs(m)
        v = vec3()
        v[f.incident] = f.incident_sign * inc.size[f.incident]
        v[f.first] = s[0] * inc.size[f.first]
        v[f.second] = s[1] * inc.size[f.second]
        return v

    @wp.func
    def beyond(f: Faces, side: int, v: vec3) -> dtype:
        """Distance of v outside of a side of the reference face [m]. Sides counter-clockwise: +x, +y, -x, -y."""
        d = dtype(0.0)
        if side == 0:
            d = v[f.x] - f.half[0]
        elif side == 1:
            d = v[f.y] - f.half[1]
        elif side == 2:
            d = -v[f.x] - f.half[0]
        else:
            d = -v[f.y] - f.half[1]
        return d

    @wp.func
    def put_clip(table: FeatureTable, world: int, n: int, ref: Side, inc: Side, f: Faces, m: int, side: int) -> int:
        """The corner where the incident edge from vertex m crosses a side of the reference face."""
        axis = f.x
        if (side & 1) == 1:
            axis = f.y
        outward = unit(axis, dtype(1 - (side & 2)))
        on_edge = f.normal * ref.size[f.face] + outward * ref.size[axis]
        along = f.first
        if (m & 1) == 1:
            along = f.second
        start = vertex_in_own(f, inc, m)
        return writer.put_clip(
            table, world, n, ref, inc, on_edge, f.normal, outward, start, unit(along, dtype(1.0)), dtype(1.0)
        )

    @wp.func
    def reference_vertex(f: Faces, side: int) -> vec2:
        """(x, y) of the reference face's vertex between a side and the next [m]."""
        v = vec2(f.half[0], f.half[1])
        if side == 1 or side == 2:
            v[0] = -f.half[0]
        if side >= 2:
            v[1] = -f.half[1]
        return v

    @wp.func
    def covered(f: Faces, v: vec2) -> bool:
        """Whether the incident face's outline holds the point v of the reference plane."""
        dx = v[0] - f.centre[f.x]
        dy = v[1] - f.centre[f.y]
        ax = f.along_first[f.x]
        ay = f.along_first[f.y]
        bx = f.along_second[f.x]
        by = f.along_second[f.y]
        area = ax * by - ay * bx
        slack = f.tolerance * (wp.abs(ax) + wp.abs(ay) + wp.abs(bx) + wp.abs(by))
        return wp.abs(dx * by - dy * bx) <= area + slack and wp.abs(ax * dy - ay * dx) <= area + slack

    @wp.func
    def drop_height(f: Faces, ref: Side, v: vec2) -> dtype:
        """Height of the incident plane over the reference face at v [m]."""
        at = f.centre[f.face] + f.slope[0] * (v[0] - f.centre[f.x]) + f.slope[1] * (v[1] - f.centre[f.y])
        return f.sign * at - ref.size[f.face]

    @wp.func
    def put_drop(table: FeatureTable, world: int, n: int, ref: Side, inc: Side, f: Faces, v: vec2) -> int:
        """The corner at the reference face's vertex v."""
        at = f.normal * ref.size[f.face]
        at[f.x] = v[0]
        at[f.y] = v[1]
        out = unit(f.incident, f.incident_sign)
        return writer.put_drop(table, world, n, ref, inc, at, f.normal, out * inc.size[f.incident], out, dtype(1.0))

    @wp.func
    def face_patch(
        table: FeatureTable, world: int, n: int, ref: Side, inc: Side,
        rotation: mat33, position: vec3, face: int, sign: dtype, margin: dtype,
    ) -> int:  # fmt: skip
        f = choose(ref, inc, rotation, position, face, sign)
        start = n
        nearest = dtype(1.0e30)
        left = int(-1)  # the side through which the outline last left the reference face
        for turn in range(8):  # once round to learn where the outline leaves last, once round to write
            m = turn & 3
            v = vertex_in_reference(f, m)
            w = vertex_in_reference(f, (m + 1) & 3)
            enter = dtype(0.0)
            leave = dtype(1.0)
            enter_side = int(-1)
            leave_side = int(-1)
            out = bool(False)
            for side in range(4):
                dv = beyond(f, side, v)
                dw = beyond(f, side, w)
                if dv > f.tolerance:
                    if dw > f.tolerance:
                        out = True
                    else:
                        t = dtype(1.0)
                        if dw < dtype(0.0):
                            t = dv / (dv - dw)
                        if t > enter:
                            enter = t
                            enter_side = side
                elif dw > f.tolerance:
                    t = dtype(0.0)
                    if dv < dtype(0.0):
                        t = dv / (dv - dw)
                    if t < leave:
                        leave = t
                        leave_side = side
            if enter > leave:
                out = True
            if not out:
                if turn >= 4:
                    if enter_side < 0:
                        if n - start < most:
                            nearest = wp.min(nearest, f.sign * v[face] - ref.size[face])
                            n = writer.put_plane(
                                table, world, n, ref, inc, f.normal * ref.size[face], f.normal,
                                vertex_in_own(f, inc, m), dtype(1.0),
                            )  # fmt: skip
                    else:
                        if left >= 0:
                            for k in range((enter_side - left) & 3):
                                between = reference_vertex(f, (left + k) & 3)
                                if covered(f, between) and n - start < most:
                                    nearest = wp.min(nearest, drop_height(f, ref, between))
                                    n = put_drop(table, world, n, ref, inc, f, between)
                        if enter < dtype(1.0) and n - start < most:
                            at = v + (w - v) * enter
                            nearest = wp.min(nearest, f.sign * at[face] - ref.size[face])
                            n = put_clip(table, world, n, ref, inc, f, m, enter_side)
                    if leave_side >= 0 and leave > enter and n - start < most:
                        at = v + (w - v) * leave
                        nearest = wp.min(nearest, f.sign * at[face] - ref.size[face])
                        n = put_clip(table, world, n, ref, inc, f, m, leave_side)
                if leave_side >= 0:
                    left = leave_side
        if n == start:
            for k in range(4):
                corner = reference_vertex(f, k)
                if covered(f, corner):
                    nearest = wp.min(nearest, drop_height(f, ref, corner))
                    n = put_drop(table, world, n, ref, inc, f, corner)
        if n == start:
            return -1
        if nearest >= margin:
            return start
        if n > start + 1:  # a single corner keeps its whole weight
            writer.share_by_polygon(table, world, start, n)
        return n

    return types.SimpleNamespace(face_patch=face_patch)
