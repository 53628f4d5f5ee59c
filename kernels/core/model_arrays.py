"""The arrays that the kernels share, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import warp as wp

from ..collision.hulls import HullArrays
from ..contact import law
from ..solver import line_search
from ..solver.block_cholesky import BlockArrays
from ..solver.dense_algebra import SMALL
from ..solver.island_graph import GraphArrays
from .precision import precision
from .simd import LANES

__all__ = ["Adjoints", "ModelArrays", "Rows", "Scratch", "SolverReport"]


@dataclass
class ModelArrays:
    """A model on the device. W worlds, B bodies, S shapes, A actuators."""

    # the same in all worlds
    pairs: tuple[wp.array, wp.array]  # vec2i [P]: shapes that may touch, without and with convex meshes
    shape_type: wp.array  # int32 [S]
    shape_body: wp.array  # int32 [S]; -1 static
    shape_pose: wp.array  # transform [S]: pose in the body's frame
    body_mask: wp.array  # spatial [B]: 1 free, 0 locked, per world axis
    body_takes_part: wp.array  # int32 [B]: whether any axis is free
    body_gyroscopic: wp.array  # int32 [B]: whether the torque-free motion is more than constant spin
    shape_softening: wp.array  # vec2 [S]: width of softened contact [m], 0 hard, and its mode; see ``softening.py``
    dof_index: wp.array  # int32 [6 B]: position of each axis among the free ones in the model's order, -1 if locked
    actuator_body: wp.array  # int32 [A]
    actuator_axis: wp.array  # int32 [A]: 0..2 along, 3..5 about the world axes
    actuator_kind: wp.array  # int32 [A]
    # one row a world
    gravity: wp.array  # vec3 [W], m/s^2
    body_mass: wp.array  # [W, B], kg
    body_inertia: wp.array  # mat33 [W, B], kg m^2, body frame, about the centre of mass
    shape_size: wp.array  # vec3 [W, S], m
    shape_friction: wp.array  # [W, S]
    shape_stiffness: wp.array  # [W, S], N/m; negative = derived
    shape_damping: wp.array  # [W, S], N s/m; negative = derived
    shape_restitution: wp.array  # [W, S]
    shape_rolling_resistance: wp.array  # [W, S], m
    shape_torsional_resistance: wp.array  # [W, S], m
    actuator_stiffness: wp.array  # [W, A], N/m or N m/rad
    actuator_damping: wp.array  # [W, A], N s/m or N m s/rad
    other_patches: bool  # whether patches may have corners that are not fixed points on a plane, see ``patches.py``
    dofs: int  # free axes of a world; a number, since nothing may be read back while a graph is recorded
    # convex meshes; None where the model has none
    hulls: HullArrays | None = None


@dataclass
class Rows:
    """Contact rows [W, C]; see ``rows.py``."""

    body_a: wp.array  # int32
    body_b: wp.array  # int32
    normal: wp.array  # vec3
    arm_a: wp.array  # vec3, m
    arm_b: wp.array  # vec3, m
    twist: wp.array  # vec3, m; see ``patches.py``
    coefficients: wp.array  # of ``law.py``; vec4 without resistance: a [N s], b [kg], mu, s0 [m/s]
    centre: wp.array  # vec3, m: of pressure, of the patch that begins with a contact
    pull: wp.array  # scalar [1]: how far its friction is drawn in there
    resists: bool = False  # whether the contacts have rolling and torsional resistance
    softens: bool = False  # whether the contacts have a contact function, see ``softening.py``
    own_arms: bool = False  # whether arm_a - arm_b may differ among the contacts of a pair; else bodies' offset in all

    @property
    def law(self) -> tuple[bool, bool, bool]:
        """Arguments of the factories of solvers by islands; contacts with resistance go by their own arms anyway."""
        return self.resists, self.softens, self.own_arms and not self.resists

    @classmethod
    def allocate(
        cls, worlds: int, capacity: int, dtype: Any, device: Any, resists: bool = False, softens: bool = False,
        own_arms: bool = False,
    ) -> Rows:  # fmt: skip
        """Rows for ``worlds`` worlds of at most ``capacity`` contacts."""
        p = precision(dtype)
        shape = (worlds, capacity)
        types = (wp.int32, wp.int32, *[p.vec3] * 4, law.make(dtype, resists, softens).Coefficients, p.vec3, dtype)
        return cls(*(wp.zeros(shape, dtype=t, device=device) for t in types), resists, softens, own_arms)


@dataclass
class Scratch:
    """What the solver writes for itself. n free axes a world."""

    inertia: wp.array  # mat33 [W, B], world axes
    target: wp.array  # spatial [W, B]: velocity without contacts and actuators
    gradient: wp.array  # spatial [W, B]
    direction: wp.array  # spatial [W, B]
    hessian: wp.array  # [W, n n], lower triangle; of small worlds
    vector: wp.array  # [W, n]; of small worlds
    slip: wp.array  # Motion of ``law.py`` [W, C]: relative velocities
    slip_change: wp.array  # the same [W, C]
    friction: wp.array  # vec3 [W, C]: of hard contacts, in parts of its limit; of small worlds
    course: wp.array  # [W, R C + 8], R numbers a contact, see ``line_search.py``; of large worlds
    graph: GraphArrays | None  # of worlds too large for one dense system
    blocks: BlockArrays | None

    @classmethod
    def allocate(cls, worlds: int, model: ModelArrays, capacity: int, dtype: Any) -> Scratch:
        """Scratch for the Newton solver, dense up to ``newton.SMALL`` free axes."""
        bodies, dofs, device = model.body_mask.shape[0], model.dofs, model.dof_index.device
        p = precision(dtype)
        small = dofs <= SMALL

        def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=device)

        return cls(
            inertia=zeros((worlds, bodies), p.mat33),
            target=zeros((worlds, bodies), p.spatial),
            gradient=zeros((worlds, bodies), p.spatial),
            direction=zeros((worlds, bodies), p.spatial),
            hessian=zeros((worlds, max(dofs * dofs, 1) if small else 1), p.scalar),
            vector=zeros((worlds, max(dofs, 1) if small else 1), p.scalar),
            slip=zeros((worlds, capacity), p.vec3),
            slip_change=zeros((worlds, capacity), p.vec3),
            friction=zeros((worlds, capacity if small else 1), p.vec3),
            course=zeros((worlds, 1 if small else line_search.rows_of(False) * capacity + LANES), p.scalar),
            graph=None if small else GraphArrays.allocate(worlds, bodies, capacity, device),
            blocks=None if small else BlockArrays.allocate(worlds, bodies, dtype, device),
        )


@dataclass
class SolverReport:
    """How the solver fared, accumulated over steps until cleared. All [W]."""

    iterations: wp.array  # int32: Newton iterations, summed over steps
    steps: wp.array  # int32: steps taken
    failed: wp.array  # int32: steps that did not converge
    first_failure: wp.array  # int32: number of the first such step, counted from 0; -1 if none
    last_failure: wp.array  # int32: the same of the last such step
    residual: wp.array  # scalar: largest relative gradient norm at the end of a step

    @classmethod
    def allocate(cls, worlds: int, dtype: Any, device: Any) -> SolverReport:
        """A cleared report."""
        ints = [wp.zeros(worlds, dtype=wp.int32, device=device) for _ in range(3)]
        none = [wp.full(worlds, -1, dtype=wp.int32, device=device) for _ in range(2)]
        return cls(*ints, *none, wp.zeros(worlds, dtype=dtype, device=device))

    @property
    def of_steps(self) -> tuple[wp.array, wp.array, wp.array, wp.array]:
        """Arguments of ``report.step_failed``."""
        return self.steps, self.failed, self.first_failure, self.last_failure

    def clear(self) -> None:
        """Forget all steps so far."""
        for array in (self.iterations, self.steps, self.failed, self.residual):
            array.zero_()
        self.first_failure.fill_(-1)
        self.last_failure.fill_(-1)


@dataclass
class Adjoints:
    """Adjoints of a step's inputs, added to; and what the adjoint pass writes for itself."""

    body_q: wp.array  # transform [W, B]
    body_v0: wp.array  # spatial [W, B]
    control: wp.array  # [W, A]
    gravity: wp.array  # vec3 [W]
    body_mass: wp.array  # [W, B]
    body_inertia: wp.array  # mat33 [W, B]
    shape_friction: wp.array  # [W, S]
    shape_stiffness: wp.array  # [W, S]
    shape_damping: wp.array  # [W, S]
    shape_restitution: wp.array  # [W, S]
    shape_rolling_resistance: wp.array  # [W, S]
    shape_torsional_resistance: wp.array  # [W, S]
    actuator_stiffness: wp.array  # [W, A]
    actuator_damping: wp.array  # [W, A]
    centre: wp.array  # vec3 [W, C]; of ``Rows``, as pull: zero between launches
    pull: wp.array  # [W, C]
    z: wp.array  # spatial [W, B]
    active: wp.array  # int32 [W, C]
    contact_power: wp.array  # [W, C]
    contact_seed: wp.array  # [W, C], ones
    body_power: wp.array  # [W, B]
    body_seed: wp.array  # [W, B], ones
    actuator_power: wp.array  # [W, A]
    actuator_seed: wp.array  # [W, A], ones

    @classmethod
    def allocate(cls, model: ModelArrays, capacity: int, dtype: Any) -> Adjoints:
        """Zero adjoints for ``model``."""
        p = precision(dtype)
        worlds, bodies = model.body_mass.shape
        device = model.body_mass.device
        actuators = model.actuator_stiffness.shape

        def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=device)

        def ones(shape: tuple[int, ...]) -> wp.array:
            return wp.ones(shape, dtype=p.scalar, device=device)

        contacts = (worlds, capacity)
        return cls(
            body_q=zeros((worlds, bodies), p.transform),
            body_v0=zeros((worlds, bodies), p.spatial),
            control=zeros(actuators, p.scalar),
            gravity=zeros((worlds,), p.vec3),
            body_mass=zeros((worlds, bodies), p.scalar),
            body_inertia=zeros((worlds, bodies), p.mat33),
            shape_friction=zeros(model.shape_friction.shape, p.scalar),
            shape_stiffness=zeros(model.shape_friction.shape, p.scalar),
            shape_damping=zeros(model.shape_friction.shape, p.scalar),
            shape_restitution=zeros(model.shape_friction.shape, p.scalar),
            shape_rolling_resistance=zeros(model.shape_friction.shape, p.scalar),
            shape_torsional_resistance=zeros(model.shape_friction.shape, p.scalar),
            actuator_stiffness=zeros(actuators, p.scalar),
            actuator_damping=zeros(actuators, p.scalar),
            centre=zeros(contacts, p.vec3),
            pull=zeros(contacts, p.scalar),
            z=zeros((worlds, bodies), p.spatial),
            active=zeros(contacts, wp.int32),
            contact_power=zeros(contacts, p.scalar), contact_seed=ones(contacts),
            body_power=zeros((worlds, bodies), p.scalar), body_seed=ones((worlds, bodies)),
            actuator_power=zeros(actuators, p.scalar), actuator_seed=ones(actuators),
        )  # fmt: skip
