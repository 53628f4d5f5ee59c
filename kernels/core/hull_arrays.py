"""Convex meshes on the device."""

from __future__ import annotations

from dataclasses import dataclass

import warp as wp

__all__ = ["HullArrays"]


@dataclass
class HullArrays:
    """Meshes on the device. M meshes, S shapes."""

    shape_mesh: wp.array  # int32 [S]: number of the mesh, 0 for a box
    vertices: wp.array  # vec3 [V], m
    shares: wp.array  # scalar [V]: share of the stiffness against a plane
    normals: wp.array  # vec3 [F], outward
    offsets: wp.array  # scalar [F]: of the faces' planes from the origin, at scale 1 [m]
    arms: wp.array  # vec3 [F]: for friction of the faces on a plane, see ``contact/face_friction.py``
    loop_start: wp.array  # int32 [F + 1]: where each face's corners start in loop
    loop: wp.array  # int32: vertices of the faces, counter-clockwise
    sides: wp.array  # vec3, as loop: unit normals in the plane of a face, out of the side that begins there
    edges: wp.array  # vec4i [E]: vertex, vertex, left face, right face
    vertex_start: wp.array  # int32 [M + 1]
    face_start: wp.array  # int32 [M + 1]
    edge_start: wp.array  # int32 [M + 1]
    rim: wp.array  # scalar [M]: radius of a cylinder's rims [m], 0 for polyhedra
    vertex_rows: wp.array  # scalar [3, V + 8], these again, for ``collision/hulls_simd.py``
    face_rows: wp.array  # scalar [4, F + 8]
    edge_rows: wp.array  # scalar [12, E + 8]
