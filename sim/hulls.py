"""The convex meshes of a model on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import warp as wp

from ..kernels.hulls import HullArrays
from ..kernels.lanes import LANES
from ..kernels.precision import precision
from .convex import ConvexMesh, box_mesh
from .model import Model

__all__ = ["hull_arrays"]


def hull_arrays(model: Model, real: Any) -> HullArrays:
    """The meshes of a model one after the other, a cube first."""
    p = precision(real)
    meshes = [box_mesh(), *model.meshes]
    vertices = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    faces = np.cumsum([0, *(len(m.normals) for m in meshes)])
    edges = np.cumsum([0, *(len(m.edges) for m in meshes)])
    corners = np.cumsum([0, *(len(m.loop) for m in meshes)])

    def put(values: Any, dtype: Any) -> wp.array:
        return wp.array(np.concatenate(values), dtype=dtype, device=model.device)

    def rows(of_mesh: Callable[[ConvexMesh], list[np.ndarray]]) -> wp.array:
        values = np.concatenate([np.column_stack(of_mesh(m)) for m in meshes]).T
        return wp.array(np.pad(values, ((0, 0), (0, LANES))), dtype=p.scalar, device=model.device)

    offsets = list(zip(meshes, vertices[:-1], faces[:-1], corners[:-1], strict=True))
    return HullArrays(
        shape_mesh=put([model.shape_mesh + 1], wp.int32),
        vertices=put([m.vertices for m in meshes], p.vec3),
        shares=put([m.shares for m in meshes], p.scalar),
        normals=put([m.normals for m in meshes], p.vec3),
        offsets=put([_face_offsets(m) for m in meshes], p.scalar),
        loop_start=put([*(m.loop_start[:-1] + c for m, _, _, c in offsets), corners[-1:]], wp.int32),
        loop=put([m.loop + v for m, v, _, _ in offsets], wp.int32),
        sides=put([_side_normals(m) for m in meshes], p.vec3),
        edges=put([m.edges + np.array([v, v, f, f]) for m, v, f, _ in offsets], wp.vec4i),
        vertex_start=put([vertices], wp.int32),
        face_start=put([faces], wp.int32),
        edge_start=put([edges], wp.int32),
        rim=put([[m.rim for m in meshes]], p.scalar),
        vertex_rows=rows(lambda m: [m.vertices]),
        face_rows=rows(lambda m: [m.normals, _face_offsets(m)]),
        edge_rows=rows(_edge_columns),
    )


def _face_offsets(mesh: ConvexMesh) -> np.ndarray:
    """Heights of the faces' planes over the origin [m], [faces]."""
    return np.einsum("ij,ij->i", mesh.normals, mesh.vertices[mesh.loop[mesh.loop_start[:-1]]])


def _edge_columns(mesh: ConvexMesh) -> list[np.ndarray]:
    """Start, start to end [m], and the normals of the left and of the right face of every edge."""
    start, end, left, right = np.asarray(mesh.edges).T
    x = mesh.vertices
    return [x[start], x[end] - x[start], mesh.normals[left], mesh.normals[right]]


def _side_normals(mesh: ConvexMesh) -> np.ndarray:
    """Unit normals out of the sides of every face, in its plane; [corners, 3], as ``mesh.loop``."""
    result = np.empty((len(mesh.loop), 3))
    for face, normal in enumerate(mesh.normals):
        corners = slice(mesh.loop_start[face], mesh.loop_start[face + 1])
        x = mesh.vertices[mesh.loop[corners]]
        out = np.cross(np.roll(x, -1, axis=0) - x, normal)
        result[corners] = out / np.linalg.norm(out, axis=1, keepdims=True)
    return result
