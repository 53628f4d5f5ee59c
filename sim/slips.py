"""The steps of a lane in which slip starts or stops: up to four solves a step, see ``kernels/slip.py``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import warp as wp

from ..kernels import adjoint, slip, slip_adjoint
from ..kernels.arrays import Adjoints
from ..kernels.report import count_step
from ..kernels.solve import AGAIN_NEARER

if TYPE_CHECKING:
    from .lane import ContactLaw, Lane
    from .model import Model
    from .options import SimulatorOptions

__all__ = ["SlipSteps", "resolves"]

FEW_BODIES = 8
"""Bodies that move up to which a model resolves slip unless it is told: in piles, most steps would."""


def resolves(options: SimulatorOptions, model: Model) -> bool:
    """Whether steps of a model take further solves where slip changes."""
    if options.quasi_dynamic or options.resolve_slip is not None:
        return bool(options.resolve_slip) and not options.quasi_dynamic
    return int(model.body_free.any(axis=1).sum()) <= FEW_BODIES


class SlipSteps:
    """Buffers and launches of the further solves, over the buffers of a lane and the rows of one contact law."""

    def __init__(self, lane: Lane, law: ContactLaw):
        self.lane, self.law = lane, law
        width, bodies = lane.rest.shape
        self.own = slip.Slips.allocate(
            width, bodies, lane.capacity, lane.real, lane.device, law.rows.resists, law.rows.softens
        )
        self.adjoints: slip_adjoint.SlipAdjoints | None = None
        options = lane.options
        self._plain: dict[str, Any] = {"h": options.step, "eps": options.stiction}
        self._full = self._plain | {"angular_eps": options.angular_stiction}

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        if self.adjoints is None:
            lane = self.lane
            width, bodies = lane.rest.shape
            self.adjoints = slip_adjoint.SlipAdjoints.allocate(width, bodies, lane.capacity, lane.real, lane.device)

    def _rows(self, start: wp.array, found: SlipSteps, solve: Any) -> None:
        """Rows of a further solve, by the velocities and weights that ``found`` holds."""
        lane = self.lane
        slip.slip_rows(
            lane.real,
            lane.arrays,
            start,
            lane.features,
            self.law.rows,
            found.own,
            self.own,
            solve=int(solve),
            **self._full,
        )

    def _solve(self, t: int, start: wp.array, velocities: wp.array) -> None:
        """Solve the worlds that take further solves, from ``velocities`` on."""
        lane, own = self.lane, self.own
        self.law.solver.solve(
            lane.q[t],
            start,
            lane.control[t],
            own.total,
            own.rows,
            velocities,
            lane.report,
            own.staged,
            further=int(AGAIN_NEARER),
        )

    def _weigh(self, t: int, start: wp.array, velocities: wp.array, again: wp.array | None = None) -> None:
        """Mark the worlds that take further solves, by the ``velocities`` of the first."""
        lane = self.lane
        slip.weigh(
            lane.real, lane.arrays, start, velocities, lane.features, self.law.rows, self.own,
            lane.staged[t], again=again,
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

    def forward(self, t: int, start: wp.array, again: wp.array | None = None) -> None:
        """Go on from the first solve's velocities after step ``t`` to the last one's, in all or the marked worlds."""
        lane, own = self.lane, self.own
        v1 = lane.solved

        def launches() -> None:
            wp.copy(own.body_va, v1)
            self._middle(t, start)
            self._rows(start, self, slip.FOURTH)
            wp.copy(v1, own.body_vc)
            self._solve(t, start, v1)
            self._forget()

        self._weigh(t, start, v1, again)
        lane.where(own.any, launches)

    def _solve_again(self, t: int, start: wp.array) -> None:
        """The solves but the last of a step whose end is known, in the worlds that ``lane.staged`` marks.

        The first one starts from the end, and so is done at once where it is the only one.
        """
        lane, own = self.lane, self.own
        wp.copy(own.body_va, lane.solved)
        self.law.solver.solve(
            lane.q[t], start, lane.control[t], lane.features.count, self.law.rows, own.body_va, lane.report,
            lane.staged[t], further=int(AGAIN_NEARER),
        )  # fmt: skip
        self._weigh(t, start, own.body_va, lane.staged[t])
        lane.where(own.any, lambda: self._middle(t, start))

    def _forget(self) -> None:
        """Mark no world: what is only launched where worlds are marked also ends it, so that other steps need not."""
        self.own.staged.zero_()
        self.own.any.zero_()

    def forces(self, t: int, start: wp.array) -> None:
        """What acted in step ``t`` where slip changed."""
        lane, own = self.lane, self.own

        def launches() -> None:
            assert lane.forces is not None
            self._solve_again(t, start)
            self._rows(start, self, slip.FOURTH)
            slip.slip_forces(
                lane.real, lane.solved, lane.features, own, lane.forces.force, lane.forces.torque, **self._plain
            )
            self._forget()

        count_step(lane.report.steps)
        lane.where(lane.any_staged[t:], launches)

    def backward(self, t: int, start: wp.array, adj_v1: wp.array, g: Adjoints, forward: ContactLaw, done: int) -> None:
        """Turn the adjoint of the velocities after step ``t`` into that of the first solve's, adding to ``g``.

        ``lane.solved`` becomes the first solve's velocities with it.

        Args:
            t: Number of the step within the segment.
            start: Velocities the step starts from.
            adj_v1: Adjoint of those after it; then of those of the first solve.
            g: Adjoints of the step's inputs.
            forward: The law of the forward pass.
            done: Steps of the segment taken back before.
        """
        lane, mine, rows, found = self.lane, self.adjoints, self.own.rows, forward.slips
        assert mine is not None
        assert found is not None
        real, arrays, q, control = lane.real, lane.arrays, lane.q[t], lane.control[t]
        ours = dataclasses.replace(g, active=mine.active)

        def adjoints() -> None:
            slip_adjoint.split(real, found.own, mine, adj_v1)
            for solution, adj, solve in (
                (lane.solved, mine.body_v1, slip.FOURTH),
                (found.own.body_vc, mine.body_vc, slip.THIRD),
                (found.own.body_vb, mine.body_vb, slip.SECOND),
            ):
                self._rows(start, found, solve)
                self.law.solver.adjoint(q, start, solution, self.own.total, rows, adj, ours)
                slip_adjoint.contact_adjoint(
                    real, arrays, q, start, solution, lane.features, self.law.rows, found.own, mine, ours,
                    solve=int(solve), **self._full,
                )  # fmt: skip
                adjoint.body_adjoint(real, arrays, q, start, solution, control, g, h=lane.options.step)
            slip_adjoint.gather(real, found.own, mine, adj_v1)

        def launches() -> None:
            if forward is not self.law:
                lane.prepare_rows(t, forward, start)
            count_step(lane.report.steps, done + 1)
            found._solve_again(t, start)
            count_step(lane.report.steps, -done - 1)
            lane.where(found.own.any, adjoints)
            wp.copy(lane.solved, found.own.body_va)
            found._forget()

        lane.where(lane.any_staged[t:], launches)
