"""Convex polyhedra on the device, and functions of them for the narrow phase.

The meshes of a model lie one after the other in flat arrays; a shape refers to one by number and a scale per axis.
Only boxes use the scale: the first mesh is the cube of half extents 1, which represents boxes that meet hulls.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ..core.hull_arrays import HullArrays
from ..core.precision import precision
from . import hulls_simd

__all__ = ["make", "table"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """Structs ``Hulls`` (all meshes) and ``Hull`` (one shape's) and functions of them, for one precision."""
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    simd = hulls_simd.make(dtype)

    @wp.struct
    class Hulls:
        """The arrays of ``HullArrays``, as one kernel argument."""

        shape_mesh: wp.array1d(dtype=wp.int32)
        vertices: wp.array1d(dtype=vec3)
        shares: wp.array1d(dtype=dtype)
        normals: wp.array1d(dtype=vec3)
        offsets: wp.array1d(dtype=dtype)
        arms: wp.array1d(dtype=vec3)
        loop_start: wp.array1d(dtype=wp.int32)
        loop: wp.array1d(dtype=wp.int32)
        sides: wp.array1d(dtype=vec3)
        edges: wp.array1d(dtype=wp.vec4i)
        vertex_start: wp.array1d(dtype=wp.int32)
        face_start: wp.array1d(dtype=wp.int32)
        edge_start: wp.array1d(dtype=wp.int32)
        rim: wp.array1d(dtype=dtype)
        vertex_rows: wp.array2d(dtype=dtype)
        face_rows: wp.array2d(dtype=dtype)
        edge_rows: wp.array2d(dtype=dtype)

    @wp.struct
    class Hull:
        """One shape: the place of its mesh in the arrays."""

        vertex: wp.int32
        vertex_end: wp.int32
        face: wp.int32
        face_end: wp.int32
        edge: wp.int32
        edge_end: wp.int32
        scale: vec3
        scaled: wp.int32  # whether the scale is not 1
        radius: dtype  # of a sphere about the origin that holds the hull [m]
        inner: dtype  # of a sphere about the origin within the hull [m]
        rim: dtype  # radius of the rims of the cylinder that the hull stands for [m], 0 for a polyhedron

    @wp.func
    def hull_of(hulls: Hulls, mesh: int, scale: vec3, radius: dtype, inner: dtype) -> Hull:
        h = Hull()
        h.vertex = hulls.vertex_start[mesh]
        h.vertex_end = hulls.vertex_start[mesh + 1]
        h.face = hulls.face_start[mesh]
        h.face_end = hulls.face_start[mesh + 1]
        h.edge = hulls.edge_start[mesh]
        h.edge_end = hulls.edge_start[mesh + 1]
        h.scale = scale
        h.scaled = int(scale[0] != dtype(1.0) or scale[1] != dtype(1.0) or scale[2] != dtype(1.0))
        h.radius = radius
        h.inner = inner
        h.rim = hulls.rim[mesh]
        return h

    @wp.func
    def vertex(hulls: Hulls, h: Hull, v: int) -> vec3:
        return wp.cw_mul(hulls.vertices[v], h.scale)

    @wp.func
    def corner(hulls: Hulls, h: Hull, face: int, k: int) -> vec3:
        """Corner k of a face."""
        return vertex(hulls, h, hulls.loop[hulls.loop_start[face] + k])

    @wp.func
    def corners(hulls: Hulls, face: int) -> int:
        """Number of corners of a face."""
        return hulls.loop_start[face + 1] - hulls.loop_start[face]

    @wp.func
    def height(hulls: Hulls, h: Hull, face: int, x: vec3) -> dtype:
        """Height of x over the plane of a face [m]. Only boxes are scaled, along their normals."""
        normal = hulls.normals[face]
        offset = hulls.offsets[face]
        if h.scaled == 1:
            offset = offset * wp.dot(wp.cw_mul(normal, normal), h.scale)
        return wp.dot(normal, x) - offset

    @wp.func
    def most_opposed(hulls: Hulls, h: Hull, direction: vec3) -> int:
        """The face whose normal is most opposed to a direction."""
        result = h.face
        least = dtype(2.0)
        for f in range(h.face, h.face_end):
            cosine = wp.dot(hulls.normals[f], direction)
            if cosine < least:
                least = cosine
                result = f
        return result

    @wp.func
    def side_normal(hulls: Hulls, face: int, k: int) -> vec3:
        """Unit normal out of the side of a face from corner k to the next, in the face. A box has it at any scale."""
        return hulls.sides[hulls.loop_start[face] + k]

    @wp.func
    def lowest(hulls: Hulls, h: Hull, direction: vec3) -> int:
        """The vertex least far in a direction."""
        return simd.lowest(hulls.vertex_rows, h.vertex, h.vertex_end, wp.cw_mul(direction, h.scale))

    @wp.func
    def inside(hulls: Hulls, h: Hull, x: vec3) -> bool:
        """Whether x lies in the hull."""
        return simd.height(hulls.face_rows, h.face, h.face_end, h.scaled, h.scale, x) <= dtype(0.0)

    @wp.func
    def best_face(hulls: Hulls, a: Hull, b: Hull, rotation: mat33, position: vec3, enough: dtype):
        """Greatest separation [m] of b along the normals of a's faces, and the face.

        ``rotation``, ``position`` are the pose of b in the frame of a. Begins with the face that b's centre is highest
        over, so that few others can exceed it. A face that cannot, since b holds a sphere about its centre, costs one
        dot product. Stops at the first separation of ``enough``.
        """
        found = simd.best_face(
            hulls.face_rows, hulls.vertex_rows, a.face, a.face_end, a.scaled, a.scale, b.vertex, b.vertex_end, b.scale,
            b.inner, rotation, position, enough,
        )  # fmt: skip
        return found[0], a.face + int(found[1])

    @wp.func
    def reaches(hulls: Hulls, h: Hull, start: vec3, end: vec3, distance: dtype):
        """Whether a segment meets the hull with all of its faces moved out by a distance, and the hull itself.

        The third result is the face that separates them, or the last one.
        """
        # without branches but for the end, as their outcomes are hard to predict
        big = dtype(1.0e30)
        low = dtype(0.0)
        high = dtype(1.0)
        low_in = dtype(0.0)
        high_in = dtype(1.0)
        along = end - start
        for f in range(h.face, h.face_end):
            first = height(hulls, h, f, start)
            rise = wp.dot(hulls.normals[f], along)
            falls = rise < dtype(0.0)
            rate = wp.where(rise == dtype(0.0), -big, dtype(-1.0) / rise)
            at = (first - distance) * rate
            at_in = first * rate
            low = wp.max(low, wp.where(falls, at, -big))
            high = wp.min(high, wp.where(falls, big, at))
            low_in = wp.max(low_in, wp.where(falls, at_in, -big))
            high_in = wp.min(high_in, wp.where(falls, big, at_in))
            if low > high:
                return False, False, f
        return True, low_in <= high_in, h.face_end - 1

    return types.SimpleNamespace(
        Hulls=Hulls, Hull=Hull, hull_of=hull_of, vertex=vertex, corner=corner, corners=corners, height=height,
        side_normal=side_normal, lowest=lowest, most_opposed=most_opposed, inside=inside, best_face=best_face,
        reaches=reaches,
    )  # fmt: skip


def table(dtype: Any, arrays: HullArrays) -> Any:
    """The kernel argument that stands for ``arrays``."""
    result = make(dtype).Hulls()
    for name in result._cls.vars:
        setattr(result, name, getattr(arrays, name))
    return result
