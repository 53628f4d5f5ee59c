"""Convex polyhedra: hulls of points, their faces as polygons, and their exact mass properties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError

__all__ = ["MAX_VERTICES", "ConvexMesh", "box_mesh", "convex_hull", "polyhedron_mass", "prism_points"]

MAX_VERTICES = 64
"""Vertices that a hull may have, by the capacity of the contact kernels."""

MAX_CORNERS = 32
"""Corners that one face may have."""

FLAT = 1e-6
"""Distance from one plane, as a part of the hull's size, up to which triangles are one face: the rounding of float32
mesh files."""

WELD = 1e-5
"""Distance, as a part of the hull's size, up to which points are merged: each would carry the load of a vertex."""


@dataclass(frozen=True)
class ConvexMesh:
    """A convex polyhedron about its centre of mass. V vertices, F polygonal faces, E edges."""

    vertices: np.ndarray
    """Positions from the centre of mass [m], [V, 3]."""
    normals: np.ndarray
    """Unit outward normals of the faces, [F, 3]."""
    loop_start: np.ndarray
    """Face f has the corners ``loop[loop_start[f]:loop_start[f + 1]]``, int [F + 1]."""
    loop: np.ndarray
    """Vertices of the faces, counter-clockwise seen from outside, int."""
    edges: np.ndarray
    """Each edge once: vertex, vertex, and the faces on its left and right, int [E, 4]."""
    shares: np.ndarray
    """Share of the stiffness that each vertex has against a plane [1], [V]; see ``vertex_shares``."""
    volume: float
    """[m^3]"""
    inertia: np.ndarray
    """About the centre of mass at density 1 [m^5], [3, 3]."""
    size: np.ndarray
    """Bounding radius, half of the least width, radius of the inscribed sphere, all about the centre [m], [3]."""
    rim: float = 0.0
    """Radius [m] of the cylinder about z that a prism represents, with its corners on the rims; 0 for other hulls."""

    def key(self) -> tuple[bytes, ...]:
        """Key that is equal for equal meshes."""
        return (self.vertices.tobytes(), self.loop.tobytes(), self.inertia.tobytes(), bytes(str(self.rim), "ascii"))


def prism_points(radius: float, half_length: float, sides: int) -> np.ndarray:
    """Vertices of a regular prism about z whose vertices lie on a cylinder [m], [2 sides, 3]."""
    angle = 2.0 * math.pi * (np.arange(sides) + 0.5) / sides
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(sides, half_length)], axis=1)
    return np.concatenate([ring, ring * [1.0, 1.0, -1.0]])


def convex_hull(points: Any, name: str, max_vertices: int | None = None) -> tuple[ConvexMesh, np.ndarray]:
    """The hull of ``points`` [n, 3] and its centre of mass in their frame [m].

    Args:
        points: In any order; those inside the hull are dropped.
        name: Of the shape, for messages.
        max_vertices: Number of vertices to keep where the hull has more. Each is the one farthest from those chosen
            before. The result lies inside the hull of all points.

    Raises:
        ModelError: Points that are not finite, a flat hull, too many vertices.
    """
    try:
        x = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"vertices of shape {name!r} must be numbers of shape [n, 3]: {error}") from error
    if x.ndim != 2 or x.shape[1] != 3:
        raise ModelError(f"vertices of shape {name!r} must have shape [n, 3], got {x.shape}")
    if not np.isfinite(x).all():
        raise ModelError(
            f"vertices of shape {name!r} must be finite; vertex {np.argwhere(~np.isfinite(x))[0][0]} is not"
        )
    if max_vertices is not None and not 4 <= max_vertices <= MAX_VERTICES:
        raise ModelError(f"shape {name!r}: max_vertices must be 4 to {MAX_VERTICES}, got {max_vertices}")
    x, loops = _hull(x, name)
    if max_vertices is not None and len(x) > max_vertices:
        x, loops = _hull(x[_spread(x, max_vertices)], name)
    if len(x) > MAX_VERTICES:
        raise ModelError(
            f"the hull of shape {name!r} has {len(x)} vertices, and the contact kernels take {MAX_VERTICES}; pass "
            f"max_vertices={MAX_VERTICES} (or less) to simplify it, or a coarser mesh"
        )
    if max(map(len, loops)) > MAX_CORNERS:
        raise ModelError(
            f"a face of the hull of shape {name!r} has {max(map(len, loops))} corners, and the contact kernels take "
            f"{MAX_CORNERS}; pass max_vertices to simplify it, or fewer sides"
        )
    volume, centre, inertia = polyhedron_mass(x, loops)
    return _mesh(x - centre, loops, volume, inertia), centre


def box_mesh() -> ConvexMesh:
    """The cube of half extents 1, which the kernels of hulls scale to any box."""
    corners = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    return convex_hull(corners, "box")[0]


def _hull(x: np.ndarray, name: str) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices of the hull, and its faces as loops of vertices, counter-clockwise seen from outside."""
    from scipy.spatial import ConvexHull, QhullError

    flat = ModelError(
        f"the hull of shape {name!r} has no volume: its {len(x)} points are fewer than 4, equal, on a line, or in one "
        "plane. Give it thickness, or use add_plane for a static wall"
    )
    if len(x) < 4:
        raise flat
    size = float(np.ptp(x, axis=0).max())
    if not size > 0.0:
        raise flat
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) / math.sqrt(len(x))
    if spread[2] < 1e-6 * size:
        raise flat
    x = _welded(x, WELD * size)
    try:
        hull = ConvexHull(x)
    except QhullError:
        raise flat from None
    for tolerance in (FLAT * size, 0.0):
        loops = _merge(x, hull, tolerance)
        if loops is not None:
            break
    assert loops is not None
    used = sorted({v for loop in loops for v in loop})
    number = {v: i for i, v in enumerate(used)}
    return x[used], [[number[v] for v in loop] for loop in loops]


def _welded(x: np.ndarray, distance: float) -> np.ndarray:
    """The points without those closer than a distance to a point that is kept, [n, 3]."""
    from scipy.spatial import cKDTree

    near = cKDTree(x).query_pairs(distance, output_type="ndarray")
    keep = np.ones(len(x), dtype=bool)
    for i, j in near[np.lexsort((near[:, 1], near[:, 0]))]:
        if keep[i]:
            keep[j] = False
    return x[keep]


def _merge(x: np.ndarray, hull: Any, tolerance: float) -> list[list[int]] | None:
    """Faces of a triangulated hull with coplanar triangles merged; None if the result is no proper polyhedron."""
    triangles = hull.simplices.copy()
    corners = x[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("ij,ij->i", normal, hull.equations[:, :3]) < 0.0
    triangles[inward] = triangles[inward][:, ::-1]
    area = np.linalg.norm(normal, axis=1)
    group = np.full(len(triangles), -1)
    for seed in np.argsort(-area, kind="stable"):
        if group[seed] >= 0:
            continue
        n, d = hull.equations[seed, :3], hull.equations[seed, 3]
        group[seed], stack = seed, [seed]
        while stack:
            for other in hull.neighbors[stack.pop()]:
                if group[other] >= 0 or np.abs(x[triangles[other]] @ n + d).max() > tolerance:
                    continue
                if hull.equations[other, :3] @ n > 0.5 or area[other] < tolerance * tolerance:
                    group[other] = seed
                    stack.append(other)
    loops = []
    for seed in np.unique(group):
        edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in triangles[group == seed] for i in range(3)}
        follow = {a: b for a, b in edges if (b, a) not in edges}
        loop = [min(follow)] if follow else []
        while loop and len(loop) <= len(follow) and follow.get(loop[-1], loop[0]) != loop[0]:
            loop.append(follow[loop[-1]])
        if len(loop) != len(follow):
            return None
        loops.append(loop)
    faces: dict[int, int] = {}
    for loop in loops:
        for v in loop:
            faces[v] = faces.get(v, 0) + 1
    loops = [[v for v in loop if faces[v] > 2] for loop in loops]  # a vertex of two faces lies on their edge
    if min(map(len, loops)) < 3:
        return None
    count = sum(map(len, loops))
    if count % 2 or len({v for loop in loops for v in loop}) - count // 2 + len(loops) != 2:  # Euler
        return None
    return loops


def _spread(x: np.ndarray, count: int) -> list[int]:
    """Numbers of ``count`` points far from each other, the farthest from the middle first."""
    chosen = [int(np.argmax(np.linalg.norm(x - x.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(x - x[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(x - x[chosen[-1]], axis=1))
    return chosen


def polyhedron_mass(x: np.ndarray, loops: Sequence[Sequence[int]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Volume [m^3], centre [m] and inertia about it at density 1 [m^5]: exact sums over tetrahedra from the middle."""
    origin = x.mean(axis=0)
    y = x - origin
    volume, first, second = 0.0, np.zeros(3), np.zeros((3, 3))
    for loop in loops:
        for i in range(1, len(loop) - 1):
            t = y[[loop[0], loop[i], loop[i + 1]]]
            v = float(np.linalg.det(t)) / 6.0
            total = t.sum(axis=0)
            volume += v
            first += v * total / 4.0
            second += v * (t.T @ t + np.outer(total, total)) / 20.0
    centre = first / volume
    second -= volume * np.outer(centre, centre)
    return volume, origin + centre, np.trace(second) * np.eye(3) - second


def vertex_shares(x: np.ndarray, loops: Sequence[Sequence[int]]) -> np.ndarray:
    """Fixed share of the stiffness of each vertex against a plane [V].

    A corner's share in a face is half of the length of its two edges over the perimeter. A vertex of several faces has
    the mean of its shares in them, weighted by their areas. The shares of a face sum to exactly 1 on a regular
    polyhedron and a box, and to about 1 on the large faces of any other.
    """
    share, weight = np.zeros(len(x)), np.zeros(len(x))
    for loop in loops:
        p = x[list(loop)]
        after = np.linalg.norm(np.roll(p, -1, axis=0) - p, axis=1)
        area = np.linalg.norm(np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0)) / 2.0
        share[list(loop)] += area * 0.5 * (after + np.roll(after, 1)) / after.sum()
        weight[list(loop)] += area
    return share / weight


def _mesh(x: np.ndarray, loops: list[list[int]], volume: float, inertia: np.ndarray) -> ConvexMesh:
    normals = []
    for loop in loops:
        p = x[loop] - x[loop[0]]
        n = np.cross(p, np.roll(p, -1, axis=0)).sum(axis=0)
        normals.append(n / np.linalg.norm(n))
    left = {(loop[i], loop[(i + 1) % len(loop)]): f for f, loop in enumerate(loops) for i in range(len(loop))}
    edges = np.array([(a, b, f, left[b, a]) for (a, b), f in sorted(left.items()) if a < b], dtype=np.int32)
    normal = np.array(normals)
    offsets = np.array([n @ x[loop[0]] for n, loop in zip(normals, loops, strict=True)])
    size = np.array([np.linalg.norm(x, axis=1).max(), _least_width(x, normal, edges) / 2.0, offsets.min()])
    start = np.cumsum([0, *map(len, loops)]).astype(np.int32)
    corners = np.concatenate([np.array(one, dtype=np.int32) for one in loops])
    return ConvexMesh(x, normal, start, corners, edges, vertex_shares(x, loops), volume, inertia, size)


def _least_width(x: np.ndarray, normals: np.ndarray, edges: np.ndarray) -> float:
    """Least distance of two parallel planes that hold the hull: across a face, or across two edges."""
    d = x[edges[:, 1]] - x[edges[:, 0]]
    axes = np.cross(d[:, None], d[None]).reshape(-1, 3)
    length = np.linalg.norm(axes, axis=1)
    good = length > 1e-9 * length.max()
    axes = np.concatenate([normals, axes[good] / length[good, None]])
    return float(np.ptp(axes @ x.T, axis=1).min())
