"""Shapes of a recording from above: the visible faces, and their outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernels.core.shape_types import ShapeType
from ..sim import Recording

__all__ = ["Seen", "Solid", "rotate", "solids"]

_ROUND = 40
"""Corners of a circle."""
_CORNERS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
_CIRCLE = np.stack([f(np.linspace(0.0, 2.0 * np.pi, _ROUND, endpoint=False)) for f in (np.cos, np.sin)], axis=1)


@dataclass(frozen=True)
class Seen:
    """A shape from above, in world coordinates [m]."""

    outline: np.ndarray
    """Convex polygon, [n, 2]."""
    faces: np.ndarray
    """Triangles that face up, [m, 3, 2]; none for round shapes."""
    slopes: np.ndarray
    """Unit normals of the triangles, [m, 3]."""
    top: float
    """Height of the highest point."""


@dataclass(frozen=True)
class Solid:
    """A convex shape: the hull of a few points, thickened by a radius."""

    body: int
    """-1 for static shapes."""
    points: np.ndarray
    """Points in the body's frame [m], [n, 3]."""
    radius: float
    """[m]"""
    triangles: np.ndarray
    """Triangles of the hull, counter-clockwise seen from outside, int [m, 3]; none where there is a radius."""

    def seen(self, pose: np.ndarray) -> Seen:
        """View from above, with its body at ``pose`` (position [m], quaternion xyzw)."""
        x = rotate(pose[3:], self.points) + pose[:3]
        if self.radius > 0.0:
            rim = x[:, None, :2] + self.radius * _CIRCLE
            none = np.zeros((0, 3))
            return Seen(_hull(rim.reshape(-1, 2)), none.reshape(0, 3, 2), none, float(x[:, 2].max()) + self.radius)
        corners = x[self.triangles]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        up = normal[:, 2] > 1e-3
        return Seen(_hull(x[:, :2]), corners[up][..., :2], normal[up], float(x[:, 2].max()))


def solids(recording: Recording, world: int = 0) -> list[Solid]:
    """Solids of all shapes but planes, which have no outline."""
    from scipy.spatial import ConvexHull

    found = []
    sizes = recording.shape_size[world if len(recording.shape_size) > 1 else 0].astype(float)
    for number, (kind, size) in enumerate(zip(recording.shape_type, sizes, strict=True)):
        if kind == ShapeType.PLANE:
            continue
        radius, triangles = 0.0, np.zeros((0, 3), dtype=int)
        if kind == ShapeType.SPHERE:
            points, radius = np.zeros((1, 3)), size[0]
        elif kind == ShapeType.CAPSULE:
            points, radius = np.array([[0.0, 0.0, -size[1]], [0.0, 0.0, size[1]]]), size[0]
        elif kind == ShapeType.BOX:
            points = _CORNERS * size
        else:
            mesh = recording.shape_mesh[number]
            points = recording.mesh_vertices[slice(*recording.mesh_start[mesh : mesh + 2])].astype(float)
        if radius == 0.0:
            hull = ConvexHull(points)
            triangles = _outward(points, hull.simplices, hull.equations[:, :3])
        pose = recording.shape_pose[number].astype(float)
        body = int(recording.shape_body[number])
        found.append(Solid(body, rotate(pose[3:], points) + pose[:3], float(radius), triangles))
    return found


def rotate(q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Vectors ``x`` [n, 3] turned by the unit quaternion ``q`` (x, y, z, w)."""
    twice = 2.0 * np.cross(q[:3], x)
    return x + q[3] * twice + np.cross(q[:3], twice)  # type: ignore[no-any-return]


def _outward(points: np.ndarray, triangles: np.ndarray, normals: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, i]] for i in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), normals) < 0.0
    return np.where(inward[:, None], triangles[:, ::-1], triangles)


def _hull(points: np.ndarray) -> np.ndarray:
    """The convex hull of points in the plane, counter-clockwise."""
    from scipy.spatial import ConvexHull

    return points[ConvexHull(points).vertices]  # type: ignore[no-any-return]
