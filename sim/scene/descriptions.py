"""Descriptions of bodies and shapes, which the builder keeps until the model is finished."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...kernels.core.shape_types import ShapeType
from .convex_hull import ConvexMesh

__all__ = [
    "AXES",
    "EVERY_GROUP",
    "GREAT_FRICTION",
    "IDENTITY",
    "MOST_FRICTION",
    "STATIC",
    "BodyDescription",
    "ShapeDescription",
]

AXES = ("x", "y", "z", "rx", "ry", "rz")
"""Names of the axes along and about which a body moves, in the order of a velocity."""

STATIC = -1
"""Body of a shape that does not move."""

IDENTITY = (0.0, 0.0, 0.0, 1.0)
"""The quaternion (x, y, z, w) of no rotation."""

EVERY_GROUP = 0xFFFFFFFF
"""The collision mask that lets a shape meet all groups."""

GREAT_FRICTION, MOST_FRICTION = 5.0, 100.0
"""Coefficients above which friction is warned of, and refused: a body that lands while it slides is thrown up at the
slip speed times the coefficient (docs/contact.md)."""


@dataclass
class BodyDescription:
    """A body as given: SI units, world frame; ``parts`` are mass, centre and inertia of its shapes in its frame."""

    name: str
    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    mass: float | None
    inertia: np.ndarray | None
    free: np.ndarray
    parts: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)


@dataclass
class ShapeDescription:
    """A shape as given: SI units, in the frame of its body."""

    name: str
    kind: ShapeType
    body: int
    size: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    friction: float
    stiffness: float
    damping: float
    restitution: float
    rolling_resistance: float
    torsional_resistance: float
    group: int
    mask: int
    mesh: ConvexMesh | None = None

    def collides_with(self, other: ShapeDescription) -> bool:
        """Whether the collision filters of both shapes let them touch."""
        return bool(self.group & other.mask) and bool(other.group & self.mask)
