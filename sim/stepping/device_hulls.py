"""The convex meshes of a model on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import warp as wp

from ...kernels.core.hull_arrays import HullArrays
from ...kernels.core.precision import precision
from ...kernels.core.simd import LANES
from ..scene.convex_hull import ConvexMesh, box_mesh
from ..scene.model import Model

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
        arms=put([_face_arms(m) for m in meshes], p.vec3),
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


def _face_arms(mesh: ConvexMesh) -> np.ndarray:
    """Arm, roundness and size of every face, [faces, 3], for ``kernels/contact/face_friction.py``."""
    result = np.empty((len(mesh.normals), 3))
    for face, normal in enumerate(mesh.normals):
        corners = mesh.loop[mesh.loop_start[face] : mesh.loop_start[face + 1]]
        x, share = mesh.vertices[corners], mesh.shares[corners]
        across = np.cross(normal, x[1] - x[0])
        x = x @ np.stack([x[1] - x[0], across], axis=1) / np.linalg.norm(across)
        after = np.roll(x, -1, axis=0)
        area = 0.5 * (x[:, 0] * after[:, 1] - x[:, 1] * after[:, 0])
        centre = area @ (x + after) / (3.0 * area.sum())
        x, after = x - centre, after - centre
        side = after - x
        length = np.linalg.norm(side, axis=1)
        height = (x[:, 0] * after[:, 1] - x[:, 1] * after[:, 0]) / length  # of the centre over the sides
        first, last = ((y * side).sum(axis=1) / length for y in (x, after))
        near, far = np.linalg.norm(x, axis=1), np.linalg.norm(after, axis=1)
        moment = height / 6.0 * (last * far - first * near + height**2 * np.log((last + far) / (first + near)))
        # loads of a body whose weight acts over the centre of the face
        share = share * (1.0 - x @ np.linalg.solve((x * share[:, None]).T @ x, share @ x))
        c = (x * share[:, None]).T @ x / share.sum()
        size = share @ near / share.sum()
        result[face] = moment.sum() / area.sum() / size, 4.0 * np.linalg.det(c) / np.trace(c) ** 2, size
    return result


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
