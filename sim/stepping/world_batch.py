"""Buffers for a fixed number of worlds and a few steps.

A rollout of any number of worlds and steps runs through such batches block by block. A batch belongs to one thread at
a time. The buffers keep their addresses, which recorded graphs use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import warp as wp

from ...kernels.bodies import integrate
from ...kernels.collision import broad_phase
from ...kernels.collision.driver import detect
from ...kernels.collision.features import Features
from ...kernels.contact import contact_rows, forces
from ...kernels.contact.row_arrays import ContactRows
from ...kernels.core.adjoint_arrays import Adjoints
from ...kernels.core.precision import precision
from ...kernels.core.solver_report import SolverReport
from ...kernels.restitution.worlds import Late
from ..devices import warp_dtype
from ..scene.model import PARAMETERS, Model
from ..streams import hand_to_torch, hand_to_warp
from .contact_solver import Solver
from .contact_stage import ContactStage
from .device_model import model_arrays
from .options import SimulatorOptions

__all__ = ["WorldBatch"]


def _view(array: wp.array) -> torch.Tensor:
    """A torch view of an array, on the array's device; on a CPU, Warp would take torch's default device."""
    with torch.device(str(array.device)):
        return wp.to_torch(array)


class WorldBatch:
    """Buffers for ``width`` worlds of ``capacity`` contacts and up to ``options.segment`` steps."""

    def __init__(self, model: Model, options: SimulatorOptions, width: int, capacity: int):
        self.width, self.options = width, options
        self.segment = options.segment
        self.resolves_slip = options.resolves_slip(model)
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
        self.look_ahead = wp.zeros(width, dtype=p.scalar, device=self.device)
        self.rest = wp.zeros((width, bodies), dtype=p.spatial, device=self.device)
        self.solved = wp.zeros_like(self.rest)
        """Result of a step's solve: velocities in the attitudes at its start. See ``kernels/bodies/integrate.py``."""
        self.near = broad_phase.NearArrays.allocate(
            width,
            bodies,
            model.shapes,
            self.arrays.pairs[: 2 if self.arrays.hulls else 1],
            self.real,
            self.device,
            exhaustive=len(model.pairs) <= broad_phase.FEW_PAIRS,
        )
        self.features = Features.allocate(width, capacity, self.real, self.device)
        # the further solves of steps in which slip changes have up to two rows a contact
        solver = Solver.allocate(self.real, self.arrays, options, width, 2 * capacity)
        plain = ContactStage(ContactRows.allocate(width, capacity, self.real, self.device), solver)
        self.stages = {plain.key: plain}
        """Contact laws in use, by whether they have resistance and whether they are softened."""
        self.report = SolverReport.allocate(width, self.real, self.device)
        self.depth = wp.zeros(width, dtype=p.scalar, device=self.device)
        self.depth_ratio = wp.zeros_like(self.depth)
        self.depth_shapes = wp.zeros(width, dtype=wp.vec2i, device=self.device)
        self.staged = wp.zeros((t, width), dtype=wp.int32, device=self.device)
        """Whether a step took more solves than one, for slip or impacts: written forward, given backward."""
        self.any_staged = wp.zeros(t, dtype=wp.int32, device=self.device)
        """Whether a step of any world did, given backward."""
        self.late = Late(width, self.device)
        self.adjoints: Adjoints | None = None
        self.forces: forces.Forces | None = None
        self.margin = options.contact_margin or (0.1 if options.quasi_dynamic else 0.001)
        self._detect: dict[str, Any] = {
            "look_ahead": self.look_ahead, "step": options.step,
        }  # fmt: skip
        # torch views of the same memory, for copies in and out
        self.q_view, self.v_view = _view(self.q), _view(self.v)
        self.look_ahead_view = _view(self.look_ahead)
        self.loaded: tuple[bytes, bool] | None = None
        """Key of the parameters in the buffers, and whether ``look_ahead`` is that of resistance; None: unknown."""
        self.recording = False
        """Whether the launches are recorded, and so to be repeated often."""
        self.loads_kernels = False
        """Whether conditions and repetitions are left out, so that each kernel is launched, and so loaded."""
        self.staged_view, self.any_staged_view = _view(self.staged), _view(self.any_staged)
        self.needed_view = _view(self.features.needed)
        self.control_view = _view(self.control)[..., :actuators]
        self.parameter_views = {name: _view(getattr(self.arrays, name)) for name in (*PARAMETERS, "shape_size")}
        self._numbers: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        if self.device == "cpu":  # the same memory once more: an index of NumPy costs a tenth of one of torch
            self._numbers = self.q_view.numpy(), self.v_view.numpy(), self.needed_view.numpy()
        # recording takes a step; of zeros it would be one in which all bodies lie in each other
        hand_to_torch(self.device)
        self.q_view.copy_(model.initial_state.body_q[0].expand_as(self.q_view))
        for name, view in self.parameter_views.items():
            view.copy_(getattr(model, name)[0].expand_as(view))
        hand_to_warp(self.device)

    def clear_reports(self) -> None:
        """Clear the solver's report."""
        self.report.clear()
        self.late.clear()

    def solver_outcome(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Newton iterations, steps that failed, the first of them (-1: none) and the largest residual, all [W]."""
        r = self.report
        iterations, failed, first, residual = (x.numpy() for x in (r.iterations, r.failed, r.first_failure, r.residual))
        return iterations, failed, first, residual

    def carry(self, steps: int) -> None:
        """Make the state after ``steps`` steps the first one."""
        for states in (self.q_view, self.v_view) if self._numbers is None else self._numbers[:2]:
            states[0] = states[steps]

    def most_needed(self) -> int:
        """Most contacts that a world met in a step."""
        return int(self.needed_view.max()) if self._numbers is None else int(self._numbers[2].max())

    def add_adjoints(self) -> None:
        """Allocate the buffers of the backward pass, once."""
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
        """Allocate the buffers of contact and actuator forces, once."""
        if self.forces is None:
            self.forces = forces.Forces.allocate(
                self.width, self.capacity, self.control_view.shape[2], self.real, self.device
            )

    def list_contacts(
        self,
        t: int,
        stage: ContactStage,
        v1: wp.array | None = None,
        *,
        first_pass: bool = True,
        all_pairs: bool = False,
    ) -> wp.array:
        """Detect the contacts of step ``t`` and prepare their rows; returns the velocities the step starts from.

        Args:
            t: Number of the step within the segment.
            stage: The rows and the solver to prepare.
            v1: Velocities after the step, where they are known.
            first_pass: Whether to do so in all worlds, or only in those marked in ``near``.
            all_pairs: Whether to list contacts by the greatest speed in the world, not by that of their own bodies.
        """
        a = self.arrays
        start = self.rest if self.options.quasi_dynamic else self.v[t]
        repeat = None if first_pass else self.near.repeat
        detect(
            self.real, shapes=a.shapes, gravity=a.gravity, body_q=self.q[t], body_v=self.v[t], body_v1=v1,
            near=self.near, features=self.features, hulls=a.hulls, first_pass=first_pass, all_pairs=all_pairs,
            margin=self.margin + self.softened_reach(stage), **self._detect,
        )  # fmt: skip
        self.prepare_rows(t, stage, start, repeat)
        return start

    def prepare_rows(self, t: int, stage: ContactStage, start: wp.array, repeat: wp.array | None = None) -> None:
        """Rows of the listed contacts of step ``t``, in all worlds or the marked ones."""
        contact_rows.prepare(
            self.real, self.arrays, self.q[t], start, self.features, stage.rows, h=self.options.step,
            eps=self.options.stiction, angular_eps=self.options.angular_stiction,
            even=self.options.even_faces, repeat=repeat,
        )  # fmt: skip

    def softened_reach(self, stage: ContactStage) -> float:
        """Gap up to which contact forces act between bodies that do not approach [m]."""
        return self.options.softening.reach if stage.rows.softens else 0.0

    def find_solved(self, t: int) -> None:
        """Write ``solved`` of step ``t`` from the states before and after it."""
        integrate.solved_velocity(self.real, self.arrays, self.q[t], self.q[t + 1], self.v[t + 1], self.solved)

    def where(self, marked: wp.array, launches: Callable[[], None]) -> None:
        """Make the launches on marked worlds, if the first entry of ``marked`` says that there are any."""
        if self.device == "cpu" and not self.loads_kernels:
            wp.capture_if(marked, launches)
        else:  # where a launch without work costs little, and a condition needs a late driver
            launches()

    def repeat(self, marked: wp.array, launches: Callable[[], None], most: int) -> None:
        """Launch again while the first entry of ``marked`` says so, at most ``most`` times: then it no longer does."""
        if self.loads_kernels:
            launches()
        elif self.device == "cpu":
            wp.capture_while(marked, launches)
        elif not wp.is_conditional_graph_supported():
            for _ in range(most):
                launches()
        elif wp.get_device(self.device).is_capturing:
            wp.capture_while(marked, launches)
        else:  # nothing is asked back from the device; once, so that the kernels are loaded
            launches()

    def stage(self, resists: bool = False, softens: bool = False) -> ContactStage:
        """Rows and solver of a contact law, with resistance or without, softened or not; allocated at first use."""
        key = (resists, softens)
        if key not in self.stages:
            rows_ = ContactRows.allocate(self.width, self.capacity, self.real, self.device, resists, softens)
            solver = self.stages[False, False].solver
            self.stages[key] = ContactStage(rows_, solver.resisting() if resists else solver)
        return self.stages[key]
