"""Methods of the scene builder that add shapes to bodies."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...kernels.contact.hard import AUTO
from ...kernels.core.shape_types import ShapeType
from ...plain import plain
from ..errors import ModelError, SimulationWarning
from ..validate import bit_mask, fraction, index, not_negative, positive, text, unit_quaternion, vector
from .convex_hull import MAX_VERTICES, ConvexMesh, convex_hull, prism_points
from .descriptions import (
    EVERY_GROUP,
    GREAT_FRICTION,
    IDENTITY,
    MOST_FRICTION,
    STATIC,
    BodyDescription,
    ShapeDescription,
)
from .mass import bounding_radius, quaternion_matrix, unit_mass
from .meshes import check_closed, check_filled, check_size, check_wound, convex_parts, load_mesh

if TYPE_CHECKING:
    import trimesh

__all__ = ["ShapeBuilder"]


class ShapeBuilder:
    """Adds shapes to bodies by number; ``ModelBuilder`` adds the bodies."""

    def __init__(self) -> None:
        self._bodies: list[BodyDescription] = []
        self._shapes: list[ShapeDescription] = []
        self._excluded: set[tuple[int, int]] = set()

    def add_ground(self, height: float = 0.0, **options: Any) -> int:
        """Add a static horizontal half-space below ``height`` [m]; options as in ``add_plane``."""
        options.setdefault("name", "ground")
        return self.add_plane(position=(0.0, 0.0, height), **options)

    def add_plane(
        self, *, position: Sequence[float] = (0, 0, 0), rotation: Sequence[float] = IDENTITY, **options: Any
    ) -> int:
        """Add a static half-space, solid where z < 0 in its frame. Options as in ``add_box``, less density."""
        return self._add_shape(ShapeType.PLANE, STATIC, np.zeros(3), position=position, rotation=rotation, **options)

    def add_sphere(self, body: int, radius: float, **options: Any) -> int:
        """Add a sphere of ``radius`` [m] to ``body`` (or STATIC); options as in ``add_box``."""
        size = np.array([positive(radius, "radius of a sphere", "m"), 0.0, 0.0])
        return self._add_shape(ShapeType.SPHERE, body, size, **options)

    def add_capsule(self, body: int, radius: float, half_length: float, **options: Any) -> int:
        """Add a capsule: all points within ``radius`` [m] of the segment from -half_length to +half_length on z."""
        size = np.array(
            [
                positive(radius, "radius of a capsule", "m"),
                positive(half_length, "half_length of a capsule", "m"),
                0.0,
            ]
        )
        return self._add_shape(ShapeType.CAPSULE, body, size, **options)

    def add_box(self, body: int, half_extents: Sequence[float], **options: Any) -> int:
        """Add a box to ``body`` (or STATIC) and return the shape's number.

        Args:
            body: Number of the body, or STATIC.
            half_extents: Half of the box's edges along x, y, z [m].
            **options: ``position`` [m] and ``rotation`` (x, y, z, w) in the body's frame; ``density`` = 1000 [kg/m^3];
                ``friction`` = 0.5, at most 100; ``stiffness`` [N/m] and ``damping`` [N s/m], by default near-rigid,
                derived from mass and step; ``restitution`` = 0, speed after over speed before an impact, 0 to 1, of a
                pair the harmonic mean of its two, so both must have some; ``rolling_resistance`` = 0 and
                ``torsional_resistance`` = 0 [m], the arms of the moments about the tangent and the normal that a
                normal force can carry, of a pair the sum of its two; ``collision_group`` = 1 and ``collision_mask`` =
                0xFFFFFFFF, bits of 32: two shapes touch if each one's group has a bit in common with the other's mask;
                ``name``.
        """
        size = vector(half_extents, 3, "half_extents of a box")
        for value in size:
            positive(float(value), "each half extent of a box", "m")
        return self._add_shape(ShapeType.BOX, body, size, **options)

    def add_convex(
        self, body: int, vertices: Any, *, max_vertices: int | None = None, name: str | None = None, **options: Any
    ) -> int:
        """Add the convex hull of points to ``body`` (or STATIC) and return the shape's number.

        Args:
            body: Number of the body, or STATIC.
            vertices: Points [m] in the shape's frame, [n, 3]; those inside the hull are dropped.
            max_vertices: Simplify a hull of more vertices to this many: those that are farthest from each other. The
                contact kernels take 64.
            name: Name for messages.
            **options: As in ``add_box``.

        Raises:
            ModelError: Vertices that are not finite, a hull without volume or with too many vertices.
        """
        name = name or f"convex{len(self._shapes)}"
        mesh, centre = convex_hull(vertices, name, max_vertices)
        return self._add_mesh(body, mesh, centre, name=name, **options)

    def add_mesh(
        self,
        body: int,
        source: Any,
        scale: float | None = None,
        *,
        allow_open: bool = False,
        max_vertices: int | None = None,
        name: str | None = None,
        **options: Any,
    ) -> int:
        """Add the *convex hull* of a closed mesh to ``body`` (or STATIC) and return the shape's number.

        Hollows are filled: for a concave body use ``add_decomposed_mesh``, or add convex parts one by one. Mass and
        inertia are those of the hull.

        Args:
            body: Number of the body, or STATIC.
            source: Path of a mesh file (OBJ, STL, PLY, GLB), or a mesh or scene of trimesh. The meshes of a scene
                make one hull together.
            scale: Metres per unit of the mesh; by default 1, with a warning if the mesh is then longer than 10 m.
            allow_open: Also take the hull of a mesh that has holes. Such a mesh has no volume of its own, and is mostly
                faulty.
            max_vertices: As in ``add_convex``.
            name: Name for messages.
            **options: As in ``add_box``.

        Raises:
            ModelError: No such file, a file that trimesh cannot read, a mesh that is open or of several bodies that
                touch, and as in ``add_convex``.

        Warns:
            SimulationWarning: The hull has over 5 % more volume than the mesh; the mesh is longer than 10 m and no
                scale was given.
        """
        name = name or f"mesh{len(self._shapes)}"
        surface = self._surface(source, scale, name)
        mesh, centre = convex_hull(surface.vertices, name, max_vertices)
        if not allow_open:
            check_closed(surface, name, "pass allow_open=True to take the hull of it as it is")
        check_filled(surface, name, mesh.volume)
        return self._add_mesh(body, mesh, centre, name=name, **options)

    def add_decomposed_mesh(
        self,
        body: int,
        source: Any,
        scale: float | None = None,
        *,
        threshold: float = 0.05,
        max_parts: int | None = None,
        max_vertices: int = MAX_VERTICES,
        seed: int = 0,
        name: str | None = None,
        **options: Any,
    ) -> list[int]:
        """Add a closed *concave* mesh to ``body`` (or STATIC) as convex parts, and return the numbers of the shapes.

        The parts come from CoACD (Wei et al., "Approximate Convex Decomposition for 3D Meshes with Collision-Aware
        Concavity and Tree Search", SIGGRAPH 2022), of the optional package ``coacd``; it takes seconds. Mass, centre
        and inertia are those of the parts, which fill hollows shallower than the threshold and may overlap a little.

        Args:
            body: Number of the body, or STATIC.
            source: As in ``add_mesh``.
            scale: As in ``add_mesh``.
            threshold: Concavity that a part may keep [1], relative to the mesh scaled to a cube of half extents 1;
                0.01 to 1. Smaller: more parts.
            max_parts: Merge parts down to this many, whatever their concavity.
            max_vertices: Vertices that a part may have, 4 to 64.
            seed: Of CoACD's search.
            name: Part k is called ``name.k``.
            **options: As in ``add_box``; for all parts.

        Raises:
            ModelError: ``coacd`` is not installed, an open mesh, and as in ``add_mesh``.
        """
        name = name or f"mesh{len(self._shapes)}"
        if not 0.01 <= threshold <= 1.0:
            raise ModelError(f"threshold of shape {name!r} must be 0.01 to 1, got {threshold}")
        if max_parts is not None and max_parts < 1:
            raise ModelError(f"max_parts of shape {name!r} must be at least 1, got {max_parts}")
        if not 4 <= max_vertices <= MAX_VERTICES:
            raise ModelError(f"shape {name!r}: max_vertices must be 4 to {MAX_VERTICES}, got {max_vertices}")
        surface = self._surface(source, scale, name)
        check_closed(surface, name, "add its convex parts one by one with add_convex")
        check_wound(surface, name)
        parts = convex_parts(
            surface, name, threshold=threshold, max_parts=max_parts, max_vertices=max_vertices, seed=seed
        )
        hulls = [convex_hull(points, f"{name}.{k}", max_vertices) for k, points in enumerate(parts)]
        return [
            self._add_mesh(body, mesh, centre, name=f"{name}.{k}", **options) for k, (mesh, centre) in enumerate(hulls)
        ]

    def add_cylinder(self, body: int, radius: float, half_length: float, sides: int = 24, **options: Any) -> int:
        """Add a cylinder about z; options as in ``add_box``.

        Mass, inertia and contact with planes are the cylinder's: it rolls smoothly. To all other shapes it is a
        regular prism whose vertices are on the cylinder, narrower than it by 1 - cos(pi / sides) (0.9 percent with
        24); standing on a plane, it rests on the corners of that prism.

        Args:
            body: Number of the body, or STATIC.
            radius: Radius [m].
            half_length: Half of the cylinder's length [m].
            sides: Number of side faces of the prism, 3 to 32.
            **options: As in ``add_box``.
        """
        r = positive(radius, "radius of a cylinder", "m")
        half = positive(half_length, "half_length of a cylinder", "m")
        sides = plain(sides)
        if isinstance(sides, bool) or not isinstance(sides, int) or not 3 <= sides <= 32:
            raise ModelError(f"sides of a cylinder must be an integer from 3 to 32, got {sides!r}")
        options.setdefault("name", f"cylinder{len(self._shapes)}")
        mesh, centre = convex_hull(prism_points(r, half, sides), options["name"])
        volume = 2.0 * math.pi * r * r * half
        across = volume * (r * r / 4.0 + half * half / 3.0)
        mesh = replace(mesh, volume=volume, inertia=np.diag([across, across, volume * r * r / 2.0]), rim=r)
        return self._add_mesh(body, mesh, centre, **options)

    def _surface(self, source: Any, scale: float | None, name: str) -> trimesh.Trimesh:
        surface = load_mesh(source, positive(1.0 if scale is None else scale, f"scale of shape {name!r}", "m"), name)
        if scale is None:
            check_size(surface, name)
        return surface

    def _add_mesh(
        self,
        body: int,
        mesh: ConvexMesh,
        centre: np.ndarray,
        *,
        position: Sequence[float] = (0.0, 0.0, 0.0),
        rotation: Sequence[float] = IDENTITY,
        name: str,
        **options: Any,
    ) -> int:
        turn = quaternion_matrix(unit_quaternion(rotation, f"rotation of shape {name!r}"))
        at = vector(position, 3, f"position of shape {name!r}") + turn @ centre
        return self._add_shape(
            ShapeType.CONVEX, body, mesh.size, position=at, rotation=rotation, name=name, mesh=mesh, **options
        )

    def _add_shape(
        self,
        kind: ShapeType,
        body: int,
        size: np.ndarray,
        *,
        position: Sequence[float] = (0.0, 0.0, 0.0),
        rotation: Sequence[float] = IDENTITY,
        density: float = 1000.0,
        friction: float = 0.5,
        stiffness: float | None = None,
        damping: float | None = None,
        restitution: float = 0.0,
        rolling_resistance: float = 0.0,
        torsional_resistance: float = 0.0,
        collision_group: int = 1,
        collision_mask: int = EVERY_GROUP,
        name: str | None = None,
        mesh: ConvexMesh | None = None,
    ) -> int:
        number = len(self._shapes)
        name = text(name or f"{kind.name.lower()}{number}", "name of a shape")
        body = index(body, f"body of shape {name!r}")
        if body != STATIC and not 0 <= body < len(self._bodies):
            raise ModelError(
                f"shape {name!r}: there is no body {body}; add_body returns the number to use, or use STATIC"
            )
        if any(s.name == name for s in self._shapes):
            raise ModelError(f"there is a shape called {name!r} already; names must differ")
        shape = ShapeDescription(
            name, kind, body, size, vector(position, 3, f"position of shape {name!r}"),
            unit_quaternion(rotation, f"rotation of shape {name!r}"),
            not_negative(friction, f"friction of shape {name!r}"),
            AUTO if stiffness is None else positive(stiffness, f"stiffness of shape {name!r}", "N/m"),
            AUTO if damping is None else not_negative(damping, f"damping of shape {name!r}"),
            fraction(restitution, f"restitution of shape {name!r}"),
            not_negative(rolling_resistance, f"rolling_resistance of shape {name!r}"),
            not_negative(torsional_resistance, f"torsional_resistance of shape {name!r}"),
            bit_mask(collision_group, f"collision_group of shape {name!r}"),
            bit_mask(collision_mask, f"collision_mask of shape {name!r}"), mesh,
        )  # fmt: skip
        if body != STATIC:
            positive(density, f"density of shape {name!r}", "kg/m^3")
        self._check_coefficients(shape)
        self._shapes.append(shape)
        if body != STATIC:
            volume, inertia = (mesh.volume, mesh.inertia) if mesh else unit_mass(kind, size)
            r = quaternion_matrix(shape.rotation)
            self._bodies[body].parts.append((density * volume, shape.position, density * r @ inertia @ r.T))
        return number

    def exclude(self, shape_a: int, shape_b: int) -> None:
        """Let two shapes pass through each other, whatever their collision groups."""
        shape_a, shape_b = (index(shape, "a shape to exclude") for shape in (shape_a, shape_b))
        for shape in (shape_a, shape_b):
            if not 0 <= shape < len(self._shapes):
                raise ModelError(f"there is no shape {shape} to exclude")
        if shape_a == shape_b:
            raise ModelError(
                f"shape {self._shapes[shape_a].name!r} never meets itself; exclude takes two different shapes"
            )
        self._excluded.add((min(shape_a, shape_b), max(shape_a, shape_b)))

    @staticmethod
    def _check_coefficients(shape: ShapeDescription) -> None:
        """Check friction against known materials, and resistance, a length, against the size of the shape."""
        great = (
            f"friction of shape {shape.name!r} is {shape.friction:.4g}; no known material exceeds about 4, and a body "
            "that lands while it slides is thrown up at the slip speed times it. To hold a body use 1 to 2, or lock "
            "its axes"
        )
        if shape.friction > MOST_FRICTION:
            raise ModelError(f"{great}. More than {MOST_FRICTION:g} is refused")
        if shape.friction > GREAT_FRICTION:
            warnings.warn(great, SimulationWarning, stacklevel=4)
        radius = bounding_radius(shape.kind, shape.size)
        for what in ("rolling", "torsional"):
            arm = getattr(shape, f"{what}_resistance")
            if shape.kind != ShapeType.PLANE and arm > radius:
                warnings.warn(
                    f"{what}_resistance of shape {shape.name!r} is {arm:.4g} m, an arm longer than the shape itself "
                    f"({radius:.4g} m): it is a length [m]. Multiply a coefficient without unit by the radius",
                    SimulationWarning,
                    stacklevel=4,
                )

    def _check_restitution(self, pairs: np.ndarray) -> None:
        """Warn of shapes whose restitution has no effect."""
        bounces = np.array([s.restitution > 0.0 for s in self._shapes], dtype=bool)
        met = pairs[bounces[pairs].all(axis=1)].ravel()
        for i in np.flatnonzero(bounces):
            if i in pairs and i not in met:
                warnings.warn(
                    f"shape {self._shapes[i].name!r} has restitution, but no shape that it may meet has any, so it "
                    "does not bounce: a pair has the harmonic mean of its two. Give the other shapes restitution too",
                    SimulationWarning,
                    stacklevel=3,
                )

    def _pairs(self) -> np.ndarray:
        """Pairs that may touch: they can move against each other, and filters allow it. The lower shape type first."""
        pairs = []
        moves = [s.body != STATIC and bool(self._bodies[s.body].free.any()) for s in self._shapes]
        for i, first in enumerate(self._shapes):
            for j in range(i + 1, len(self._shapes)):
                second = self._shapes[j]
                if first.body == second.body or not (moves[i] or moves[j]) or (i, j) in self._excluded:
                    continue
                if not first.collides_with(second):
                    continue
                pairs.append((i, j) if first.kind <= second.kind else (j, i))
        return np.array(pairs, dtype=np.int32).reshape(-1, 2)
