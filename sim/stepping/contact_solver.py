"""The contact solve and its adjoint for worlds of any size: a dense system, or islands in blocks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import warp as wp

from ...kernels.collision.broad_phase import NearArrays
from ...kernels.collision.features import Features
from ...kernels.contact import law
from ...kernels.contact.row_arrays import ContactRows
from ...kernels.contact.slip import Slips
from ...kernels.core.adjoint_arrays import Adjoints
from ...kernels.core.model_arrays import ModelArrays
from ...kernels.core.simd import LANES
from ...kernels.core.solver_report import SolverReport
from ...kernels.solver import adjoint, adjoint_islands, dense, dense_adjoint_lanes, dense_lanes, islands, step_lanes
from ...kernels.solver.island_graph import GraphArrays
from ...kernels.solver.scratch import Scratch
from ...kernels.solver.search_data import row_count
from .options import SimulatorOptions

__all__ = ["Solver"]


@dataclass(frozen=True)
class Solver:
    """Solves steps of W worlds with up to C contacts each; the methods launch kernels.

    Args:
        real: ``wp.float32`` or ``wp.float64``.
        arrays: The model.
        scratch: Working memory.
        options: Of the step.
        resists: Whether the contacts have rolling and torsional resistance; the rows given must agree.
    """

    real: Any
    arrays: ModelArrays
    scratch: Scratch
    options: SimulatorOptions
    resists: bool = False

    @classmethod
    def allocate(cls, real: Any, arrays: ModelArrays, options: SimulatorOptions, worlds: int, capacity: int) -> Solver:
        """A solver with memory of its own."""
        return cls(real, arrays, Scratch.allocate(worlds, arrays, capacity, real), options)

    def with_capacity(self, capacity: int) -> Solver:
        """A solver for other contacts that shares the memory independent of them; not to be used at the same time."""
        old = self.scratch
        worlds, bodies = old.target.shape
        device = old.target.device
        motion = law.make(self.real, self.resists).Motion
        slips = [wp.zeros((worlds, capacity), dtype=motion, device=device) for _ in range(2)]
        friction = old.friction
        if old.graph is None:
            friction = wp.zeros((worlds, capacity), dtype=friction.dtype, device=device)
        own = None if old.graph is None else GraphArrays.allocate(worlds, bodies, capacity, device)
        search_data = old.search_data
        if own is not None:
            numbers = row_count(self.resists) * capacity + LANES
            search_data = wp.zeros((worlds, numbers), dtype=self.real, device=device)
        scratch = dataclasses.replace(
            old, slip=slips[0], slip_change=slips[1], friction=friction, search_data=search_data, graph=own
        )
        return dataclasses.replace(self, scratch=scratch)

    @property
    def _tolerance(self) -> float:
        return self.options.tolerance or (1e-12 if self.real is wp.float64 else 1e-5)

    def resisting(self) -> Solver:
        """A solver for contacts with resistance that shares all other memory; not to be used at the same time."""
        return dataclasses.replace(self, resists=True).with_capacity(self.scratch.slip.shape[1])

    def solve(
        self, body_q: wp.array, body_v0: wp.array, control: wp.array, count: wp.array, rows: ContactRows,
        body_v1: wp.array, report: SolverReport, repeat: wp.array | None = None, *, further: int = 0,
    ) -> None:  # fmt: skip
        """Write the velocities after the step into ``body_v1``; arguments as of ``kernels.solver.dense.solve``."""
        o, s = self.options, self.scratch
        step: dict[str, Any] = {"h": o.step, "eps": o.stiction, "tolerance": self._tolerance}
        step["max_iterations"] = o.max_iterations
        step |= {"repeat": repeat, "further": further}
        if s.graph is None:
            solve = dense_lanes.solve if dense_lanes.serves(rows) else dense.solve
            solve(self.real, self.arrays, body_q, body_v0, control, count, rows, s, body_v1, report, **step)
        else:
            islands.solve_islands(
                self.real, self.arrays, body_q, body_v0, control, count, rows, s, body_v1, report, **step
            )

    def takes_whole_steps(self, near: NearArrays, rows: ContactRows) -> bool:
        """Whether ``whole_step`` knows such worlds and saves time."""
        return self.scratch.graph is None and step_lanes.serves(self.arrays, near, rows)

    def whole_step(
        self, body_q: wp.array, body_v: wp.array, body_v0: wp.array, control: wp.array, near: NearArrays,
        found: Features, rows: ContactRows, slips: Slips | None, taken: wp.array, report: SolverReport,
        solved: wp.array, body_q1: wp.array, body_v1: wp.array, *, margin: float, look_ahead: wp.array,
    ) -> None:  # fmt: skip
        """Contacts, rows, solve and motion at once; arguments as of ``kernels.solver.step_lanes.step``."""
        o = self.options
        step_lanes.step(
            self.real, self.arrays, body_q, body_v, body_v0, control, near, found, rows, slips, taken, report, solved,
            body_q1, body_v1, margin=margin, look_ahead=look_ahead, even=o.even_faces, h=o.step, eps=o.stiction,
            tolerance=self._tolerance, max_iterations=o.max_iterations,
        )  # fmt: skip

    def adjoint(
        self, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, count: wp.array, rows: ContactRows,
        adj_v1: wp.array, adjoints: Adjoints,
    ) -> None:  # fmt: skip
        """Solve with the Hessian at ``body_v1``; writes ``adjoints.z`` and ``adjoints.active``."""
        step = {"h": self.options.step, "eps": self.options.stiction}
        if self.scratch.graph is None:
            own = dense_adjoint_lanes if dense_lanes.serves(rows) else adjoint
            own.solve_adjoint(
                self.real, self.arrays, body_q, body_v0, body_v1, count, rows, self.scratch, adj_v1, adjoints, **step
            )
        else:
            adjoint_islands.solve_adjoint(
                self.real, self.arrays, body_q, body_v1, count, rows, self.scratch, adj_v1, adjoints, **step
            )
