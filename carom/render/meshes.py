"""Triangle meshes of the bodies of a recording, for pictures in three dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.core.shape_types import ShapeType
from ..sim import Recording
from .outlines import Solid, rotate, solids

__all__ = ["BodyMesh", "body_meshes", "placed", "plane_poses", "scene_bounds", "surface"]

_AROUND = 24
"""Segments of a circle."""


@dataclass(frozen=True)
class BodyMesh:
    """Mesh of all shapes of a body. Flat faces share no corners, so that averaged normals stay sharp at edges."""

    body: int
    """-1 for the static shapes."""
    vertices: np.ndarray
    """Vertices in the body's frame [m], float64 [n, 3]."""
    faces: np.ndarray
    """Counter-clockwise seen from outside, int [m, 3]."""


def body_meshes(recording: Recording, world: int = 0) -> list[BodyMesh]:
    """One mesh for each body that has shapes, the static ones first; planes are left out: see ``plane_poses``."""
    parts: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for solid in solids(recording, world):
        parts.setdefault(solid.body, []).append(surface(solid))
    return [BodyMesh(body, *_merged(parts[body])) for body in sorted(parts)]


def plane_poses(recording: Recording) -> np.ndarray:
    """Poses of the planes: the half-space below z = 0 of each is solid; [planes, 7]."""
    return recording.shape_pose[recording.shape_type == ShapeType.PLANE].astype(float)


def scene_bounds(recording: Recording, meshes: list[BodyMesh], world: int = 0) -> np.ndarray:
    """The box [2, 3] (m) that holds the meshes, at up to 60 steps of the run."""
    steps = np.unique(np.linspace(0, recording.steps, min(recording.steps + 1, 60)).round().astype(int))
    corners = [np.array([[-0.5, -0.5, 0.0], [0.5, 0.5, 0.5]])] if not meshes else []
    for mesh in meshes:
        if mesh.body < 0:
            corners.append(mesh.vertices)
        else:
            corners += [placed(mesh.vertices, recording.body_q[step, world, mesh.body]) for step in steps]
    low, high = (pick([pick(points, axis=0) for points in corners], axis=0) for pick in (np.min, np.max))
    return np.stack([low, high])


def placed(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Points [n, 3] of a body's frame in the world's, with the body at ``pose`` (position, quaternion xyzw)."""
    pose = pose.astype(float)
    return rotate(pose[3:], points) + pose[:3]


def surface(solid: Solid) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [n, 3] in the body's frame [m] and faces, int [m, 3], counter-clockwise seen from outside."""
    if solid.radius == 0.0:
        corners = solid.points[solid.triangles].reshape(-1, 3)
        return corners, np.arange(len(corners)).reshape(-1, 3)
    from scipy.spatial import ConvexHull

    points = (solid.points[:, None] + solid.radius * _sphere()).reshape(-1, 3)
    hull = ConvexHull(points)
    used, faces = np.unique(hull.simplices, return_inverse=True)
    return points[used], _outward(points[used], faces.reshape(-1, 3))


def _outward(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Faces of a convex body, turned so that their normals point away from its middle."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - vertices.mean(axis=0)) < 0.0
    return np.where(inward[:, None], faces[:, ::-1], faces)


def _sphere() -> np.ndarray:
    """Points on the unit sphere: rings between the poles."""
    turn = np.arange(_AROUND) * (2.0 * np.pi / _AROUND)
    tilt = np.arange(1, _AROUND // 2) * (2.0 * np.pi / _AROUND)
    x, y = (np.sin(tilt)[:, None] * f(turn) for f in (np.cos, np.sin))
    z = np.broadcast_to(np.cos(tilt)[:, None], x.shape)
    return np.concatenate([np.stack([x, y, z], axis=-1).reshape(-1, 3), [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])


def _merged(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + start for (_, faces), start in zip(parts, starts[:-1], strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)
