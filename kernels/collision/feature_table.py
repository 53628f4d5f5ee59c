"""Functions that write contact features, given in the frames of the shapes, to the table in the frames of the bodies.

The narrow-phase functions work in shape frames, where a box's vertices and a capsule's axis are constants. The layout
of the table is confined to this file. Every function takes the slot ``n`` of the contact. Slots beyond the capacity of
the table are counted and not written, so that the caller finds the capacity that a world needs.
"""

import functools
import types
from typing import Any

import warp as wp

from ..core.precision import precision
from . import features
from .features import CLIP, CROSS, DROP, FACE_TILT, FLAT, LINE, POINT, RIM, SHARE_FIXED, SHARE_POLYGON

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """The structs ``FeatureTable`` and ``Side`` and writing functions for one precision."""
    p = precision(dtype)
    vec3, mat33, mat63 = p.vec3, p.mat33, p.mat63
    FeatureTable = features.make(dtype)

    @wp.struct
    class Side:
        """One shape of a pair, with the pose that takes its points to its body's frame."""

        shape: wp.int32  # index
        size: vec3  # see ShapeType [m]
        radius: dtype  # of the rounding around the core (sphere: centre, capsule: axis, box: itself) [m]
        rotation: mat33  # shape frame to body frame
        position: vec3  # of the shape in the body frame [m]

    @wp.func
    def put(
        table: FeatureTable, world: int, n: int, a: Side, b: Side,
        kind: int, a0: vec3, a1: vec3, b0: vec3, b1: vec3, weight: dtype,
    ) -> int:  # fmt: skip
        """Write a contact of fixed share. Points and directions in shape frames. Returns the next free slot."""
        if n < table.kind.shape[1]:
            table.kind[world, n] = kind
            table.shape_a[world, n] = a.shape
            table.shape_b[world, n] = b.shape
            table.a0[world, n] = a.rotation * a0 + a.position
            table.b0[world, n] = b.rotation * b0 + b.position
            if kind != POINT:
                table.a1[world, n] = a.rotation * a1
            # two contacts that differ in the order of the shapes must not cancel
            if kind == POINT or kind == LINE:
                table.sign[world, n] = wp.where(a.shape < b.shape, dtype(1.0), dtype(-1.0))
            if kind >= CROSS:
                table.b1[world, n] = b.rotation * b1
            table.radius_a[world, n] = a.radius
            table.radius_b[world, n] = b.radius
            table.weight[world, n] = weight
            table.share[world, n] = SHARE_FIXED
            table.patch_count[world, n] = 0
            table.blend[world, n] = -1
        return n + 1

    @wp.func
    def put_point(table: FeatureTable, world: int, n: int, a: Side, b: Side, a0: vec3, b0: vec3, weight: dtype) -> int:
        return put(table, world, n, a, b, POINT, a0, vec3(), b0, vec3(), weight)

    @wp.func
    def put_line(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, a0: vec3, a1: vec3, b0: vec3, weight: dtype
    ) -> int:
        return put(table, world, n, a, b, LINE, a0, a1, b0, vec3(), weight)

    @wp.func
    def put_plane(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, a0: vec3, a1: vec3, b0: vec3, weight: dtype
    ) -> int:
        return put(table, world, n, a, b, FLAT, a0, a1, b0, vec3(), weight)

    @wp.func
    def put_cross(
        table: FeatureTable, world: int, n: int, a: Side, b: Side,
        a0: vec3, a1: vec3, b0: vec3, b1: vec3, sign: dtype, weight: dtype,
    ) -> int:  # fmt: skip
        if n < table.kind.shape[1]:
            table.sign[world, n] = sign
        return put(table, world, n, a, b, CROSS, a0, a1, b0, b1, weight)

    @wp.func
    def put_clip(
        table: FeatureTable, world: int, n: int, a: Side, b: Side,
        a0: vec3, a1: vec3, a2: vec3, b0: vec3, b1: vec3, weight: dtype,
    ) -> int:  # fmt: skip
        if n < table.kind.shape[1]:
            table.a2[world, n] = a.rotation * a2
        return put(table, world, n, a, b, CLIP, a0, a1, b0, b1, weight)

    @wp.func
    def put_drop(
        table: FeatureTable,
        world: int,
        n: int,
        a: Side,
        b: Side,
        a0: vec3,
        a1: vec3,
        b0: vec3,
        b1: vec3,
        weight: dtype,
    ) -> int:
        return put(table, world, n, a, b, DROP, a0, a1, b0, b1, weight)

    @wp.func
    def put_rim(
        table: FeatureTable, world: int, n: int, a: Side, b: Side,
        a0: vec3, a1: vec3, turn: vec3, b0: vec3, b1: vec3, weight: dtype,
    ) -> int:  # fmt: skip
        """``turn`` = (cosine, sine, 0) of the angle about the axis b1 from the lowest point."""
        if n < table.kind.shape[1]:
            table.a2[world, n] = turn
        return put(table, world, n, a, b, RIM, a0, a1, b0, b1, weight)

    @wp.func
    def share_by_angle(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, share: int, plane: int, s0: vec3, s1: vec3
    ):
        """Make contact ``n``'s weight depend on the angle between s0 (frame of a) and s1 (frame of b)."""
        if n < table.kind.shape[1]:
            table.share[world, n] = share
            table.share_plane[world, n] = plane
            table.s0[world, n] = a.rotation * s0
            table.s1[world, n] = b.rotation * s1

    @wp.func
    def face_listing_gap(lowest: dtype, size: dtype, margin: dtype) -> dtype:
        """Gap [m] up to which the corners of a face are listed if the ``lowest`` of them is nearer than the margin."""
        gap = margin
        if lowest < margin:
            gap = wp.max(margin, wp.max(lowest, dtype(0.0)) + dtype(FACE_TILT) * size)
        return gap

    @wp.func
    def lie_on_face(
        table: FeatureTable, world: int, start: int, end: int, arm: dtype, roundness: dtype, size: dtype
    ):  # fmt: skip
        """Make the contacts start .. end - 1, as far as they were written, a patch; see ``contact/face_friction.py``.

        ``arm`` is the mean distance of the face from its centre over that of its corners, ``roundness`` that of the
        corners: 0 of a line, 1 where they lie equally far in all directions. ``size`` is their mean distance [m].
        """
        stop = wp.min(end, table.kind.shape[1])
        if stop > start + 1:
            table.patch_arm[world, start] = vec3(arm, roundness, size)
            for n in range(start, stop):
                table.patch_start[world, n] = start
                table.patch_count[world, n] = stop - start

    @wp.func
    def share_by_polygon(table: FeatureTable, world: int, start: int, end: int):
        """Make the contacts start .. end - 1, as far as they were written, the corners of one polygon."""
        stop = wp.min(end, table.kind.shape[1])
        for n in range(start, stop):
            table.share[world, n] = SHARE_POLYGON
            table.patch_start[world, n] = start
            table.patch_count[world, n] = stop - start

    @wp.func
    def share_by_blend(
        table: FeatureTable, world: int, start: int, end: int, ref: Side, inc: Side, swapped: int,
        ref_point: vec3, ref_along: vec3, inc_point: vec3, inc_along: vec3, vertex: vec3,
        sign: dtype, width: dtype, lowest: int,
    ):  # fmt: skip
        """Let the polygon in slots start .. end - 1 and the crossing of edges in slot ``end`` share the stiffness.

        ``swapped`` is 1 if the crossing's first shape is the polygon's second.
        """
        if end < table.kind.shape[1]:
            for n in range(start, end):
                table.blend[world, n] = 4 * start
            table.blend[world, end] = 4 * start + 2 + swapped
            p = ref.rotation * ref_point + ref.position
            u = ref.rotation * ref_along
            q = inc.rotation * inc_point + inc.position
            v = inc.rotation * inc_along
            w = inc.rotation * vertex + inc.position
            table.blend_edges[world, start] = mat63(
                p[0], p[1], p[2], u[0], u[1], u[2], q[0], q[1], q[2], v[0], v[1], v[2], w[0], w[1], w[2],
                sign, width, dtype(lowest),
            )  # fmt: skip

    return types.SimpleNamespace(
        FeatureTable=FeatureTable, Side=Side, put_point=put_point, put_line=put_line, put_plane=put_plane,
        put_cross=put_cross, put_clip=put_clip, put_drop=put_drop, put_rim=put_rim,
        share_by_angle=share_by_angle, face_listing_gap=face_listing_gap, lie_on_face=lie_on_face,
        share_by_polygon=share_by_polygon, share_by_blend=share_by_blend,
    )  # fmt: skip
