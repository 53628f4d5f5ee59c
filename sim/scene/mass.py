"""Volume and inertia at unit density of the primitive shapes, and the mass of a body as the sum of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...kernels.core.shape_types import ShapeType

__all__ = ["TRIANGLE", "bounding_radius", "combine", "quaternion_matrix", "triangle_fault", "unit_mass"]

TRIANGLE = 0.01
"""Part of the largest principal moment by which it may exceed the sum of the others, since inputs are rounded."""


def triangle_fault(moments: Sequence[float]) -> str | None:
    """Text on the fault of principal moments of inertia [kg m^2] (ascending) that no rigid body has, or None.

    Each is an integral of two squared coordinates, so none can be more than the sum of the other two.
    """
    low, middle, high = (float(x) for x in moments)
    if high <= low + middle + TRIANGLE * high:
        return None
    return (
        f"cannot be that of a rigid body: of its principal moments {low:.4g}, {middle:.4g} and {high:.4g} kg m^2 the "
        f"largest is more than the sum of the others, {low + middle:.4g}. Check that all are in kg m^2 and about the "
        "centre of mass, and the order of the axes; or leave the inertia out, to have that of the shapes"
    )


def bounding_radius(kind: ShapeType, size: np.ndarray) -> float:
    """Greatest distance of a point of a shape from its origin [m]; 0 for a plane."""
    if kind == ShapeType.BOX:
        return float(np.linalg.norm(size))
    return float(size[0] + size[1]) if kind == ShapeType.CAPSULE else float(size[0])


def unit_mass(kind: ShapeType, size: np.ndarray) -> tuple[float, np.ndarray]:
    """Volume [m^3] and inertia about the centre at density 1 [m^5] of a shape in its own frame.

    Raises:
        ValueError: The shape has no finite volume.
    """
    if kind == ShapeType.SPHERE:
        r = size[0]
        volume = 4.0 / 3.0 * math.pi * r**3
        return volume, np.eye(3) * (0.4 * volume * r * r)
    if kind == ShapeType.BOX:
        volume = 8.0 * float(np.prod(size))
        x, y, z = size**2
        return volume, np.diag([y + z, x + z, x + y]) * (volume / 3.0)
    if kind == ShapeType.CAPSULE:
        r, half = size[0], size[1]
        cylinder, sphere = 2.0 * math.pi * r * r * half, 4.0 / 3.0 * math.pi * r**3
        axial = cylinder * r * r / 2.0 + sphere * 0.4 * r * r
        # each hemisphere's centre of mass is 3/8 r beyond the end of the axis
        across = cylinder * (r * r / 4.0 + half * half / 3.0)
        across += sphere * (0.4 * r * r + half * half + 0.75 * half * r)
        return cylinder + sphere, np.diag([across, across, axial])
    raise ValueError(f"a {kind.name.lower()} has no finite volume")


def quaternion_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrix of a unit quaternion (x, y, z, w)."""
    x, y, z, w = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def combine(parts: list[tuple[float, np.ndarray, np.ndarray]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass [kg], centre [m] and inertia about it [kg m^2] of parts (mass, centre, inertia about the part's centre)."""
    mass = sum(m for m, _, _ in parts)
    centre = sum((m * c for m, c, _ in parts), np.zeros(3)) / mass
    inertia = np.zeros((3, 3))
    for m, c, own in parts:
        d = c - centre
        inertia += own + m * (d @ d * np.eye(3) - np.outer(d, d))
    return mass, centre, inertia
