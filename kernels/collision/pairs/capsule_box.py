"""Contacts of a capsule and a box: the closest points, and two points of the axis where it runs along the box.

As with two capsules, the closest points are the contact while the axis meets the box at an angle. They fade out
(SHARE_CROSSED) where the axis runs parallel to a face or an edge, and two points fade in (SHARE_PARALLEL):

* over a face: the two ends of the part of the axis that lies between the face's side planes;
* past the face, along an edge: at each end the nearer of (end of the axis, edge) and (end of the edge, axis).

The face is the one whose normal is nearest to that of the closest points, so that it changes only where the latter is
at 45 degrees to both faces; the shares agree there. Where the axis itself enters the box, the face of least penetration
counts, and the normal may flip.

The force does not jump for an axis parallel to a face or an edge, at any place, nor for an axis that hangs over an edge
and rocks. It jumps where the axis leaves a face across its corner while slightly turned against the edge (by about
PARALLEL or less). The two points over the face have merged in the corner by then, and past it one of the two is at the
edge's far end: up to half of the stiffness moves there at once. Where the axis is turned by more, less than 1 percent
of it moves.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table
from ..features import LINE_ARM, SHARE_CROSSED, SHARE_PARALLEL
from . import sphere

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``capsule_box(table, world, n, a, b, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b, the box, in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    point_contacts = sphere.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side
    # Sine of an angle below which an axis is parallel: the place where it crosses a plane would be lost in rounding.
    parallel = wp.constant(dtype(p.epsilon**0.5))
    line_arm = wp.constant(dtype(LINE_ARM))

    @wp.func
    def sign_of(x: dtype) -> dtype:
        result = dtype(1.0)
        if x < dtype(0.0):
            result = dtype(-1.0)
        return result

    @wp.func
    def unit(i: int, length: dtype) -> vec3:
        v = vec3()
        v[i] = length
        return v

    @wp.func
    def offset_from_box(x: vec3, half: vec3) -> vec3:
        """From the closest point of the box to x."""
        return vec3(
            x[0] - wp.clamp(x[0], -half[0], half[0]),
            x[1] - wp.clamp(x[1], -half[1], half[1]),
            x[2] - wp.clamp(x[2], -half[2], half[2]),
        )

    @wp.func
    def closest_on_axis(centre: vec3, u: vec3, length: dtype, half: vec3) -> dtype:
        """Parameter in [-length, length] of the point of the axis that is closest to the box [m].

        The squared distance is convex, and its derivative along the axis is piecewise linear, with a change
        of slope where the axis crosses the plane of a face: find the two around the root and interpolate.
        """
        low = -length
        high = length
        slope_low = wp.dot(u, offset_from_box(centre + u * low, half))
        slope_high = wp.dot(u, offset_from_box(centre + u * high, half))
        if slope_low > dtype(0.0):
            return low
        if slope_high < dtype(0.0):
            return high
        for k in range(6):
            i = k >> 1
            if wp.abs(u[i]) > parallel:
                t = (dtype(1 - 2 * (k & 1)) * half[i] - centre[i]) / u[i]
                if t > low and t < high:
                    slope = wp.dot(u, offset_from_box(centre + u * t, half))
                    if slope < dtype(0.0):
                        low = t
                        slope_low = slope
                    elif slope > dtype(0.0):
                        high = t
                        slope_high = slope
                    else:  # flat here: the axis runs inside the box, and any interpolation would miss that
                        return t
        if slope_high > slope_low:
            return low - slope_low * (high - low) / (slope_high - slope_low)
        return dtype(0.5) * (low + high)

    @wp.func
    def over_face(
        table: FeatureTable, world: int, n: int, box: Side, capsule: Side,
        centre: vec3, u: vec3, t: dtype, cut: int, cut_sign: dtype, face: int, face_sign: dtype,
        margin: dtype, weight: dtype, share: int,
    ) -> int:  # fmt: skip
        """The point t of the axis over a face: an end of the axis (cut < 0), or where side plane ``cut`` cuts it."""
        if face_sign * (centre[face] + u[face] * t) - box.size[face] - capsule.radius < margin:
            axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
            normal = unit(face, face_sign)
            origin = normal * box.size[face]
            if cut < 0:
                n = writer.put_plane(table, world, n, box, capsule, origin, normal, axis * t, weight)
            else:
                side = unit(cut, cut_sign)
                on_edge = origin + side * box.size[cut]
                n = writer.put_clip(table, world, n, box, capsule, on_edge, normal, side, vec3(), axis, weight)
            writer.share_by_angle(table, world, n - 1, box, capsule, share, 1, normal, axis)
        return n

    @wp.func
    def along_edge(
        table: FeatureTable, world: int, n: int, box: Side, capsule: Side,
        centre: vec3, u: vec3, corner: vec3, edge: int, side: dtype, rotation: mat33, position: vec3, margin: dtype,
    ) -> int:  # fmt: skip
        """One of two contacts along an edge: its vertex on this side, or the end of the axis on this side."""
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        length = capsule.size[1]
        t = side * sign_of(u[edge]) * length
        end = centre + u * t
        foot = corner
        foot[edge] = wp.clamp(end[edge], -box.size[edge], box.size[edge])
        vertex = corner
        vertex[edge] = side * box.size[edge]
        s = wp.clamp(wp.dot(vertex - centre, u), -length, length)
        start = n
        if wp.length(end - foot) < wp.length(vertex - centre - u * s):
            if wp.length(end - foot) - capsule.radius < margin:
                if wp.abs(end[edge]) < box.size[edge]:
                    foot[edge] = dtype(0.0)
                    direction = unit(edge, dtype(1.0))
                    n = writer.put_line(table, world, n, box, capsule, foot, direction, axis * t, dtype(0.5))
                else:
                    n = writer.put_point(table, world, n, box, capsule, foot, axis * t, dtype(0.5))
            if n > start:
                direction = unit(edge, dtype(1.0))
                writer.share_by_angle(table, world, start, box, capsule, SHARE_PARALLEL, 0, direction, axis)
        else:
            at = rotation * vertex + position
            n = point_contacts.point_segment(table, world, n, capsule, box, at, vertex, margin, dtype(0.5))
            if n > start:
                direction = unit(edge, dtype(1.0))
                writer.share_by_angle(table, world, start, capsule, box, SHARE_PARALLEL, 0, axis, direction)
        return n

    @wp.func
    def capsule_box(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        axis = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        half = b.size
        length = a.size[1]
        centre = wp.transpose(rotation) * (-position)  # of the capsule, frame of the box
        u = vec3(rotation[2, 0], rotation[2, 1], rotation[2, 2])  # its axis
        t = closest_on_axis(centre, u, length, half)
        x = centre + u * t
        e = offset_from_box(x, half)
        distance = wp.length(e)
        if distance - a.radius >= margin:
            return n

        outside = int(0)
        face = int(0)
        edge = int(-1)  # along which the closest edge runs; the one most along the axis if a vertex is closest
        deep = distance < parallel * wp.length(half)
        best = dtype(-1.0e30)
        for i in range(3):
            lean = wp.abs(e[i])
            if deep:
                lean = wp.abs(centre[i]) - length * wp.abs(u[i]) - half[i]
            if lean > best:
                best = lean
                face = i
            if e[i] != dtype(0.0):
                outside += 1
            else:
                edge = i
        if outside == 3:
            edge = int(0)
            for i in range(1, 3):
                if wp.abs(u[i]) > wp.abs(u[edge]):
                    edge = i
        face_sign = sign_of(x[face])
        if deep:
            face_sign = sign_of(centre[face])

        # The part of the axis over the face.
        low = -length
        high = length
        low_cut = int(-1)
        high_cut = int(-1)
        empty = int(0)
        for i in range(3):
            if i != face:
                if wp.abs(u[i]) > parallel:
                    away = sign_of(u[i]) * half[i]
                    enter = (-away - centre[i]) / u[i]
                    leave = (away - centre[i]) / u[i]
                    if enter > low:
                        low = enter
                        low_cut = i
                    if leave < high:
                        high = leave
                        high_cut = i
                elif wp.abs(centre[i]) > half[i]:
                    empty = int(1)
        if low > high:
            empty = int(1)
        low_sign = dtype(1.0)
        high_sign = dtype(1.0)
        if low_cut >= 0:
            low_sign = -sign_of(u[low_cut])
        if high_cut >= 0:
            high_sign = sign_of(u[high_cut])

        # The closest points.
        if deep:
            if face_sign * u[face] > dtype(0.0):
                n = over_face(
                    table, world, n, b, a, centre, u, low, low_cut, low_sign, face, face_sign,
                    margin, dtype(1.0), SHARE_CROSSED,
                )  # fmt: skip
            else:
                n = over_face(
                    table, world, n, b, a, centre, u, high, high_cut, high_sign, face, face_sign,
                    margin, dtype(1.0), SHARE_CROSSED,
                )  # fmt: skip
        else:
            start = n
            box_first = int(1)
            if wp.abs(t) >= length:
                n = point_contacts.point_box(table, world, n, b, a, x, axis * t, margin, dtype(1.0))
            elif outside == 2:
                direction = unit(edge, dtype(1.0))
                normal = wp.cross(direction, u)
                if wp.length(normal) > parallel:
                    foot = x - e
                    foot[edge] = dtype(0.0)
                    sign = sign_of(wp.dot(normal, e))
                    n = writer.put_cross(table, world, n, b, a, foot, direction, vec3(), axis, sign, dtype(1.0))
            elif outside == 3:
                vertex = x - e
                box_first = int(0)
                at = rotation * vertex + position
                n = point_contacts.point_segment(table, world, n, a, b, at, vertex, margin, dtype(1.0))
            if n > start:
                plane = int(1)
                on_box = unit(face, face_sign)
                if empty == 1 and outside > 1:
                    plane = int(0)
                    on_box = unit(edge, dtype(1.0))
                if box_first == 1:
                    writer.share_by_angle(table, world, start, b, a, SHARE_CROSSED, plane, on_box, axis)
                else:
                    writer.share_by_angle(table, world, start, a, b, SHARE_CROSSED, plane, axis, on_box)

        # The two points for an axis parallel to the box.
        if empty == 0:
            ends = n
            lowest = face_sign * centre[face] + wp.min(face_sign * u[face] * low, face_sign * u[face] * high)
            listing_gap = writer.face_listing_gap(lowest - half[face] - a.radius, length, margin)
            n = over_face(
                table, world, n, b, a, centre, u, low, low_cut, low_sign, face, face_sign,
                listing_gap, dtype(0.5), SHARE_PARALLEL,
            )  # fmt: skip
            n = over_face(
                table, world, n, b, a, centre, u, high, high_cut, high_sign, face, face_sign,
                listing_gap, dtype(0.5), SHARE_PARALLEL,
            )  # fmt: skip
            writer.lie_on_face(table, world, ends, n, line_arm, dtype(1.0), length)
        elif outside > 1:
            corner = x - e
            n = along_edge(table, world, n, b, a, centre, u, corner, edge, dtype(1.0), rotation, position, margin)
            n = along_edge(table, world, n, b, a, centre, u, corner, edge, dtype(-1.0), rotation, position, margin)
        return n

    return types.SimpleNamespace(capsule_box=capsule_box)
