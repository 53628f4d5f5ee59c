"""A lane: buffers for a fixed number of worlds and a few steps, and the recorded graphs that run over them.

A rollout of any number of worlds and steps is fed through lanes block by block; a lane belongs to one thread at a time.
Graphs are recorded once per number of steps and replayed; their buffers never move.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp

from ..kernels import adjoint, broad, forces, integrate, overlap, rows
from ..kernels.arrays import Adjoints, ModelArrays, Rows, SolverReport
from ..kernels.contact import CONTACT_PERIOD_STEPS
from ..kernels.detect import detect
from ..kernels.features import Features
from ..kernels.pairs import most_contacts, patch_of_fixed_points
from ..kernels.precision import precision
from ..kernels.report import count_step
from ..kernels.shapes import ShapeType
from .devices import warp_dtype
from .hulls import hull_arrays
from .impacts import ImpactSteps
from .model import PARAMETERS, Model
from .options import SimulatorOptions
from .slips import SlipSteps, resolves
from .solver import Solver
from .streams import hand_to_torch, hand_to_warp

__all__ = ["Lane", "default_capacity", "greatest_capacity", "look_ahead"]


SMALL_SCENE = 256
"""Contacts for which every scene has room: one that cannot list more than this never runs out of it."""


def greatest_capacity(model: Model) -> int:
    """Contacts that a world can have at most: all pairs of shapes with as many as each can have, at once."""

    def most(a: int, b: int) -> int:
        mesh = model.meshes[model.shape_mesh[b]] if model.shape_mesh[b] >= 0 else None
        vertices, rim = (0, False) if mesh is None else (len(mesh.vertices), mesh.rim > 0.0)
        return most_contacts(int(model.shape_type[a]), int(model.shape_type[b]), vertices, rim)

    return max(1, sum(most(a, b) for a, b in model.pairs))


def default_capacity(model: Model, softened: bool = False) -> int:
    """Contacts a world has room for by default. Softened ones are listed from afar: there may be several times more."""
    return min(greatest_capacity(model), max(SMALL_SCENE, (256 if softened else 64) * model.bodies))


def look_ahead(values: dict[str, torch.Tensor], step: float, resists: bool) -> torch.Tensor:
    """Time [s] by which approaching bodies must be seen ahead so that no impulse jumps: the largest (h + d/k)(1 + mu).

    One number a world, [W] or [1]: what a world lists must not depend on the worlds beside it.
    """
    stiffness, damping, mass = values["shape_stiffness"], values["shape_damping"], values["body_mass"]
    delay = mass.new_full((1,), step * CONTACT_PERIOD_STEPS / math.pi)
    if stiffness.shape[1] == 0:
        return step + delay
    never = torch.full_like(stiffness, math.inf)
    # two soft shapes act in series; a derived stiffness is least for the lightest body
    soft = torch.where(stiffness > 0.0, stiffness, never).amin(dim=1) / 2.0
    rigid = mass.amin(dim=1) * (2.0 * math.pi / (CONTACT_PERIOD_STEPS * step)) ** 2 / 2.0
    delay = torch.maximum(delay, 2.0 * torch.sqrt(mass.amax(dim=1) / soft))
    delay = torch.maximum(delay, damping.amax(dim=1).clamp(min=0.0) / torch.minimum(rigid, soft))
    slip = 1.0 + values["shape_friction"].amax(dim=1)
    return (step + delay) * (slip + _resisted(values) if resists else slip)


def _resisted(values: dict[str, torch.Tensor]) -> torch.Tensor:
    """Greatest (mu_r + mu_t) of a pair by the least radius of a shape: what resistance adds to 1 + mu; [W] or [1]."""
    arm = values["shape_rolling_resistance"] + values["shape_torsional_resistance"]
    radius = values["shape_size"][..., 0]
    radius = torch.where(radius > 0.0, radius, torch.full_like(radius, math.inf)).amin(dim=1)
    return arm.topk(min(2, arm.shape[1]), dim=1).values.sum(dim=1) / radius


def _view(array: wp.array) -> torch.Tensor:
    """The same memory for torch; on the array's device, which Warp leaves to torch's default device on a CPU."""
    with torch.device(str(array.device)):
        return wp.to_torch(array)


def _shared(values: Any, dtype: Any, device: str) -> wp.array:
    return wp.array(values, dtype=dtype, device=device)


def _shapes_of_pairs(model: Model) -> Iterator[tuple[int, int, bool]]:
    """Types of the two shapes of every pair, and whether one of them has rims."""
    for pair in model.pairs:
        a, b = (int(model.shape_type[shape]) for shape in pair)
        meshes = [model.meshes[model.shape_mesh[shape]] for shape in pair if model.shape_mesh[shape] >= 0]
        yield a, b, any(mesh.rim > 0.0 for mesh in meshes)


def model_arrays(model: Model, worlds: int) -> ModelArrays:
    """Arrays of a model for ``worlds`` worlds. The per-world ones are filled later."""
    real, device = warp_dtype(model.dtype), model.device
    p = precision(real)
    free = model.body_free.reshape(-1)
    dof_index = np.where(free, np.cumsum(free) - 1, -1).astype(np.int32)
    # also for a round body: the inertia may be overridden in a rollout, and its gradient needs the terms
    gyroscopic = model.body_free[:, 3:].all(axis=1).astype(np.int32)

    def zeros(shape: tuple[int, ...], kind: Any) -> wp.array:
        return wp.zeros(shape, dtype=kind, device=device)

    n, s, a = model.bodies, model.shapes, model.actuators
    scalar = p.scalar
    convex = (model.shape_type[model.pairs] == ShapeType.CONVEX).any(axis=1)
    return ModelArrays(
        pairs=(_shared(model.pairs[~convex], wp.vec2i, device), _shared(model.pairs[convex], wp.vec2i, device)),
        shape_type=_shared(model.shape_type, wp.int32, device),
        shape_body=_shared(model.shape_body, wp.int32, device),
        shape_pose=_shared(model.shape_pose, p.transform, device),
        body_mask=_shared(model.body_free.astype(np.float64), p.spatial, device),
        body_takes_part=_shared(model.body_free.any(axis=1).astype(np.int32), wp.int32, device),
        body_gyroscopic=_shared(gyroscopic, wp.int32, device),
        dof_index=_shared(dof_index, wp.int32, device),
        actuator_body=_shared(model.actuator_body, wp.int32, device),
        actuator_axis=_shared(model.actuator_axis, wp.int32, device),
        actuator_kind=_shared(model.actuator_kind, wp.int32, device),
        shape_softening=zeros((s,), p.vec2),
        gravity=zeros((worlds,), p.vec3), body_mass=zeros((worlds, n), scalar),
        body_inertia=zeros((worlds, n), p.mat33),
        shape_size=zeros((worlds, s), p.vec3), shape_friction=zeros((worlds, s), scalar),
        shape_stiffness=zeros((worlds, s), scalar), shape_damping=zeros((worlds, s), scalar),
        shape_restitution=zeros((worlds, s), scalar),
        shape_rolling_resistance=zeros((worlds, s), scalar), shape_torsional_resistance=zeros((worlds, s), scalar),
        actuator_stiffness=zeros((worlds, a), scalar), actuator_damping=zeros((worlds, a), scalar),
        other_patches=not all(patch_of_fixed_points(*shapes) for shapes in _shapes_of_pairs(model)),
        dofs=int(free.sum()), hulls=hull_arrays(model, real) if convex.any() else None,
    )  # fmt: skip


@dataclass
class ContactLaw:
    """What depends on whether contacts have resistance: their rows, their solver, and steps with impacts."""

    rows: Rows
    solver: Solver
    impacts: ImpactSteps | None = None
    slips: SlipSteps | None = None

    @property
    def resists(self) -> bool:
        """Whether there is rolling or torsional resistance."""
        return self.rows.resists


class Lane:
    """Buffers and graphs for ``width`` worlds of ``capacity`` contacts and up to ``options.segment`` steps."""

    def __init__(self, model: Model, options: SimulatorOptions, width: int, capacity: int):
        self.width, self.options = width, options
        self.segment = options.segment
        self.resolves_slip = resolves(options, model)
        self.real = warp_dtype(model.dtype)
        self.device = model.device
        p = precision(self.real)
        self.capacity = capacity
        self.arrays = model_arrays(model, width)
        if options.quasi_dynamic:  # without momentum nothing is left to turn with a body
            self.arrays.body_gyroscopic.zero_()
        self.arrays.shape_softening.assign(options.softening.of_shapes(model))
        bodies, actuators, t = model.bodies, model.actuators, self.segment
        self.q = wp.zeros((t + 1, width, bodies), dtype=p.transform, device=self.device)
        self.v = wp.zeros((t + 1, width, bodies), dtype=p.spatial, device=self.device)
        # Warp cannot slice arrays of no columns, so there is always one
        self.control = wp.zeros((t, width, max(actuators, 1)), dtype=p.scalar, device=self.device)
        self.reach = wp.zeros(width, dtype=p.scalar, device=self.device)
        self.rest = wp.zeros((width, bodies), dtype=p.spatial, device=self.device)
        self.solved = wp.zeros_like(self.rest)
        """What the solve of a step gave: velocities in the attitudes at its start. See ``kernels/integrate.py``."""
        self.near = broad.NearArrays.allocate(
            width,
            bodies,
            model.shapes,
            self.arrays.pairs[: 2 if self.arrays.hulls else 1],
            self.real,
            self.device,
            exhaustive=len(model.pairs) <= broad.FEW_PAIRS,
        )
        self.features = Features.allocate(width, capacity, self.real, self.device)
        # the further solves of steps in which slip changes have up to two rows a contact
        solver = Solver.allocate(self.real, self.arrays, options, width, 2 * capacity)
        self._laws = {(False, False): ContactLaw(Rows.allocate(width, capacity, self.real, self.device), solver)}
        self.report = SolverReport.allocate(width, self.real, self.device)
        self.depth = wp.zeros(width, dtype=p.scalar, device=self.device)
        self.depth_ratio = wp.zeros_like(self.depth)
        self.depth_shapes = wp.zeros(width, dtype=wp.vec2i, device=self.device)
        self.staged = wp.zeros((t, width), dtype=wp.int32, device=self.device)
        """Whether a step took more solves than one, see ``slips.py``: written forward, given backward."""
        self.any_staged = wp.zeros(t, dtype=wp.int32, device=self.device)
        """Whether any world's did, given backward."""
        self.adjoints: Adjoints | None = None
        self.forces: forces.Forces | None = None
        self._graphs: dict[tuple[str, int], Any] = {}
        self.margin = options.contact_margin or (0.1 if options.quasi_dynamic else 0.001)
        self._detect: dict[str, Any] = {
            "reach": self.reach, "step": options.step,
        }  # fmt: skip
        # torch views of the same memory, for copies in and out
        self.q_view, self.v_view = _view(self.q), _view(self.v)
        self.reach_view = _view(self.reach)
        self.staged_view, self.any_staged_view = _view(self.staged), _view(self.any_staged)
        self.needed_view = _view(self.features.needed)
        self.control_view = _view(self.control)[..., :actuators]
        self.parameter_views = {name: _view(getattr(self.arrays, name)) for name in (*PARAMETERS, "shape_size")}
        # recording takes a step; of zeros it would be one in which all bodies lie in each other
        hand_to_torch(self.device)
        self.q_view.copy_(model.initial_state.body_q[0].expand_as(self.q_view))
        for name, view in self.parameter_views.items():
            view.copy_(getattr(model, name)[0].expand_as(view))
        hand_to_warp(self.device)

    def clear_reports(self) -> None:
        """Forget how the solver fared so far."""
        self.report.clear()

    def solver_outcome(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Newton iterations, steps that failed, the first of them (-1: none) and the largest residual, all [W]."""
        r = self.report
        iterations, failed, first, residual = (x.numpy() for x in (r.iterations, r.failed, r.first_failure, r.residual))
        return iterations, failed, first, residual

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        if self.adjoints is not None:
            return
        p = precision(self.real)
        t, (width, bodies) = self.segment, self.rest.shape
        self.adjoints = Adjoints.allocate(self.arrays, self.capacity, self.real)
        self.adj_q = wp.zeros((t + 1, width, bodies), dtype=p.transform, device=self.device)
        self.adj_v = wp.zeros((t + 1, width, bodies), dtype=p.spatial, device=self.device)
        self.adj_control = wp.zeros_like(self.control)
        self.adj_rest = wp.zeros_like(self.rest)
        self.adj_solved = wp.zeros_like(self.rest)
        self.adj_q_view, self.adj_v_view = _view(self.adj_q), _view(self.adj_v)
        self.adj_control_view = _view(self.adj_control)[..., : self.control_view.shape[2]]
        self.adj_parameter_views = {name: _view(getattr(self.adjoints, name)) for name in PARAMETERS}
        hand_to_torch(self.device)

    def add_forces(self) -> None:
        """Allocate what reading contact and actuator forces needs, once."""
        if self.forces is None:
            self.forces = forces.Forces.allocate(
                self.width, self.capacity, self.control_view.shape[2], self.real, self.device
            )

    def list_contacts(
        self, t: int, law: ContactLaw, v1: wp.array | None = None, *, every: bool = True, whole: bool = False
    ) -> wp.array:
        """Detect the contacts of step ``t`` and prepare their rows; returns the velocities the step starts from.

        Args:
            t: Number of the step within the segment.
            law: Whose rows and solver to prepare.
            v1: Velocities after the step, as far as they are known.
            every: Whether to do so in all worlds, or only in those marked in ``near``.
            whole: Whether to list contacts by the greatest speed in the world, not by that of their own bodies.
        """
        a = self.arrays
        start = self.rest if self.options.quasi_dynamic else self.v[t]
        again = None if every else self.near.again
        detect(
            self.real, shape_type=a.shape_type, shape_body=a.shape_body, shape_size=a.shape_size,
            shape_pose=a.shape_pose, gravity=a.gravity, body_q=self.q[t], body_v=self.v[t], body_v1=v1, near=self.near,
            features=self.features, hulls=a.hulls, every=every, whole=whole, margin=self.margin + self._felt(law),
            **self._detect,
        )  # fmt: skip
        self.prepare_rows(t, law, start, again)
        return start

    def prepare_rows(self, t: int, law: ContactLaw, start: wp.array, again: wp.array | None = None) -> None:
        """Rows of the listed contacts of step ``t``, in all worlds or the marked ones."""
        rows.prepare(
            self.real, self.arrays, self.q[t], start, self.features, law.rows, h=self.options.step,
            eps=self.options.stiction, angular_eps=self.options.angular_stiction, margin=self.margin,
            even=self.options.even_faces, again=again,
        )  # fmt: skip

    def _felt(self, law: ContactLaw) -> float:
        """Gap up to which bodies that do not approach feel each other [m]."""
        return self.options.softening.reach if law.rows.softens else 0.0

    def find_solved(self, t: int) -> None:
        """Write ``solved`` of step ``t`` from the states before and after it."""
        integrate.solved_velocity(self.real, self.arrays, self.q[t], self.q[t + 1], self.v[t + 1], self.solved)

    def _overlooked(self, t: int, law: ContactLaw, *, every: bool = True, last: bool = False) -> None:
        """Mark the worlds whose solution of step ``t`` meets contacts that were not listed; at last they failed."""
        broad.overlooked(
            self.real, self.arrays.shape_body, self.solved, self.near, reach=self.reach, felt=self._felt(law),
            every=every, failures=self.report if last else None,
        )  # fmt: skip

    def _velocities(self, t: int, law: ContactLaw, start: wp.array, every: bool) -> None:
        """Solve step ``t`` for the velocities after it."""
        law.solver.solve(
            self.q[t], start, self.control[t], self.features.count, law.rows, self.solved, self.report,
            None if every else self.near.again, further=int(not every),
        )  # fmt: skip
        if law.slips is not None:
            law.slips.forward(t, start, None if every else self.near.again)

    def _forward(self, steps: int, law: ContactLaw) -> None:
        if law.slips is not None:
            self.staged.zero_()
        for t in range(steps):
            start = self.list_contacts(t, law)
            self._velocities(t, law, start, every=True)
            self._overlooked(t, law)
            self._where_marked(0, functools.partial(self._look_again, t, law, start))
            integrate.integrate(
                self.real, self.arrays, self.q[t], self.solved, self.solved, self.q[t + 1], self.v[t + 1],
                h=self.options.step,
            )  # fmt: skip

    def _where_marked(self, look: int, launches: Callable[[], None]) -> None:
        """Launch what works on marked worlds, if any was marked after a look."""
        self.where(self.near.looks[look:], launches)

    def where(self, marked: wp.array, launches: Callable[[], None]) -> None:
        """Launch what works on marked worlds, if the first entry of ``marked`` says that there are any."""
        if self.device == "cpu":
            wp.capture_if(marked, launches)
        else:  # where a launch without work costs little, and a condition needs a late driver
            launches()

    def _look_again(self, t: int, law: ContactLaw, start: wp.array, whole: bool = False) -> None:
        """List and solve the marked worlds of step ``t`` again, first by the speeds of each pair, then as a whole."""
        self.list_contacts(t, law, self.near.listed_v, every=False, whole=whole)
        self._velocities(t, law, start, every=False)
        self._overlooked(t, law, every=False, last=whole)
        if not whole:
            self._where_marked(1, functools.partial(self._look_again, t, law, start, whole=True))

    def _overlap(self, steps: int, law: ContactLaw) -> None:
        self.list_contacts(0, law)
        overlap.deepest(
            self.real, self.arrays, self.q[0], self.features, self.depth, self.depth_ratio, self.depth_shapes
        )

    def _forces(self, steps: int, law: ContactLaw) -> None:
        assert self.forces is not None
        self.find_solved(0)
        start = self.list_contacts(0, law, self.solved)
        forces.forces(
            self.real, self.arrays, self.q[0], self.solved, self.control[0], self.features, law.rows, self.forces,
            h=self.options.step, eps=self.options.stiction,
        )  # fmt: skip
        if law.slips is not None:
            law.slips.forces(0, start)

    def _backward(self, steps: int, law: ContactLaw) -> None:
        assert self.adjoints is not None
        h, eps = self.options.step, self.options.stiction
        forward = self.law(law.resists, self.options.softening.forward)
        for t in reversed(range(steps)):
            self.find_solved(t)
            start = self.list_contacts(t, law, self.solved)
            adj_start = self.adj_rest if self.options.quasi_dynamic else self.adj_v[t]
            g = dataclasses.replace(self.adjoints, body_q=self.adj_q[t], body_v0=adj_start, control=self.adj_control[t])
            self.adj_solved.zero_()
            integrate.integrate_adjoint(
                self.real, self.arrays, self.q[t], self.solved, self.solved, self.q[t + 1], self.v[t + 1],
                self.adj_q[t + 1], self.adj_v[t + 1], g.body_q, self.adj_solved, self.adj_solved, g.body_inertia, h=h,
            )  # fmt: skip
            if law.slips is not None:
                law.slips.backward(t, start, self.adj_solved, g, forward, steps - 1 - t)
            law.solver.adjoint(self.q[t], start, self.solved, self.features.count, law.rows, self.adj_solved, g)
            adjoint.residual_adjoint(
                self.real, self.arrays, self.q[t], start, self.solved, self.control[t], self.features, law.rows, g,
                h=h, eps=eps, angular_eps=self.options.angular_stiction, margin=self.margin,
            )  # fmt: skip
        if law.slips is not None:
            count_step(self.report.steps, steps)

    def _impact_forward(self, steps: int, law: ContactLaw) -> None:
        assert law.impacts is not None
        law.impacts.forward(steps)

    def _impact_backward(self, steps: int, law: ContactLaw) -> None:
        assert law.impacts is not None
        law.impacts.backward(steps)

    def _impact_forces(self, steps: int, law: ContactLaw) -> None:
        assert law.impacts is not None
        law.impacts.forces()

    def law(self, resists: bool = False, softens: bool = False) -> ContactLaw:
        """The contact law, with resistance or without, softened or not; allocated once it is asked for."""
        key = (resists, softens)
        if key not in self._laws:
            rows_ = Rows.allocate(self.width, self.capacity, self.real, self.device, resists, softens)
            solver = self._laws[False, False].solver
            self._laws[key] = ContactLaw(rows_, solver.resisting() if resists else solver)
        return self._laws[key]

    def record(self, direction: str, steps: int) -> None:
        """Record the graph of ``steps`` steps, once.

        The direction is "forward", "backward" or "forces" (what acted in a step), the same with "impact_" before it
        where there is restitution and "resisting_" before that where there is rolling or torsional resistance, or
        "overlap", the check for penetration.

        Not to be called from two threads at once.
        """
        key = (direction, steps)
        if key in self._graphs:
            return
        plain = direction.removeprefix("resisting_")
        softening = self.options.softening
        backward = direction.endswith("backward")
        law = self.law(plain != direction, softening.backward if backward else softening.forward)
        run: Callable[[int, ContactLaw], None] = getattr(self, f"_{plain}")
        if plain.startswith("impact"):
            if law.impacts is None:
                law.impacts = ImpactSteps(self, law)
        elif plain != "overlap" and self.resolves_slip:
            for own in (law, self.law(law.resists, softening.forward)) if backward else (law,):
                if own.slips is None:
                    own.slips = SlipSteps(self, own)
        if backward:
            self.add_adjoints()
            if law.slips is not None:
                law.slips.add_adjoints()
            if law.impacts is not None:
                law.impacts.add_adjoints()
        if direction.endswith("forces"):
            self.add_forces()
        # loads the kernels, which a recording must not do; writes only buffers that are filled before each run
        run(1, law)
        with wp.ScopedCapture(device=self.device) as capture:
            run(steps, law)
        self._graphs[key] = capture.graph

    def run(self, direction: str, steps: int) -> None:
        """Replay a recorded graph."""
        hand_to_warp(self.device)
        wp.capture_launch(self._graphs[direction, steps])
        hand_to_torch(self.device)
