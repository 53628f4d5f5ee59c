"""Pieces of carrots: a tapered body, rounded at the tip, cut by random planes into coins, half-moons, dice, batons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...plain import plain_numbers
from ...sim.scene.convex_hull import ConvexMesh, convex_hull
from ..errors import TaskError

__all__ = [
    "KINDS",
    "MAX_PIECES",
    "MIN_PIECES",
    "MIN_VOLUME",
    "MIN_WIDTH",
    "Piece",
    "carrot_body",
    "cut_carrot",
    "cut_one",
]

MIN_PIECES, MAX_PIECES = 1, 200

SIDES = 10
"""Side faces of a carrot. They decide the number of vertices of a piece, and so the cost of its contacts."""

MAX_VERTICES = 24
"""The few pieces with more (coins cut where the taper changes) are simplified to this many."""

MIN_VOLUME = 0.4e-6
"""Smaller offcuts are thrown away [m^3]."""

MIN_WIDTH = 0.006
"""Thinner offcuts (least distance of two parallel planes that hold the piece) are thrown away [m]."""

KINDS = {
    "coin": ((0.010, 0.014), ()),
    "half-moon": ((0.012, 0.020), (0.0,)),
    "dice": ((0.011, 0.016), (0.0, 0.5)),
    "baton": ((0.022, 0.030), (0.0, 0.5)),
}
"""Range of the thickness along the carrot [m], and the directions of the cuts along its axis in units of pi."""

TILT = math.radians(8.0)
"""Largest tilt of a cut across, from square to the axis, and of a cut along, from its nominal direction [rad]."""


@dataclass(frozen=True)
class Piece:
    """A convex piece."""

    kind: str
    """"coin", "half-moon", "dice" or "baton"."""
    mesh: ConvexMesh
    """Convex hull about the centre of mass."""

    @property
    def vertices(self) -> np.ndarray:
        """Vertices from the centre of mass [m], [n, 3]."""
        return self.mesh.vertices


def carrot_body(length: float, radius: float, squash: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """Vertices [m] of the convex hull of a carrot along z, its tip at ``length``.

    Args:
        length: [m]
        radius: Largest radius [m], at the shoulder.
        squash: Width in y over width in x.
        turn: Angle of the first vertex about z [rad].
    """
    angle = turn + 2.0 * math.pi * np.arange(SIDES) / SIDES
    circle = np.stack([np.cos(angle), squash * np.sin(angle)], axis=1) * radius
    profile = ((0.0, 0.75), (0.03, 1.0), (0.87, 0.62), (0.96, 0.38))  # height and radius as parts; slopes fall: convex
    rings = [np.column_stack([part * circle, np.full(SIDES, height * length)]) for height, part in profile]
    return np.concatenate([*rings, [[0.0, 0.0, length]]])


@plain_numbers
def cut_carrot(count: int, seed: int) -> tuple[Piece, ...]:
    """``count`` pieces of as many carrots as needed, no two alike; the same for the same arguments.

    Each carrot is 15 to 18 cm long and 2.4 to 3 cm thick. Its shoulder is cut off and thrown away, the rest is cut
    across, by planes up to 8 degrees from square, into slices of a kind drawn at random; those of half-moons, dice and
    batons are cut along the axis into 2, 4 and 4. Every kind has about the same number of pieces. Offcuts of less than
    ``MIN_VOLUME`` or ``MIN_WIDTH`` are thrown away.

    Raises:
        TaskError: ``count`` or ``seed`` is not an integer in range.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not MIN_PIECES <= count <= MAX_PIECES:
        raise TaskError(f"carrots: pieces must be an integer from {MIN_PIECES} to {MAX_PIECES}, got {count!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise TaskError(f"carrots: seed must be an integer of at least 0, got {seed!r}")
    rng = np.random.default_rng([seed, 0])
    pieces: list[Piece] = []
    made = dict.fromkeys(KINDS, 0)
    while len(pieces) < count:
        for piece in cut_one(rng, made):
            made[piece.kind] += 1
            pieces.append(piece)
    return tuple(pieces[i] for i in sorted(rng.permutation(len(pieces))[:count]))


def cut_one(rng: np.random.Generator, made: dict[str, int]) -> list[Piece]:
    """Pieces of one carrot. Rarer kinds of ``made`` are cut more often."""
    import trimesh

    length, radius = rng.uniform(0.15, 0.18), rng.uniform(0.012, 0.015)
    points = carrot_body(length, radius, squash=rng.uniform(0.92, 1.0), turn=rng.uniform(0.0, 2.0 * math.pi))
    rest = trimesh.convex.convex_hull(points)
    at, made, pieces = 0.04 * length, dict(made), []
    rest = _slice(rest, [0.0, 0.0, at], _tilted(rng, [0.0, 0.0, 1.0]))
    while rest is not None:
        order = sorted(KINDS, key=lambda kind: made[kind] + 3.0 * rng.random())
        kind = order[0]
        (low, high), cuts = KINDS[kind]
        at += rng.uniform(low, high)
        normal = _tilted(rng, [0.0, 0.0, 1.0])
        parts = [_slice(rest, [0.0, 0.0, at], -normal)]
        rest = _slice(rest, [0.0, 0.0, at], normal)
        first = rng.uniform(0.0, math.pi)
        for cut in cuts:
            angle = first + math.pi * cut
            along = _tilted(rng, [math.cos(angle), math.sin(angle), 0.0])
            origin = [*rng.uniform(-0.15, 0.15, 2) * radius, at]
            parts = [_slice(part, origin, side * along) for part in parts if part is not None for side in (1.0, -1.0)]
        for part in parts:
            if part is None:
                continue
            mesh, _ = convex_hull(part.vertices, kind, MAX_VERTICES)
            if mesh.volume >= MIN_VOLUME and 2.0 * mesh.size[1] >= MIN_WIDTH:
                pieces.append(Piece(kind, mesh))
                made[kind] += 1
    return pieces


def _tilted(rng: np.random.Generator, normal: list[float]) -> np.ndarray:
    """A unit vector up to ``TILT`` from ``normal``."""
    n = np.array(normal)
    other = np.cross(n, rng.standard_normal(3))
    angle = rng.uniform(0.0, TILT)
    return math.cos(angle) * n + math.sin(angle) * other / np.linalg.norm(other)


def _slice(mesh: Any, origin: Sequence[float], normal: np.ndarray) -> Any:
    """The part of a convex mesh on the side of the plane that ``normal`` points to; None where nothing is left."""
    import trimesh

    # not slice_mesh_plane, which imports shapely even where it closes no cut
    vertices, _, _ = trimesh.intersections.slice_faces_plane(mesh.vertices, mesh.faces, normal, origin)
    if len(vertices) < 4 or min(np.ptp(vertices, axis=0)) < 1e-4:
        return None
    return trimesh.convex.convex_hull(vertices)  # closes the cut: the body is convex
