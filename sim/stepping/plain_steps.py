"""Steps of a batch of worlds without impacts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import warp as wp

from ...kernels.bodies import integrate
from ...kernels.collision import broad_phase, overlap
from ...kernels.contact import forces
from ...kernels.core.solver_report import count_step
from ...kernels.solver import adjoint
from .contact_stage import ContactStage
from .slip_steps import SlipSteps
from .world_batch import WorldBatch

__all__ = ["PlainSteps", "find_overlap"]


class PlainSteps:
    """Launches of steps without impacts, over the buffers of a batch and the rows of one contact law.

    Args:
        batch: The buffers.
        stage: Rows and solver.
        slips: Further solves of steps in which slip starts or stops; None where there are none.
        found: Those of the forward pass, for the backward one.
    """

    def __init__(self, batch: WorldBatch, stage: ContactStage, slips: SlipSteps | None, found: SlipSteps | None):
        self.batch, self.stage, self.slips, self.found = batch, stage, slips, found

    def _velocities(self, t: int, start: wp.array, first_pass: bool) -> None:
        """Solve step ``t`` for the velocities after it."""
        batch, stage = self.batch, self.stage
        stage.solver.solve(
            batch.q[t], start, batch.control[t], batch.features.count, stage.rows, batch.solved, batch.report,
            None if first_pass else batch.near.repeat, further=int(not first_pass),
        )  # fmt: skip
        if self.slips is not None:
            self.slips.forward(t, start, None if first_pass else batch.near.repeat)

    def forward(self, steps: int) -> None:
        """Launch ``steps`` steps."""
        batch, stage = self.batch, self.stage
        if self.slips is not None:
            batch.staged.zero_()
        for t in range(steps):
            if batch.recording and stage.solver.takes_whole_steps(batch.near, stage.rows):
                self._whole_step(t)
                continue
            start = batch.list_contacts(t, stage)
            self._velocities(t, start, first_pass=True)
            self._mark_missed(t)
            self._where_marked(0, functools.partial(self._detect_again, t, start))
            self._move(t)

    def _whole_step(self, t: int) -> None:
        """Step ``t`` in one kernel. Where slip changes or contacts are missed, more solves and another motion."""
        batch, stage, slips = self.batch, self.stage, self.slips
        start = batch.rest if batch.options.quasi_dynamic else batch.v[t]
        broad_phase.place_shapes(batch.real, batch.arrays.shapes, batch.q[t], batch.near)
        stage.solver.whole_step(
            batch.q[t], batch.v[t], start, batch.control[t], batch.near, batch.features, stage.rows,
            None if slips is None else slips.own, batch.staged[t], batch.report, batch.solved, batch.q[t + 1],
            batch.v[t + 1], margin=batch.margin, look_ahead=batch.look_ahead,
        )  # fmt: skip
        if slips is not None:
            slips.solve_further(t, start, functools.partial(self._move, t))
        self._mark_missed(t)

        def again() -> None:
            self._detect_again(t, start)
            self._move(t)

        self._where_marked(0, again)

    def _move(self, t: int) -> None:
        """The state after step ``t``, by the velocities that its solve gave."""
        batch = self.batch
        integrate.integrate(
            batch.real, batch.arrays, batch.q[t], batch.solved, batch.solved, batch.q[t + 1], batch.v[t + 1],
            h=batch.options.step,
        )  # fmt: skip

    def _detect_again(self, t: int, start: wp.array, all_pairs: bool = False) -> None:
        """Detect and solve the marked worlds of step ``t`` again, by the speed of each pair or the greatest of all."""
        batch, stage = self.batch, self.stage
        batch.list_contacts(t, stage, batch.near.listed_v, first_pass=False, all_pairs=all_pairs)
        self._velocities(t, start, first_pass=False)
        self._mark_missed(t, first_pass=False, last=all_pairs)
        if not all_pairs:
            self._where_marked(1, functools.partial(self._detect_again, t, start, all_pairs=True))

    def _mark_missed(self, t: int, *, first_pass: bool = True, last: bool = False) -> None:
        """Mark worlds where a contact acts that was not listed in step ``t``; if ``last``, count the step as failed."""
        batch, stage = self.batch, self.stage
        broad_phase.find_missed_pairs(
            batch.real, batch.arrays.shapes, batch.solved, batch.near, look_ahead=batch.look_ahead,
            softened_reach=batch.softened_reach(stage), first_pass=first_pass, failures=batch.report if last else None,
        )  # fmt: skip

    def _where_marked(self, detection: int, launches: Callable[[], None]) -> None:
        """Make the launches on marked worlds, if any world was marked after a detection."""
        self.batch.where(self.batch.near.marked[detection:], launches)

    def forces(self) -> None:
        """Launch the forces of the step from the first to the second state of the batch."""
        batch, stage = self.batch, self.stage
        assert batch.forces is not None
        batch.find_solved(0)
        start = batch.list_contacts(0, stage, batch.solved)
        forces.forces(
            batch.real, batch.arrays, batch.q[0], batch.solved, batch.control[0], batch.features, stage.rows,
            batch.forces,
            h=batch.options.step, eps=batch.options.stiction,
        )  # fmt: skip
        if self.slips is not None:
            self.slips.forces(0, start)

    def backward(self, steps: int) -> None:
        """Launch the adjoints of ``steps`` steps, the last first."""
        batch, stage = self.batch, self.stage
        assert batch.adjoints is not None
        real, arrays, options = batch.real, batch.arrays, batch.options
        h, eps = options.step, options.stiction
        for t in reversed(range(steps)):
            batch.find_solved(t)
            start = batch.list_contacts(t, stage, batch.solved)
            adj_start = batch.adj_rest if options.quasi_dynamic else batch.adj_v[t]
            g = dataclasses.replace(
                batch.adjoints, body_q=batch.adj_q[t], body_v0=adj_start, control=batch.adj_control[t]
            )
            batch.adj_solved.zero_()
            integrate.integrate_adjoint(
                real, arrays, batch.q[t], batch.solved, batch.solved, batch.q[t + 1], batch.v[t + 1],
                batch.adj_q[t + 1], batch.adj_v[t + 1], g.body_q, batch.adj_solved, batch.adj_solved, g.body_inertia,
                h=h,
            )  # fmt: skip
            if self.slips is not None and self.found is not None:
                self.slips.backward(t, start, batch.adj_solved, g, self.found, steps - 1 - t)
            stage.solver.adjoint(batch.q[t], start, batch.solved, batch.features.count, stage.rows, batch.adj_solved, g)
            adjoint.residual_adjoint(
                real, arrays, batch.q[t], start, batch.solved, batch.control[t], batch.features, stage.rows, g,
                h=h, eps=eps, angular_eps=options.angular_stiction,
            )  # fmt: skip
        if self.slips is not None:
            count_step(batch.report.steps, steps)


def find_overlap(batch: WorldBatch, stage: ContactStage) -> None:
    """Launch the search for the deepest overlap in the first state of the batch."""
    batch.list_contacts(0, stage)
    overlap.deepest(
        batch.real, batch.arrays, batch.q[0], batch.features, batch.depth, batch.depth_ratio, batch.depth_shapes
    )
