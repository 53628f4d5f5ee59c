"""The steps of a batch whose shapes have restitution: three solves a step, see ``kernels/restitution/step.py``."""

from __future__ import annotations

import dataclasses
from typing import Any

import warp as wp

from ...kernels.bodies import integrate
from ...kernels.contact import forces
from ...kernels.restitution import adjoint as impact_adjoint
from ...kernels.restitution import step as impact
from ...kernels.solver import adjoint
from .contact_stage import ContactStage
from .world_batch import WorldBatch

__all__ = ["ImpactSteps"]


class ImpactSteps:
    """Buffers and launches of steps with impacts, over the buffers of a batch."""

    def __init__(self, batch: WorldBatch, stage: ContactStage):
        self.batch, self.stage = batch, stage
        width, bodies = batch.rest.shape
        self.own = impact.Impacts.allocate(width, bodies, batch.capacity, batch.real, batch.device, stage.rows.resists)
        self.solver = stage.solver.with_capacity(2 * batch.capacity)
        self.adjoints: impact_adjoint.ImpactAdjoints | None = None
        options = batch.options
        self._plain: dict[str, Any] = {"h": options.step, "eps": options.stiction}
        self._full = self._plain | {"angular_eps": options.angular_stiction}
        self._impact = self._full | {"threshold": options.restitution_threshold}

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        if self.adjoints is None:
            width, bodies = self.batch.rest.shape
            self.adjoints = impact_adjoint.ImpactAdjoints.allocate(
                width, bodies, self.batch.capacity, self.batch.real, self.batch.device
            )

    def _solve(self, t: int, start: wp.array, count: wp.array, result: wp.array) -> None:
        batch = self.batch
        self.solver.solve(batch.q[t], start, batch.control[t], count, self.own.rows, result, batch.report, further=1)

    def _prepare(self, t: int) -> wp.array:
        """Contacts, two solves, and the rows of the third; returns the velocities the step starts from."""
        batch, own, options = self.batch, self.own, self.batch.options
        real, arrays, q = batch.real, batch.arrays, batch.q[t]
        start = batch.list_contacts(t, self.stage, all_pairs=True)
        impact.leave_out(
            real, arrays, start, batch.features, self.stage.rows, own, threshold=batch.options.restitution_threshold
        )
        self.stage.solver.solve(
            q, start, batch.control[t], batch.features.count, self.stage.rows, own.body_vi, batch.report
        )
        impact.impact_rows(real, arrays, q, start, batch.features, self.stage.rows, own, **self._impact)
        self._solve(t, start, own.count, own.body_vn)
        impact.friction_rows(
            real, arrays, batch.features, own, eps=options.stiction, angular_eps=options.angular_stiction
        )
        return start

    def forward(self, steps: int) -> None:
        """Launch ``steps`` steps."""
        batch, own = self.batch, self.own
        real, arrays = batch.real, batch.arrays
        for t in range(steps):
            start = self._prepare(t)
            solved = batch.solved
            self._solve(t, start, own.total, solved)
            impact.select(real, own, solved)
            impact.impact_velocity(real, solved, own, h=batch.options.step)
            integrate.integrate(
                real, arrays, batch.q[t], own.body_vm, solved, batch.q[t + 1], batch.v[t + 1], h=batch.options.step
            )

    def forces(self) -> None:
        """What acted in the step from the first to the second state of the batch."""
        batch, own = self.batch, self.own
        assert batch.forces is not None
        self._prepare(0)
        batch.find_solved(0)
        forces.forces(
            batch.real, batch.arrays, batch.q[0], batch.solved, batch.control[0], batch.features, self.stage.rows,
            batch.forces, **self._plain,
        )  # fmt: skip
        impact.impact_forces(batch.real, batch.solved, own, batch.forces.force, batch.forces.torque, **self._plain)

    def backward(self, steps: int) -> None:
        """Launch the adjoints of ``steps`` steps, the last first."""
        batch, own, mine = self.batch, self.own, self.adjoints
        assert batch.adjoints is not None
        assert mine is not None
        real, arrays, features, h = batch.real, batch.arrays, batch.features, batch.options.step
        for t in reversed(range(steps)):
            start = self._prepare(t)
            batch.find_solved(t)
            batch.adj_solved.zero_()
            q, v1, adj_v1, control = batch.q[t], batch.solved, batch.adj_solved, batch.control[t]
            g = dataclasses.replace(
                batch.adjoints, body_q=batch.adj_q[t], body_v0=batch.adj_v[t], control=batch.adj_control[t]
            )
            mine.clear()
            # from the last launch of the forward step to its first
            impact.impact_velocity(real, v1, own, h=batch.options.step)
            integrate.integrate_adjoint(
                real, arrays, q, own.body_vm, v1, batch.q[t + 1], batch.v[t + 1], batch.adj_q[t + 1],
                batch.adj_v[t + 1], g.body_q, mine.body_vm, adj_v1, g.body_inertia, h=h,
            )  # fmt: skip
            impact_adjoint.velocity_adjoint(
                real, arrays, q, start, v1, features, self.stage.rows, own, mine, adj_v1, g, **self._impact
            )
            impact_adjoint.select_adjoint(real, own, mine, adj_v1)
            ours = dataclasses.replace(g, active=mine.active)
            for solution, count, adj, number in (
                (v1, own.total, adj_v1, impact_adjoint.THIRD),
                (own.body_vn, own.count, mine.body_vn, impact_adjoint.SECOND),
            ):
                self.solver.adjoint(q, start, solution, count, own.rows, adj, ours)
                impact_adjoint.contact_adjoint(
                    real, arrays, q, start, solution, features, self.stage.rows, own, mine, number, ours, **self._impact
                )
                adjoint.body_adjoint(real, arrays, q, start, solution, control, g, h=h)
            self.stage.solver.adjoint(q, start, own.body_vi, features.count, self.stage.rows, mine.body_vi, g)
            adjoint.residual_adjoint(
                real,
                arrays,
                q,
                start,
                own.body_vi,
                control,
                features,
                self.stage.rows,
                g,
                **self._full,
            )
