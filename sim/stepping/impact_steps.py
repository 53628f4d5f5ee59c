"""The steps of a batch whose shapes have restitution: rounds of events within a step.

See "Restitution" in ``docs/contact.md``. A step is first solved without the contacts that may have an impact. Where
gaps close on the paths that this gives, the world takes rounds (``impact_rounds.py``): the time of the next impacts,
their law, and a solve over what is left of the step for the bodies that they set in motion.
"""

from __future__ import annotations

import dataclasses
import functools

import warp as wp

from ...kernels.bodies import integrate
from ...kernels.contact import forces
from ...kernels.core.adjoint_arrays import Adjoints
from ...kernels.core.solver_report import count_step
from ...kernels.restitution import capped, missed, paths, worlds
from ...kernels.solver import adjoint
from .contact_stage import ContactStage
from .impact_rounds import ImpactRounds
from .plain_steps import PlainSteps
from .world_batch import WorldBatch

__all__ = ["ImpactSteps"]


class ImpactSteps(PlainSteps):
    """Launches of steps with impacts, over the buffers of a batch and the rows of one contact law."""

    def __init__(self, batch: WorldBatch, stage: ContactStage):
        super().__init__(batch, stage, None, None)
        self.rounds = ImpactRounds(batch, stage)
        width, bodies = batch.rest.shape
        self.capped = capped.CappedArrays.allocate(width, bodies, batch.capacity, batch.real, batch.device)

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        self.rounds.add_adjoints()

    def _velocities(self, t: int, start: wp.array, first_pass: bool) -> None:
        self.rounds.leave_out(t, start, None if first_pass else self.batch.near.repeat)
        super()._velocities(t, start, first_pass)

    def forward(self, steps: int) -> None:
        """Launch ``steps`` steps."""
        batch, own = self.batch, self.rounds.own
        batch.staged.zero_()
        for t in range(steps):
            start = batch.list_contacts(t, self.stage)
            self._velocities(t, start, first_pass=True)
            self._mark_missed(t)
            self._where_marked(0, functools.partial(self._detect_again, t, start))
            integrate.integrate(
                batch.real, batch.arrays, batch.q[t], batch.solved, batch.solved, batch.q[t + 1], batch.v[t + 1],
                h=batch.options.step,
            )  # fmt: skip
            batch.where(own.any_pending, functools.partial(self._look, t, start))

    def _look(self, t: int, start: wp.array) -> None:
        """Take rounds, if contacts close in step ``t``."""
        self.rounds.begin(t, start)
        self.batch.where(self.rounds.own.any, functools.partial(self._impacts, t, start))

    def _impacts(self, t: int, start: wp.array) -> None:
        """Take rounds, with all contacts listed that what they set in motion may reach."""
        batch, own = self.batch, self.rounds.own
        worlds.list_anew(batch.real, own.pending, batch.solved, batch.near)
        missed.look_at(own, own.pending)
        self._list_all(t, start)
        self._take_rounds(t, start)
        paths.finish(batch.real, batch.arrays, own, batch.q[t + 1], batch.v[t + 1], h=batch.options.step)
        worlds.count_late(batch.real, own, batch.report.steps, batch.late, batch.staged[t])

    def _take_rounds(self, t: int, start: wp.array, *, keep: bool = False) -> None:
        """Take the rounds of a step, and again as long as they missed a pair: without a loop on the device, once."""
        batch, own = self.batch, self.rounds.own
        if batch.device != "cpu" and not wp.is_conditional_graph_supported():
            self.rounds.begin(t, start)
            self.rounds.go_on(t, keep=keep)
            return

        def take() -> None:
            self.rounds.begin(t, start)
            self.rounds.go_on(t, keep=keep)
            missed.find_missed(
                batch.real, batch.arrays.shapes, own, batch.near, look_ahead=batch.look_ahead, all_worlds=keep
            )
            batch.where(own.again, functools.partial(self._list_all, t, start))

        batch.repeat(own.again, take, missed.TRIES)

    def _list_all(self, t: int, start: wp.array) -> None:
        batch = self.batch
        batch.list_contacts(t, self.stage, batch.near.listed_v, first_pass=False, all_pairs=True)
        self.rounds.leave_out(t, start, batch.near.repeat)

    def _impacts_again(self, t: int, start: wp.array) -> None:
        """Take the rounds of a step again, in the worlds that ``batch.staged`` marks."""
        batch = self.batch
        for known, later in ((start, None), (batch.solved, batch.v[t + 1])):  # what was thrown is still fast at the end
            worlds.list_anew(batch.real, batch.staged[t], known, batch.near, later)
            self._list_all(t, start)
            worlds.restart(batch.real, batch.staged[t], start, batch.arrays.body_mask, batch.solved, self.rounds.own)
            self.stage.solver.solve(
                batch.q[t], start, batch.control[t], batch.features.count, self.stage.rows, batch.solved, batch.report,
                batch.staged[t], further=1,
            )  # fmt: skip
        missed.look_at(self.rounds.own, batch.staged[t])
        self._take_rounds(t, start, keep=True)

    def forces(self) -> None:
        """What acted in the step from the first to the second state of the batch."""
        batch, stage, h = self.batch, self.stage, self.batch.options.step
        assert batch.forces is not None
        batch.find_solved(0)
        start = batch.list_contacts(0, stage, batch.solved)
        self.rounds.leave_out(0, start)
        count_step(batch.report.steps)
        self._impacts_again(0, start)
        forces.forces(
            batch.real, batch.arrays, batch.q[0], batch.solved, batch.control[0], batch.features, stage.rows,
            batch.forces, h=h, eps=batch.options.stiction,
        )  # fmt: skip
        self.rounds.add_forces(start, batch.forces)

    def backward(self, steps: int) -> None:
        """Launch the adjoints of ``steps`` steps, the last first."""
        batch, stage = self.batch, self.stage
        assert batch.adjoints is not None
        real, arrays, options = batch.real, batch.arrays, batch.options
        h, eps = options.step, options.stiction
        for t in reversed(range(steps)):
            batch.find_solved(t)
            start = batch.list_contacts(t, stage, batch.solved)
            self.rounds.leave_out(t, start)
            g = dataclasses.replace(
                batch.adjoints, body_q=batch.adj_q[t], body_v0=batch.adj_v[t], control=batch.adj_control[t]
            )
            batch.adj_solved.zero_()
            batch.where(batch.any_staged[t:], functools.partial(self._impacts_back, t, start, g, steps - 1 - t))
            integrate.integrate_adjoint(
                real, arrays, batch.q[t], batch.solved, batch.solved, batch.q[t + 1], batch.v[t + 1],
                batch.adj_q[t + 1], batch.adj_v[t + 1], g.body_q, batch.adj_solved, batch.adj_solved, g.body_inertia,
                h=h,
            )  # fmt: skip
            stage.solver.adjoint(batch.q[t], start, batch.solved, batch.features.count, stage.rows, batch.adj_solved, g)
            capped.capped_adjoint(
                real, arrays, batch.q[t], start, batch.solved, batch.features, self.rounds.own, self.capped, stage.rows,
                g, threshold=options.restitution_threshold, h=h, eps=eps, angular_eps=options.angular_stiction,
            )  # fmt: skip
            adjoint.residual_adjoint(
                real, arrays, batch.q[t], start, batch.solved, batch.control[t], batch.features, stage.rows, g,
                h=h, eps=eps, angular_eps=options.angular_stiction,
            )  # fmt: skip
        count_step(batch.report.steps, steps)

    def _impacts_back(self, t: int, start: wp.array, g: Adjoints, done: int) -> None:
        """Adjoint of the rounds of a step; ``done`` steps of the segment were taken back before."""
        count_step(self.batch.report.steps, done + 1)
        self._impacts_again(t, start)
        count_step(self.batch.report.steps, -done - 1)
        self.rounds.adjoint(t, start, self.batch.adj_solved, g)
