"""The scene builder: bodies, shapes and actuators by name, checked as they come, finished into a ``Model``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..kernels.contact import AUTO
from ..kernels.dynamics import ACTUATOR_FORCE, ACTUATOR_POSITION, ACTUATOR_VELOCITY
from ..kernels.shapes import ShapeType
from .convex import ConvexMesh, convex_hull, load_points, prism_points
from .devices import check_device, check_dtype
from .errors import ModelError
from .mass import combine, quaternion_matrix, unit_mass
from .model import Model
from .state import State

__all__ = ["STATIC", "ModelBuilder"]

STATIC = -1
"""Body of a shape that does not move."""

AXES = ("x", "y", "z", "rx", "ry", "rz")
GROUPS = {"linear": AXES[:3], "angular": AXES[3:], "all": AXES}
KINDS = {"position": int(ACTUATOR_POSITION), "velocity": int(ACTUATOR_VELOCITY), "force": int(ACTUATOR_FORCE)}
IDENTITY = (0.0, 0.0, 0.0, 1.0)


@dataclass
class _Body:
    name: str
    position: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    mass: float | None
    inertia: np.ndarray | None
    free: np.ndarray
    parts: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)


@dataclass
class _Shape:
    name: str
    kind: ShapeType
    body: int
    size: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    friction: float
    stiffness: float
    damping: float
    mesh: ConvexMesh | None = None


def _vector(value: Sequence[float], length: int, what: str) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (length,):
        raise ModelError(f"{what} must have {length} numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ModelError(f"{what} must be finite, got {array.tolist()}")
    return array


def _unit_quaternion(value: Sequence[float], what: str) -> np.ndarray:
    q = _vector(value, 4, what)
    if abs(np.linalg.norm(q) - 1.0) > 1e-3:
        raise ModelError(
            f"{what} must be a unit quaternion (x, y, z, w), got {q.tolist()} of norm {np.linalg.norm(q):.4g}"
        )
    return q / np.linalg.norm(q)


def _positive(value: float, what: str, unit: str) -> float:
    if not (math.isfinite(value) and value > 0.0):
        raise ModelError(f"{what} must be positive and finite [{unit}], got {value}")
    return float(value)


def _not_negative(value: float, what: str) -> float:
    if not (math.isfinite(value) and value >= 0.0):
        raise ModelError(f"{what} must be finite and not negative, got {value}")
    return float(value)


class ModelBuilder:
    """Describes one world; ``finalize`` makes a model of as many equal worlds as wanted.

    Args:
        gravity: Acceleration of gravity [m/s^2].
    """

    def __init__(self, gravity: Sequence[float] = (0.0, 0.0, -9.81)):
        self.gravity = _vector(gravity, 3, "gravity")
        self._bodies: list[_Body] = []
        self._shapes: list[_Shape] = []
        self._actuators: list[tuple[str, int, int, int, float, float]] = []
        self._excluded: set[tuple[int, int]] = set()

    def add_body(
        self,
        *,
        position: Sequence[float] = (0.0, 0.0, 0.0),
        rotation: Sequence[float] = IDENTITY,
        velocity: Sequence[float] = (0.0, 0.0, 0.0),
        angular_velocity: Sequence[float] = (0.0, 0.0, 0.0),
        mass: float | None = None,
        inertia: Any = None,
        locked: Iterable[str] = (),
        name: str | None = None,
    ) -> int:
        """Add a body and return its number.

        Args:
            position: Origin of the body's frame [m]. The finished model moves the frame to the centre of mass.
            rotation: Unit quaternion (x, y, z, w).
            velocity: Velocity of the centre of mass [m/s].
            angular_velocity: In world axes [rad/s].
            mass: Mass [kg]; by default density times volume of its shapes. Given without ``inertia``, the inertia of
                the shapes is scaled to it.
            inertia: 3x3 inertia about the centre of mass in the body's axes [kg m^2]; by default that of the shapes.
            locked: World axes along or about which the body does not move: any of "x", "y", "z", "rx", "ry", "rz",
                "linear", "angular", "all".
            name: Name for messages; by default "body0", "body1", ...

        Raises:
            ModelError: A number is not finite, the mass or inertia is not positive, an axis is unknown.
        """
        name = name or f"body{len(self._bodies)}"
        free = np.ones(6, dtype=bool)
        for axis in [locked] if isinstance(locked, str) else locked:
            if axis not in AXES and axis not in GROUPS:
                raise ModelError(f"body {name!r}: unknown locked axis {axis!r}; use {', '.join((*AXES, *GROUPS))}")
            for one in GROUPS.get(axis, (axis,)):
                free[AXES.index(one)] = False
        if mass is not None:
            _positive(mass, f"mass of body {name!r}", "kg")
        tensor = None
        if inertia is not None:
            tensor = np.asarray(inertia, dtype=np.float64)
            if (
                tensor.shape != (3, 3)
                or not np.isfinite(tensor).all()
                or np.abs(tensor - tensor.T).max() > 1e-9 * np.abs(tensor).max()
            ):
                raise ModelError(f"inertia of body {name!r} must be a finite symmetric 3x3 matrix, got {inertia!r}")
            if np.linalg.eigvalsh(tensor).min() <= 0.0:
                raise ModelError(f"inertia of body {name!r} must be positive definite, got {tensor.tolist()}")
        speed = np.concatenate(
            [
                _vector(velocity, 3, f"velocity of {name!r}"),
                _vector(angular_velocity, 3, f"angular velocity of {name!r}"),
            ]
        )
        self._bodies.append(
            _Body(
                name, _vector(position, 3, f"position of body {name!r}"),
                _unit_quaternion(rotation, f"rotation of body {name!r}"), speed, mass, tensor, free,
            )
        )  # fmt: skip
        return len(self._bodies) - 1

    def add_ground(self, height: float = 0.0, **options: Any) -> int:
        """Add a static horizontal half-space below ``height`` [m]; options as in ``add_plane``."""
        options.setdefault("name", "ground")
        return self.add_plane(position=(0.0, 0.0, height), **options)

    def add_plane(
        self, *, position: Sequence[float] = (0, 0, 0), rotation: Sequence[float] = IDENTITY, **options: Any
    ) -> int:
        """Add a static half-space, solid where z < 0 in its frame. Options: friction, stiffness, damping, name."""
        return self._add_shape(ShapeType.PLANE, STATIC, np.zeros(3), position=position, rotation=rotation, **options)

    def add_sphere(self, body: int, radius: float, **options: Any) -> int:
        """Add a sphere of ``radius`` [m] to ``body`` (or STATIC); options as in ``add_box``."""
        size = np.array([_positive(radius, "radius of a sphere", "m"), 0.0, 0.0])
        return self._add_shape(ShapeType.SPHERE, body, size, **options)

    def add_capsule(self, body: int, radius: float, half_length: float, **options: Any) -> int:
        """Add a capsule: all points within ``radius`` [m] of the segment from -half_length to +half_length on z."""
        size = np.array(
            [
                _positive(radius, "radius of a capsule", "m"),
                _positive(half_length, "half_length of a capsule", "m"),
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
                ``friction`` = 0.5; ``stiffness`` [N/m] and ``damping`` [N s/m], by default near-rigid, derived from
                mass and step; ``name``.
        """
        size = _vector(half_extents, 3, "half_extents of a box")
        for value in size:
            _positive(float(value), "each half extent of a box", "m")
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
        scale: float = 1.0,
        *,
        max_vertices: int | None = None,
        name: str | None = None,
        **options: Any,
    ) -> int:
        """Add the *convex hull* of a mesh to ``body`` (or STATIC) and return the shape's number.

        Hollows are filled: for a concave body add convex parts one by one. Mass and inertia are those of the hull.

        Args:
            body: Number of the body, or STATIC.
            source: Path of a mesh file (OBJ, STL, PLY, GLB), or a mesh or scene of trimesh. The meshes of a scene
                make one hull together.
            scale: Metres per unit of the mesh.
            max_vertices: As in ``add_convex``.
            name: Name for messages.
            **options: As in ``add_box``.

        Raises:
            ModelError: No such file, a file that trimesh cannot read, and as in ``add_convex``.
        """
        name = name or f"mesh{len(self._shapes)}"
        points = load_points(source, _positive(scale, f"scale of shape {name!r}", "m"), name)
        mesh, centre = convex_hull(points, name, max_vertices)
        return self._add_mesh(body, mesh, centre, name=name, **options)

    def add_cylinder(self, body: int, radius: float, half_length: float, sides: int = 24, **options: Any) -> int:
        """Add a cylinder about z, as far as contact goes a regular prism; options as in ``add_box``.

        Mass and inertia are the cylinder's. The surface is a prism's, its vertices on the cylinder: lying on its side
        it rests on flat faces, narrower than the cylinder by 1 - cos(pi / sides) (0.9 percent with 24), and rolls from
        face to face over small bumps. For a smooth roller use a capsule.

        Args:
            body: Number of the body, or STATIC.
            radius: Radius [m].
            half_length: Half of the cylinder's length [m].
            sides: Number of side faces, 3 to 32.
            **options: As in ``add_box``.
        """
        r = _positive(radius, "radius of a cylinder", "m")
        half = _positive(half_length, "half_length of a cylinder", "m")
        if not 3 <= sides <= 32:
            raise ModelError(f"sides of a cylinder must be 3 to 32, got {sides}")
        options.setdefault("name", f"cylinder{len(self._shapes)}")
        mesh, centre = convex_hull(prism_points(r, half, sides), options["name"])
        volume = 2.0 * math.pi * r * r * half
        across = volume * (r * r / 4.0 + half * half / 3.0)
        mesh = replace(mesh, volume=volume, inertia=np.diag([across, across, volume * r * r / 2.0]))
        return self._add_mesh(body, mesh, centre, **options)

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
        turn = quaternion_matrix(_unit_quaternion(rotation, f"rotation of shape {name!r}"))
        at = _vector(position, 3, f"position of shape {name!r}") + turn @ centre
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
        name: str | None = None,
        mesh: ConvexMesh | None = None,
    ) -> int:
        number = len(self._shapes)
        name = name or f"{kind.name.lower()}{number}"
        if body != STATIC and not 0 <= body < len(self._bodies):
            raise ModelError(
                f"shape {name!r}: there is no body {body}; add_body returns the number to use, or use STATIC"
            )
        if any(s.name == name for s in self._shapes):
            raise ModelError(f"there is a shape called {name!r} already; names must differ")
        shape = _Shape(
            name, kind, body, size, _vector(position, 3, f"position of shape {name!r}"),
            _unit_quaternion(rotation, f"rotation of shape {name!r}"),
            _not_negative(friction, f"friction of shape {name!r}"),
            AUTO if stiffness is None else _positive(stiffness, f"stiffness of shape {name!r}", "N/m"),
            AUTO if damping is None else _not_negative(damping, f"damping of shape {name!r}"),
            mesh,
        )  # fmt: skip
        self._shapes.append(shape)
        if body != STATIC:
            _positive(density, f"density of shape {name!r}", "kg/m^3")
            volume, inertia = (mesh.volume, mesh.inertia) if mesh else unit_mass(kind, size)
            r = quaternion_matrix(shape.rotation)
            self._bodies[body].parts.append((density * volume, shape.position, density * r @ inertia @ r.T))
        return number

    def add_actuator(
        self, body: int, axis: str, kind: str = "position", *, stiffness: float = 0.0, damping: float = 0.0,
        name: str | None = None,
    ) -> int:  # fmt: skip
        """Add an actuator along or about a world axis and return its number, its column in the controls.

        The force is implicit in the velocity at the end of the step, so any stiffness is stable:

        * "position": stiffness (target - x) - damping v; the control is the target [m or rad]. About an axis, x is
          the component of the rotation vector, within (-pi, pi).
        * "velocity": damping (target - v); the control is the target [m/s or rad/s].
        * "force": the control is the force [N or N m].

        Args:
            body: Number of the body.
            axis: "x", "y", "z", "rx", "ry" or "rz".
            kind: "position", "velocity" or "force".
            stiffness: Of a position actuator [N/m or N m/rad].
            damping: Of a position or velocity actuator [N s/m or N m s/rad].
            name: By default the body's name and the axis.
        """
        if not 0 <= body < len(self._bodies):
            raise ModelError(f"actuator: there is no body {body}; add_body returns the number to use")
        if axis not in AXES:
            raise ModelError(f"actuator: unknown axis {axis!r}; use {', '.join(AXES)}")
        if kind not in KINDS:
            raise ModelError(f"actuator: unknown kind {kind!r}; use {', '.join(KINDS)}")
        name = name or f"{self._bodies[body].name}.{axis}"
        if not self._bodies[body].free[AXES.index(axis)]:
            raise ModelError(f"actuator {name!r} drives an axis that is locked; unlock {axis!r} or drop the actuator")
        needed = {"position": stiffness, "velocity": damping}.get(kind, 1.0)
        if needed <= 0.0:
            gain = "stiffness" if kind == "position" else "damping"
            raise ModelError(f"actuator {name!r}: a {kind} actuator needs a positive {gain}")
        gains = [_not_negative(v, f"gain of actuator {name!r}") for v in (stiffness, damping)]
        self._actuators.append((name, body, AXES.index(axis), KINDS[kind], gains[0], gains[1]))
        return len(self._actuators) - 1

    def exclude(self, shape_a: int, shape_b: int) -> None:
        """Let two shapes pass through each other."""
        for shape in (shape_a, shape_b):
            if not 0 <= shape < len(self._shapes):
                raise ModelError(f"there is no shape {shape} to exclude")
        self._excluded.add((min(shape_a, shape_b), max(shape_a, shape_b)))

    def finalize(self, worlds: int = 1, *, device: str = "cpu", dtype: str | torch.dtype = "float32") -> Model:
        """The finished model.

        Args:
            worlds: Number of equal worlds; their parameters may then be changed row by row. A model of one world also
                serves rollouts of any number of worlds.
            device: "cpu", "cuda:0", ...
            dtype: "float32" or "float64".

        Raises:
            ModelError: There is no body, or a body has neither mass nor shapes.
            DeviceError: There is no such device.
        """
        if worlds < 1:
            raise ModelError(f"worlds must be at least 1, got {worlds}")
        if not self._bodies:
            raise ModelError("the scene has no body; add at least one with add_body")
        device, real = check_device(device), check_dtype(dtype)
        masses, inertias, coms = zip(*(self._mass(b) for b in self._bodies), strict=True)
        q = []
        for body, com in zip(self._bodies, coms, strict=True):
            q.append(np.concatenate([body.position + quaternion_matrix(body.rotation) @ com, body.rotation]))
        shape_pose = [
            np.concatenate([s.position - (coms[s.body] if s.body >= 0 else 0.0), s.rotation]) for s in self._shapes
        ]

        def rows(values: Any, *tail: int) -> torch.Tensor:
            row = torch.as_tensor(np.asarray(values, dtype=np.float64).reshape(tail), dtype=real, device=device)
            return row.expand(worlds, *tail).clone()

        n, s, a = len(self._bodies), len(self._shapes), len(self._actuators)
        meshes: dict[Any, ConvexMesh] = {x.mesh.key(): x.mesh for x in self._shapes if x.mesh}
        number = {key: i for i, key in enumerate(meshes)}
        return Model(
            device=device, dtype=real, worlds=worlds,
            body_names=tuple(b.name for b in self._bodies), shape_names=tuple(x.name for x in self._shapes),
            actuator_names=tuple(x[0] for x in self._actuators),
            initial_state=State(rows(q, n, 7), rows([b.velocity for b in self._bodies], n, 6)),
            shape_type=np.array([x.kind for x in self._shapes], dtype=np.int32),
            shape_body=np.array([x.body for x in self._shapes], dtype=np.int32),
            shape_pose=np.array(shape_pose, dtype=np.float64).reshape(s, 7),
            pairs=self._pairs(),
            body_free=np.array([b.free for b in self._bodies]), body_com=np.array(coms),
            actuator_body=np.array([x[1] for x in self._actuators], dtype=np.int32),
            actuator_axis=np.array([x[2] for x in self._actuators], dtype=np.int32),
            actuator_kind=np.array([x[3] for x in self._actuators], dtype=np.int32),
            gravity=rows(self.gravity, 3), body_mass=rows(masses, n), body_inertia=rows(inertias, n, 3, 3),
            shape_size=rows([x.size for x in self._shapes], s, 3),
            shape_friction=rows([x.friction for x in self._shapes], s),
            shape_stiffness=rows([x.stiffness for x in self._shapes], s),
            shape_damping=rows([x.damping for x in self._shapes], s),
            actuator_stiffness=rows([x[4] for x in self._actuators], a),
            actuator_damping=rows([x[5] for x in self._actuators], a),
            shape_mesh=np.array([number[x.mesh.key()] if x.mesh else -1 for x in self._shapes], dtype=np.int32),
            meshes=tuple(meshes.values()),
        )  # fmt: skip

    def _mass(self, body: _Body) -> tuple[float, np.ndarray, np.ndarray]:
        if not body.parts:
            if body.mass is None:
                raise ModelError(
                    f"body {body.name!r} has neither a mass nor shapes to take it from; give mass=, or add a shape"
                )
            if body.inertia is None:
                if body.free[3:].any():
                    raise ModelError(
                        f"body {body.name!r} has a mass but no inertia and no shape; give inertia= or lock 'angular'"
                    )
                return body.mass, np.eye(3) * body.mass, np.zeros(3)
            return body.mass, body.inertia, np.zeros(3)
        mass, com, inertia = combine(body.parts)
        if body.mass is not None:
            inertia, mass = inertia * (body.mass / mass), body.mass
        return mass, body.inertia if body.inertia is not None else inertia, com

    def _pairs(self) -> np.ndarray:
        """Pairs that can move against each other, both not excluded, the lower shape type first."""
        pairs = []
        moves = [s.body != STATIC and bool(self._bodies[s.body].free.any()) for s in self._shapes]
        for i, first in enumerate(self._shapes):
            for j in range(i + 1, len(self._shapes)):
                second = self._shapes[j]
                if first.body == second.body or not (moves[i] or moves[j]) or (i, j) in self._excluded:
                    continue
                pairs.append((i, j) if first.kind <= second.kind else (j, i))
        return np.array(pairs, dtype=np.int32).reshape(-1, 2)
