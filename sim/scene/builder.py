"""The scene builder: takes and checks bodies, shapes and actuators, and makes a ``Model`` of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np
import torch

from ...kernels.bodies.motion import ACTUATOR_FORCE, ACTUATOR_POSITION, ACTUATOR_VELOCITY
from ..devices import check_device, check_dtype
from ..errors import ModelError, SimulationWarning
from ..state import State
from ..validate import index, not_negative, number, positive, text, unit_quaternion, vector
from .convex_hull import ConvexMesh
from .descriptions import AXES, IDENTITY, STATIC, BodyDescription
from .mass import bounding_radius, combine, quaternion_matrix, triangle_fault
from .model import Model
from .shape_builder import ShapeBuilder

__all__ = ["KINDS", "STATIC", "ModelBuilder"]

GYRATION = 10.0
"""Factor by which the radius of gyration of a given inertia may exceed the extent of the body's shapes without a
warning. It may be smaller by the square of the factor, since the mass may lie near the centre."""

GROUPS = {"linear": AXES[:3], "angular": AXES[3:], "all": AXES}
KINDS = {"position": int(ACTUATOR_POSITION), "velocity": int(ACTUATOR_VELOCITY), "force": int(ACTUATOR_FORCE)}


class ModelBuilder(ShapeBuilder):
    """Builder of the scene of one world; ``finalize`` makes a model of any number of equal worlds.

    Args:
        gravity: Acceleration of gravity [m/s^2].
    """

    def __init__(self, gravity: Sequence[float] = (0.0, 0.0, -9.81)):
        super().__init__()
        self.gravity = vector(gravity, 3, "gravity")
        self._actuators: list[tuple[str, int, int, int, float, float]] = []

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
            ModelError: A number is not finite, the mass or inertia is not positive, a principal moment of the inertia
                is more than the sum of the others, an axis is unknown.

        Warns:
            SimulationWarning: A velocity along or about a locked axis, which is dropped.
        """
        names = {body.name for body in self._bodies}
        name = text(name or next(x for k in count(len(names)) if (x := f"body{k}") not in names), "name of a body")
        if name in names:
            raise ModelError(f"there is a body called {name!r} already; names must differ")
        free = np.ones(6, dtype=bool)
        if not isinstance(locked, Iterable):
            axes = ", ".join((*AXES, *GROUPS))
            raise ModelError(f"locked of body {name!r} must name axes, got {locked!r}; use {axes}")
        for axis in [locked] if isinstance(locked, str) else locked:
            if axis not in AXES and axis not in GROUPS:
                raise ModelError(f"body {name!r}: unknown locked axis {axis!r}; use {', '.join((*AXES, *GROUPS))}")
            for one in GROUPS.get(axis, (axis,)):
                free[AXES.index(one)] = False
        if mass is not None:
            positive(mass, f"mass of body {name!r}", "kg")
        tensor = None
        if inertia is not None:
            try:
                tensor = np.asarray(inertia, dtype=np.float64)
            except (TypeError, ValueError):
                tensor = np.zeros(0)
            if (
                tensor.shape != (3, 3)
                or not np.isfinite(tensor).all()
                or np.abs(tensor - tensor.T).max() > 1e-9 * np.abs(tensor).max()
            ):
                raise ModelError(f"inertia of body {name!r} must be a finite symmetric 3x3 matrix, got {inertia!r}")
            moments = np.linalg.eigvalsh(tensor)
            if moments.min() <= 0.0:
                raise ModelError(
                    f"inertia of body {name!r} must be positive definite, got {tensor.tolist()} with the principal "
                    f"moments {', '.join(f'{x:.4g}' for x in moments)} kg m^2"
                )
            fault = triangle_fault(moments.tolist()) if free[3:].any() else None
            if fault is not None:
                raise ModelError(f"inertia of body {name!r} {fault}")
        speed = np.concatenate(
            [
                vector(velocity, 3, f"velocity of {name!r}"),
                vector(angular_velocity, 3, f"angular velocity of {name!r}"),
            ]
        )
        dropped = [
            f"{axis} ({v:g})" for axis, v, moves in zip(AXES, speed, free, strict=True) if v != 0.0 and not moves
        ]
        if dropped:
            warnings.warn(
                f"body {name!r} has a velocity along or about its locked axes {', '.join(dropped)}, and does not move "
                "along them. Unlock them, or drop the velocity",
                SimulationWarning,
                stacklevel=2,
            )
        self._bodies.append(
            BodyDescription(
                name, vector(position, 3, f"position of body {name!r}"),
                unit_quaternion(rotation, f"rotation of body {name!r}"), speed, mass, tensor, free,
            )
        )  # fmt: skip
        return len(self._bodies) - 1

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
            name: By default the body's name and the axis, and a number where there are several.
        """
        body = index(body, "body of an actuator")
        if not 0 <= body < len(self._bodies):
            raise ModelError(f"actuator: there is no body {body}; add_body returns the number to use")
        if axis not in AXES:
            raise ModelError(f"actuator: unknown axis {axis!r}; use {', '.join(AXES)}")
        if kind not in KINDS:
            raise ModelError(f"actuator: unknown kind {kind!r}; use {', '.join(KINDS)}")
        taken = {x[0] for x in self._actuators}
        if name in taken:
            raise ModelError(f"there is an actuator called {name!r} already; names must differ")
        default = f"{self._bodies[body].name}.{axis}"
        name = name or next(x for k in count(1) if (x := default + (f".{k}" if k > 1 else "")) not in taken)
        name = text(name, "name of an actuator")
        if not self._bodies[body].free[AXES.index(axis)]:
            raise ModelError(f"actuator {name!r} drives an axis that is locked; unlock {axis!r} or drop the actuator")
        needed = number({"position": stiffness, "velocity": damping}.get(kind, 1.0), f"gain of actuator {name!r}")
        if needed <= 0.0:
            gain = "stiffness" if kind == "position" else "damping"
            raise ModelError(f"actuator {name!r}: a {kind} actuator needs a positive {gain}")
        for gain, value, kinds in (
            ("stiffness", stiffness, ("position",)),
            ("damping", damping, ("position", "velocity")),
        ):
            if kind not in kinds and value != 0.0:
                raise ModelError(
                    f"actuator {name!r}: a {kind} actuator has no {gain}, got {value}; leave it out, or use "
                    f"kind={kinds[0]!r}"
                )
        gains = [not_negative(v, f"gain of actuator {name!r}") for v in (stiffness, damping)]
        self._actuators.append((name, body, AXES.index(axis), KINDS[kind], gains[0], gains[1]))
        return len(self._actuators) - 1

    def finalize(self, worlds: int = 1, *, device: str = "cpu", dtype: str | torch.dtype = "float32") -> Model:
        """Return the finished model.

        Args:
            worlds: Number of equal worlds; their parameters may then be changed row by row. A model of one world also
                serves rollouts of any number of worlds.
            device: "cpu", "cuda:0", ...
            dtype: "float32" or "float64".

        Raises:
            ModelError: There is no body, or a body has neither mass nor shapes.
            DeviceError: There is no such device.

        Warns:
            SimulationWarning: A shape has restitution but meets none that has some, so it does not bounce.
        """
        if index(worlds, "worlds") < 1:
            raise ModelError(f"worlds must be at least 1, got {worlds}")
        if not self._bodies:
            raise ModelError("the scene has no body; add at least one with add_body")
        device, real = check_device(device), check_dtype(dtype)
        pairs = self._pairs()
        self._check_restitution(pairs)
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
            pairs=pairs,
            body_free=np.array([b.free for b in self._bodies]), body_com=np.array(coms),
            actuator_body=np.array([x[1] for x in self._actuators], dtype=np.int32),
            actuator_axis=np.array([x[2] for x in self._actuators], dtype=np.int32),
            actuator_kind=np.array([x[3] for x in self._actuators], dtype=np.int32),
            gravity=rows(self.gravity, 3), body_mass=rows(masses, n), body_inertia=rows(inertias, n, 3, 3),
            shape_size=rows([x.size for x in self._shapes], s, 3),
            shape_friction=rows([x.friction for x in self._shapes], s),
            shape_stiffness=rows([x.stiffness for x in self._shapes], s),
            shape_damping=rows([x.damping for x in self._shapes], s),
            shape_restitution=rows([x.restitution for x in self._shapes], s),
            shape_rolling_resistance=rows([x.rolling_resistance for x in self._shapes], s),
            shape_torsional_resistance=rows([x.torsional_resistance for x in self._shapes], s),
            actuator_stiffness=rows([x[4] for x in self._actuators], a),
            actuator_damping=rows([x[5] for x in self._actuators], a),
            shape_mesh=np.array([number[x.mesh.key()] if x.mesh else -1 for x in self._shapes], dtype=np.int32),
            meshes=tuple(meshes.values()),
        )  # fmt: skip

    def _mass(self, body: BodyDescription) -> tuple[float, np.ndarray, np.ndarray]:
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
        if body.inertia is not None:
            self._check_gyration(body, mass, body.inertia)
        return mass, body.inertia if body.inertia is not None else inertia, com

    def _check_gyration(self, body: BodyDescription, mass: float, inertia: np.ndarray) -> None:
        """Warn of an inertia that puts the mass far outside of the body's shapes, or all of it in one point."""
        shapes = [s for s in self._shapes if s.body >= 0 and self._bodies[s.body] is body]
        extent = max(float(np.linalg.norm(s.position)) + bounding_radius(s.kind, s.size) for s in shapes)
        moments = np.linalg.eigvalsh(inertia)
        arm = math.sqrt(moments[2] / mass)
        if arm > GYRATION * extent or arm < extent / GYRATION**2:
            warnings.warn(
                f"inertia of body {body.name!r}: its principal moments {', '.join(f'{x:.4g}' for x in moments)} kg m^2 "
                f"are those of {mass:.4g} kg at {arm:.3g} m from the centre, and its shapes reach {extent:.3g} m. "
                "Check that it is in kg m^2, or leave it out to have that of the shapes",
                SimulationWarning,
                stacklevel=4,
            )
