"""The pairs of shapes that can touch: the function that lists the contacts of each, and the most that it can list.

The drivers of detection (``driver.py``, ``hull_driver.py``) and the contact capacity of a simulator
(``sim/stepping/capacity.py``) use the same table. The counts follow from the functions:

* A sphere's core is a point: one contact, at its closest point.
* A plane: one contact for each vertex of the other core; for a cylinder, on each of two rims RIM_POINTS points that
  follow the lowest one and as many fixed ones, all together only within their blend.
* Two capsules: the closest points, and four ends against the other axis.
* A capsule and a box or hull: the closest points, and two points where the axis runs along a face or an edge.
* Two boxes: a polygon of POLYGON_CORNERS, or one contact of edges or of closest points.
* Hulls: a polygon and a crossing of edges at once, within their blend.

Detection compares its counts with the table: a pair that exceeds it is reported as a fault (``BROKEN``).
``tests/kernels/collision/test_pair_table.py`` compares the table with random poses of all pairs.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.shape_types import ShapeType
from .features import POLYGON_CORNERS, RIM_POINTS

__all__ = [
    "BROKEN", "PAIRS", "ROUND_ON_PLANE", "PairKind", "functions", "most", "most_contacts", "patch_of_fixed_points",
    "plain_contacts", "polyhedral_contacts",
]  # fmt: skip

BROKEN = wp.constant(1 << 30)
"""Added to the number of contacts found in a world of which a pair listed more than the table says it can."""

VERTICES = 0
"""Count of a pair that has as many contacts as the hull has vertices."""


@dataclass(frozen=True)
class PairKind:
    """Function and most contacts of a pair of shapes."""

    collide: str
    """``module.function`` in ``pairs/``."""
    most: int
    """Contacts that a pair can have, VERTICES for one a vertex of the hull."""


PAIRS: dict[tuple[ShapeType, ShapeType], PairKind] = {
    (ShapeType.PLANE, ShapeType.SPHERE): PairKind("plane.plane_sphere", 1),
    (ShapeType.PLANE, ShapeType.CAPSULE): PairKind("plane.plane_capsule", 2),
    (ShapeType.PLANE, ShapeType.BOX): PairKind("plane.plane_box", 8),
    (ShapeType.PLANE, ShapeType.CONVEX): PairKind("hull_point.plane_convex", VERTICES),
    (ShapeType.SPHERE, ShapeType.SPHERE): PairKind("sphere.sphere_sphere", 1),
    (ShapeType.SPHERE, ShapeType.CAPSULE): PairKind("sphere.sphere_capsule", 1),
    (ShapeType.SPHERE, ShapeType.BOX): PairKind("sphere.sphere_box", 1),
    (ShapeType.SPHERE, ShapeType.CONVEX): PairKind("hull_point.sphere_convex", 1),
    (ShapeType.CAPSULE, ShapeType.CAPSULE): PairKind("capsule_capsule.capsule_capsule", 1 + 4),
    (ShapeType.CAPSULE, ShapeType.BOX): PairKind("capsule_box.capsule_box", 1 + 2),
    (ShapeType.CAPSULE, ShapeType.CONVEX): PairKind("hull_capsule.capsule_convex", 1 + 2),
    (ShapeType.BOX, ShapeType.BOX): PairKind("box_box.box_box", POLYGON_CORNERS),
    (ShapeType.BOX, ShapeType.CONVEX): PairKind("hull_hull.convex_convex", POLYGON_CORNERS + 1),
    (ShapeType.CONVEX, ShapeType.CONVEX): PairKind("hull_hull.convex_convex", POLYGON_CORNERS + 1),
}
"""By the types of the two shapes, the lower one first."""

ROUND_ON_PLANE = PairKind("plane_cylinder.plane_cylinder", 4 * RIM_POINTS)
"""Entry of a plane and a hull that has rims (``ConvexMesh.rim``), in place of the table's."""


def most_contacts(first: int, second: int, vertices: int = 0, rim: bool = False) -> int:
    """Contacts that a pair of shapes can have at most.

    Args:
        first: ``ShapeType`` of one shape.
        second: That of the other.
        vertices: Of the hull, where a plane meets one.
        rim: Whether that hull has rims.
    """
    low, high = sorted((ShapeType(first), ShapeType(second)))
    if rim and (low, high) == (ShapeType.PLANE, ShapeType.CONVEX):
        return ROUND_ON_PLANE.most
    return PAIRS[low, high].most or vertices


def patch_of_fixed_points(first: int, second: int, rim: bool = False) -> bool:
    """Whether the contacts of a pair of shapes are single ones, or fixed points of one shape on a plane.

    ``rim`` says whether a hull of the pair has rims.
    """
    low, high = sorted((ShapeType(first), ShapeType(second)))
    if low == ShapeType.PLANE:
        return not rim
    return low == ShapeType.SPHERE or (low, high) == (ShapeType.CAPSULE, ShapeType.CAPSULE)


def plain_contacts(first: int, second: int, rim: bool = False) -> bool:
    """Whether all contacts of a pair are POINT, LINE or FLAT with fixed shares and no blend; ``rim`` as above."""
    low, high = sorted((ShapeType(first), ShapeType(second)))
    return patch_of_fixed_points(first, second, rim) and (low, high) != (ShapeType.CAPSULE, ShapeType.CAPSULE)


def polyhedral_contacts(first: int, second: int, rim: bool = False) -> bool:
    """Whether all contacts of a pair are of kinds other than RIM, with shares that are fixed or a polygon's.

    And their patches polygons, or fixed points on a plane. ``rim`` as above.
    """
    low, _ = sorted((ShapeType(first), ShapeType(second)))
    return not rim if low == ShapeType.PLANE else low != ShapeType.CAPSULE


def functions(dtype: Any, *, hulls: bool) -> SimpleNamespace:
    """The table's functions for one precision, by the names that follow the dot: of pairs with a hull, or without."""
    found = {}
    kinds = {pair: kind for pair, kind in PAIRS.items() if (ShapeType.CONVEX in pair) == hulls}
    for kind in (*kinds.values(), *([ROUND_ON_PLANE] if hulls else [])):
        module, function = kind.collide.split(".")
        found[function] = getattr(importlib.import_module(f".pairs.{module}", __package__).make(dtype), function)
    return SimpleNamespace(**found)


def most() -> SimpleNamespace:
    """The table's counts by the same names, for ``wp.static`` in kernels."""
    return SimpleNamespace(**{kind.collide.split(".")[1]: kind.most for kind in (*PAIRS.values(), ROUND_ON_PLANE)})
