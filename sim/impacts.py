"""The steps of a lane whose shapes have restitution: three solves a step, see ``kernels/impact.py``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import warp as wp

from ..kernels import adjoint, forces, impact, impact_adjoint, integrate

if TYPE_CHECKING:
    from .lane import ContactLaw, Lane

__all__ = ["ImpactSteps"]


class ImpactSteps:
    """Buffers and launches of steps with impacts, over the buffers of a lane."""

    def __init__(self, lane: Lane, law: ContactLaw):
        self.lane, self.law = lane, law
        width, bodies = lane.rest.shape
        self.own = impact.Impacts.allocate(width, bodies, lane.capacity, lane.real, lane.device, law.resists)
        self.solver = law.solver.with_capacity(2 * lane.capacity)
        self.adjoints: impact_adjoint.ImpactAdjoints | None = None
        options = lane.options
        self._plain: dict[str, Any] = {"h": options.step, "eps": options.stiction}
        self._full = self._plain | {"angular_eps": options.angular_stiction}
        self._impact = self._full | {"threshold": options.restitution_threshold}

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        if self.adjoints is None:
            width, bodies = self.lane.rest.shape
            self.adjoints = impact_adjoint.ImpactAdjoints.allocate(
                width, bodies, self.lane.capacity, self.lane.real, self.lane.device
            )

    def _solve(self, t: int, start: wp.array, count: wp.array, result: wp.array) -> None:
        lane = self.lane
        self.solver.solve(lane.q[t], start, lane.control[t], count, self.own.rows, result, lane.report, further=1)

    def _prepare(self, t: int) -> wp.array:
        """Contacts, two solves, and the rows of the third; returns the velocities the step starts from."""
        lane, own, options = self.lane, self.own, self.lane.options
        real, arrays, q = lane.real, lane.arrays, lane.q[t]
        start = lane.list_contacts(t, self.law, whole=True)
        impact.leave_out(
            real, arrays, start, lane.features, self.law.rows, own, threshold=lane.options.restitution_threshold
        )
        self.law.solver.solve(q, start, lane.control[t], lane.features.count, self.law.rows, own.body_vi, lane.report)
        impact.impact_rows(real, arrays, q, start, lane.features, self.law.rows, own, **self._impact)
        self._solve(t, start, own.count, own.body_vn)
        impact.friction_rows(
            real, arrays, lane.features, own, eps=options.stiction, angular_eps=options.angular_stiction
        )
        return start

    def forward(self, steps: int) -> None:
        """Launch ``steps`` steps."""
        lane, own = self.lane, self.own
        real, arrays = lane.real, lane.arrays
        for t in range(steps):
            start = self._prepare(t)
            solved = lane.solved
            self._solve(t, start, own.total, solved)
            impact.select(real, own, solved)
            impact.impact_velocity(real, solved, own, h=lane.options.step)
            integrate.integrate(
                real, arrays, lane.q[t], own.body_vm, solved, lane.q[t + 1], lane.v[t + 1], h=lane.options.step
            )

    def forces(self) -> None:
        """What acted in the step from the first to the second state of the lane."""
        lane, own = self.lane, self.own
        assert lane.forces is not None
        self._prepare(0)
        lane.find_solved(0)
        forces.forces(
            lane.real, lane.arrays, lane.q[0], lane.solved, lane.control[0], lane.features, self.law.rows, lane.forces,
            **self._plain,
        )  # fmt: skip
        impact.impact_forces(lane.real, lane.solved, own, lane.forces.force, lane.forces.torque, **self._plain)

    def backward(self, steps: int) -> None:
        """Launch the adjoints of ``steps`` steps, the last first."""
        lane, own, mine = self.lane, self.own, self.adjoints
        assert lane.adjoints is not None
        assert mine is not None
        real, arrays, features, h = lane.real, lane.arrays, lane.features, lane.options.step
        for t in reversed(range(steps)):
            start = self._prepare(t)
            lane.find_solved(t)
            lane.adj_solved.zero_()
            q, v1, adj_v1, control = lane.q[t], lane.solved, lane.adj_solved, lane.control[t]
            g = dataclasses.replace(
                lane.adjoints, body_q=lane.adj_q[t], body_v0=lane.adj_v[t], control=lane.adj_control[t]
            )
            mine.clear()
            # from the last launch of the forward step to its first
            impact.impact_velocity(real, v1, own, h=lane.options.step)
            integrate.integrate_adjoint(
                real, arrays, q, own.body_vm, v1, lane.q[t + 1], lane.v[t + 1], lane.adj_q[t + 1], lane.adj_v[t + 1],
                g.body_q, mine.body_vm, adj_v1, g.body_inertia, h=h,
            )  # fmt: skip
            impact_adjoint.velocity_adjoint(
                real, arrays, q, start, v1, features, self.law.rows, own, mine, adj_v1, g, **self._impact
            )
            impact_adjoint.select_adjoint(real, own, mine, adj_v1)
            ours = dataclasses.replace(g, active=mine.active)
            for solution, count, adj, number in (
                (v1, own.total, adj_v1, impact_adjoint.THIRD),
                (own.body_vn, own.count, mine.body_vn, impact_adjoint.SECOND),
            ):
                self.solver.adjoint(q, start, solution, count, own.rows, adj, ours)
                impact_adjoint.contact_adjoint(
                    real, arrays, q, start, solution, features, self.law.rows, own, mine, number, ours, **self._impact
                )
                adjoint.body_adjoint(real, arrays, q, start, solution, control, g, h=h)
            self.law.solver.adjoint(q, start, own.body_vi, features.count, self.law.rows, mine.body_vi, g)
            adjoint.residual_adjoint(
                real,
                arrays,
                q,
                start,
                own.body_vi,
                control,
                features,
                self.law.rows,
                g,
                margin=lane.margin,
                **self._full,
            )
