"""Contacts of two boxes: separating axes choose a pair of faces or a pair of edges.

Among the axes along which two boxes might be apart (three face normals each, nine cross products of edges), the one
with the greatest separation decides. A face gives the contact polygon of ``box_faces.py``; a pair of edges one
contact (CROSS). Edges are chosen only if their separation is greater by a small part of the boxes' size: for two boxes
at rest on each other the separations are equal, and the contact is the polygon. Where the boxes are apart and the
polygon is empty (a box passes the other's edge), the closest pair of edges gives the contact, so that it is listed in
time.

The force jumps where the choice changes: between the faces of the two boxes, between faces of one box, and between
polygon and edges. Gap and normal change by little at the first (both faces are nearly parallel there). The normal flips
at the second. The stiffness moves to another place at the third.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table
from . import box_edges, box_faces

__all__ = ["SWITCH", "make"]

SWITCH = 0.01
"""Part of the smallest half extent [1] by which the separation of another axis must exceed that of a face of the first
box to replace it."""


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``box_box(table, world, n, a, b, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of b in the frame of a, ``n`` the next free slot.
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    patch = box_faces.make(dtype)
    edges = box_edges.make(dtype)
    FeatureTable, Side = writer.FeatureTable, writer.Side
    switch = wp.constant(dtype(SWITCH))
    # Sine of the angle below which two edges count as parallel: their common normal adds nothing to those of the faces.
    parallel = wp.constant(dtype(0.01))

    @wp.func
    def sign_of(x: dtype) -> dtype:
        result = dtype(1.0)
        if x < dtype(0.0):
            result = dtype(-1.0)
        return result

    @wp.func
    def box_box(
        table: FeatureTable, world: int, n: int, a: Side, b: Side, rotation: mat33, position: vec3, margin: dtype
    ) -> int:
        seen = wp.transpose(rotation) * position  # centre of b from the centre of a, frame of b
        best = dtype(-1.0e30)
        best_b = dtype(-1.0e30)
        face = int(0)
        face_b = int(0)
        for i in range(3):
            reach_a = a.size[i]
            reach_b = b.size[i]
            for j in range(3):
                reach_a += wp.abs(rotation[i, j]) * b.size[j]
                reach_b += wp.abs(rotation[j, i]) * a.size[j]
            gap_a = wp.abs(position[i]) - reach_a
            gap_b = wp.abs(seen[i]) - reach_b
            if gap_a > best:
                best = gap_a
                face = i
            if gap_b > best_b:
                best_b = gap_b
                face_b = i
        if wp.max(best, best_b) >= margin:
            return n

        best_edge = dtype(-1.0e30)
        edge_a = int(-1)
        edge_b = int(-1)
        for i in range(3):
            i1 = (i + 1) % 3
            i2 = (i + 2) % 3
            for j in range(3):
                r1 = rotation[i1, j]
                r2 = rotation[i2, j]
                sine = wp.sqrt(r1 * r1 + r2 * r2)
                if sine > parallel:
                    j1 = (j + 1) % 3
                    j2 = (j + 2) % 3
                    reach_a = a.size[i1] * wp.abs(r2) + a.size[i2] * wp.abs(r1)
                    reach_b = b.size[j1] * wp.abs(rotation[i, j2]) + b.size[j2] * wp.abs(rotation[i, j1])
                    gap = (wp.abs(position[i2] * r1 - position[i1] * r2) - reach_a - reach_b) / sine
                    if gap > best_edge:
                        best_edge = gap
                        edge_a = i
                        edge_b = j
        if best_edge >= margin:
            return n

        tolerance = switch * wp.min(wp.min(a.size), wp.min(b.size))
        if best_edge > wp.max(best, best_b) + tolerance:
            return edges.edge_pair(table, world, n, a, b, rotation, position, edge_a, edge_b)

        end = int(-1)
        if best_b > best + tolerance:
            sign = -sign_of(seen[face_b])
            end = patch.face_patch(table, world, n, b, a, wp.transpose(rotation), -seen, face_b, sign, margin)
        else:
            end = patch.face_patch(table, world, n, a, b, rotation, position, face, sign_of(position[face]), margin)
        if end < 0:
            end = n
            if wp.max(wp.max(best, best_b), best_edge) > dtype(0.0):
                end = edges.closest_edges(table, world, n, a, b, rotation, position, margin)
            elif edge_a >= 0:
                end = edges.edge_pair(table, world, n, a, b, rotation, position, edge_a, edge_b)
        return end

    return types.SimpleNamespace(box_box=box_box)
