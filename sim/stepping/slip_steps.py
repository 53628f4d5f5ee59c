"""Steps of a batch in which slip starts or stops, with up to four solves each; see ``kernels/contact/slip.py``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import warp as wp

from ...kernels.contact import slip, slip_adjoint
from ...kernels.core.adjoint_arrays import Adjoints
from ...kernels.core.solver_report import count_step
from ...kernels.solver import adjoint
from ...kernels.solver.dense import AGAIN_NEARER
from .contact_stage import ContactStage
from .world_batch import WorldBatch

__all__ = ["SlipSteps"]


class SlipSteps:
    """Buffers and launches of the further solves, over the buffers of a batch and the rows of one contact law."""

    def __init__(self, batch: WorldBatch, stage: ContactStage):
        self.batch, self.stage = batch, stage
        width, bodies = batch.rest.shape
        self.own = slip.Slips.allocate(
            width, bodies, batch.capacity, batch.real, batch.device, stage.rows.resists, stage.rows.softens
        )
        self.adjoints: slip_adjoint.SlipAdjoints | None = None
        options = batch.options
        self._plain: dict[str, Any] = {"h": options.step, "eps": options.stiction}
        self._full = self._plain | {"angular_eps": options.angular_stiction}

    def add_adjoints(self) -> None:
        """Allocate the buffers of the backward pass, once."""
        if self.adjoints is None:
            batch = self.batch
            width, bodies = batch.rest.shape
            self.adjoints = slip_adjoint.SlipAdjoints.allocate(width, bodies, batch.capacity, batch.real, batch.device)

    def _rows(self, start: wp.array, found: SlipSteps, solve: Any) -> None:
        """Rows of a further solve, by the velocities and weights that ``found`` holds."""
        batch = self.batch
        slip.slip_rows(
            batch.real,
            batch.arrays,
            start,
            batch.features,
            self.stage.rows,
            found.own,
            self.own,
            solve=int(solve),
            **self._full,
        )

    def _solve(self, t: int, start: wp.array, velocities: wp.array) -> None:
        """Solve the worlds that take further solves, from ``velocities`` on."""
        batch, own = self.batch, self.own
        self.stage.solver.solve(
            batch.q[t],
            start,
            batch.control[t],
            own.total,
            own.rows,
            velocities,
            batch.report,
            own.staged,
            further=int(AGAIN_NEARER),
        )

    def _weigh(self, t: int, start: wp.array, velocities: wp.array, repeat: wp.array | None = None) -> None:
        """Mark the worlds that take further solves, by the ``velocities`` of the first."""
        batch = self.batch
        slip.weigh(
            batch.real, batch.arrays, start, velocities, batch.features, self.stage.rows, self.own,
            batch.staged[t], repeat=repeat,
            **self._plain,
        )  # fmt: skip

    def _middle(self, t: int, start: wp.array) -> None:
        """The second and the third solve."""
        own = self.own
        wp.copy(own.body_vb, own.body_va)
        self._rows(start, self, slip.SECOND)
        self._solve(t, start, own.body_vb)
        wp.copy(own.body_vc, own.body_vb)
        self._rows(start, self, slip.THIRD)
        self._solve(t, start, own.body_vc)

    def forward(self, t: int, start: wp.array, repeat: wp.array | None = None) -> None:
        """Go from the first solve's velocities after step ``t`` to the last solve's, in all or the marked worlds."""
        self._weigh(t, start, self.batch.solved, repeat)
        self.solve_further(t, start)

    def solve_further(self, t: int, start: wp.array, then: Callable[[], None] | None = None) -> None:
        """The solves after the first, in the worlds that are marked; if there are any, ``then`` follows."""
        batch, own = self.batch, self.own
        v1 = batch.solved

        def launches() -> None:
            wp.copy(own.body_va, v1)
            self._middle(t, start)
            self._rows(start, self, slip.FOURTH)
            wp.copy(v1, own.body_vc)
            self._solve(t, start, v1)
            self.forget()
            if then is not None:
                then()

        batch.where(own.any, launches)

    def solve_again(self, t: int, start: wp.array) -> None:
        """The solves but the last of a step whose end is known, in the worlds that ``batch.staged`` marks.

        The first one starts from that end, and so takes no iteration where it is the only one.
        """
        batch, own = self.batch, self.own
        wp.copy(own.body_va, batch.solved)
        self.stage.solver.solve(
            batch.q[t], start, batch.control[t], batch.features.count, self.stage.rows, own.body_va, batch.report,
            batch.staged[t], further=int(AGAIN_NEARER),
        )  # fmt: skip
        self._weigh(t, start, own.body_va, batch.staged[t])
        batch.where(own.any, lambda: self._middle(t, start))

    def forget(self) -> None:
        """Mark no world. Launched only where worlds are marked, so that other steps do not pay for it."""
        self.own.staged.zero_()
        self.own.any.zero_()

    def forces(self, t: int, start: wp.array) -> None:
        """Launch the forces of step ``t`` in the worlds where slip changed."""
        batch, own = self.batch, self.own

        def launches() -> None:
            assert batch.forces is not None
            self.solve_again(t, start)
            self._rows(start, self, slip.FOURTH)
            slip.slip_forces(
                batch.real, batch.solved, batch.features, own, batch.forces.force, batch.forces.torque, **self._plain
            )
            self.forget()

        count_step(batch.report.steps)
        batch.where(batch.any_staged[t:], launches)

    def backward(self, t: int, start: wp.array, adj_v1: wp.array, g: Adjoints, found: SlipSteps, done: int) -> None:
        """Turn the adjoint of the velocities after step ``t`` into that of the first solve's, adding to ``g``.

        ``batch.solved`` becomes the first solve's velocities with it.

        Args:
            t: Number of the step within the segment.
            start: Velocities the step starts from.
            adj_v1: Adjoint of those after it; then of those of the first solve.
            g: Adjoints of the step's inputs.
            found: Steps of the forward pass.
            done: Steps of the segment taken back before.
        """
        batch, mine, rows = self.batch, self.adjoints, self.own.rows
        assert mine is not None
        real, arrays, q, control = batch.real, batch.arrays, batch.q[t], batch.control[t]
        ours = dataclasses.replace(g, active=mine.active)

        def adjoints() -> None:
            slip_adjoint.split(real, found.own, mine, adj_v1)
            for solution, adj, solve in (
                (batch.solved, mine.body_v1, slip.FOURTH),
                (found.own.body_vc, mine.body_vc, slip.THIRD),
                (found.own.body_vb, mine.body_vb, slip.SECOND),
            ):
                self._rows(start, found, solve)
                self.stage.solver.adjoint(q, start, solution, self.own.total, rows, adj, ours)
                slip_adjoint.contact_adjoint(
                    real, arrays, q, start, solution, batch.features, self.stage.rows, found.own, mine, ours,
                    solve=int(solve), **self._full,
                )  # fmt: skip
                adjoint.body_adjoint(real, arrays, q, start, solution, control, g, h=batch.options.step)
            slip_adjoint.gather(real, found.own, mine, adj_v1)

        def launches() -> None:
            if found is not self:
                batch.prepare_rows(t, found.stage, start)
            count_step(batch.report.steps, done + 1)
            found.solve_again(t, start)
            count_step(batch.report.steps, -done - 1)
            batch.where(found.own.any, adjoints)
            wp.copy(batch.solved, found.own.body_va)
            found.forget()

        batch.where(batch.any_staged[t:], launches)
