"""The rounds of a step with impacts: launches forward and of their adjoints. See ``impact_steps.py``."""

from __future__ import annotations

import dataclasses
from typing import Any

import warp as wp

from ...kernels.contact.forces import Forces
from ...kernels.core.adjoint_arrays import Adjoints
from ...kernels.core.precision import precision
from ...kernels.restitution import (
    events,
    groups,
    impact_after,
    impact_forces,
    impact_guess,
    impact_law,
    impact_rows,
    impact_settle,
    impact_time,
    leave_out,
    paths,
    rest,
    rest_start,
    worlds,
)
from ...kernels.restitution.round_arrays import SOLVES, Path, RoundAdjoints, Rounds
from ...kernels.solver import adjoint
from .contact_stage import ContactStage
from .world_batch import WorldBatch

__all__ = ["ImpactRounds"]

TOGETHER = 9
"""Rounds after those of single events in which near contacts take the law at once, the last without restitution."""


def _arrays(path: Path, k: int) -> list[wp.array]:
    return [path.pose[k], path.mean[k], path.pull[k], path.start[k]]


class ImpactRounds:
    """Buffers and launches of the rounds of a step, over the buffers of a batch and the rows of one contact law."""

    def __init__(self, batch: WorldBatch, stage: ContactStage):
        self.batch, self.stage = batch, stage
        options = batch.options
        width, bodies = batch.rest.shape
        self.own = Rounds.allocate(
            options.impact_rounds, TOGETHER, width, bodies, batch.capacity, batch.control.shape[2], batch.real,
            batch.device, stage.rows.resists,
        )  # fmt: skip
        self.adjoints: RoundAdjoints | None = None
        self.kept: wp.array | None = None
        self.later: wp.array | None = None
        self.aside: wp.array | None = None
        self.h = options.step
        self.power = wp.zeros((width, batch.capacity), dtype=batch.real, device=batch.device)
        self._law: dict[str, Any] = {
            "tangential": options.tangential_restitution, "eps": options.stiction,
            "angular_eps": options.angular_stiction,
        }  # fmt: skip
        self._step: dict[str, Any] = {
            "h": options.step, "eps": options.stiction, "angular_eps": options.angular_stiction,
            "threshold": options.restitution_threshold,
        }  # fmt: skip
        arrays, r = batch.arrays, self.own.round
        still = dataclasses.replace(arrays, gravity=wp.zeros_like(arrays.gravity))
        nothing = wp.zeros(0, dtype=wp.int32, device=batch.device)
        self._bare = dataclasses.replace(still, actuator_body=nothing, actuator_axis=nothing, actuator_kind=nothing)
        self._driven = dataclasses.replace(still, actuator_stiffness=r.drive[1], actuator_damping=r.drive[2])
        room = stage.solver.with_capacity(2 * batch.capacity)
        self._impact_solver = dataclasses.replace(room, arrays=self._bare)
        self._rest_solver = dataclasses.replace(room, arrays=self._driven)

    def keep_rounds(self) -> None:
        """Allocate what keeps all rounds of a step, once."""
        if self.kept is None:
            own = self.own
            device, real = self.batch.device, self.batch.real
            self.kept = wp.zeros((own.most, own.memory.shape[0]), dtype=wp.int32, device=device)
            self.later = wp.zeros(own.round.label.shape, dtype=real, device=device)
            self.aside = wp.zeros(own.free.shape, dtype=precision(real).spatial, device=device)

    def add_adjoints(self) -> None:
        """Allocate what the backward pass needs, once."""
        self.keep_rounds()
        if self.adjoints is None:
            self.adjoints = RoundAdjoints.allocate(self.own, self.batch.real)

    def leave_out(self, t: int, start: wp.array, repeat: wp.array | None = None) -> None:
        """Take contacts that may have an impact out of the plain rows of step ``t``."""
        batch = self.batch
        leave_out.leave_out(
            batch.real, batch.arrays, batch.q[t], start, batch.features, self.stage.rows, self.own, repeat=repeat,
            **self._step,
        )  # fmt: skip

    def begin(self, t: int, start: wp.array) -> None:
        """Find the first segments, and the first events on them."""
        batch, own = self.batch, self.own
        real, arrays, path, label = batch.real, batch.arrays, own.path, own.round.label
        worlds.begin(real, own, batch.q[t], batch.solved)
        groups.find_groups(
            real, arrays, own, True, own.pending, label, batch.features.count, self.stage.rows, path.mean[0], start,
            path.start[0], own.first, h=self.h, eps=batch.options.stiction,
        )  # fmt: skip
        groups.accelerate(
            real, arrays, True, own.pending, label, own.first, path.mean[0], start, path.start[0], path.pull[0],
            h=self.h,
        )  # fmt: skip
        events.find_events(real, arrays, batch.features, own, h=self.h)

    def go_on(self, t: int, *, keep: bool = False) -> None:
        """Take all rounds of a step whose first events are found; ``keep`` them for what goes back."""

        def take() -> None:
            batch, own = self.batch, self.own
            self._take(t)
            if keep:
                assert self.kept is not None
                worlds.keep(batch.real, own, self.kept, back=False)
            worlds.shift(batch.real, own.round.going, _arrays(own.path, 1), _arrays(own.path, 0), clear=False)
            worlds.tick(batch.real, own)
            events.find_events(batch.real, batch.arrays, batch.features, own, h=self.h)

        self.batch.repeat(self.own.any, take, self.own.most)

    def _take(self, t: int) -> None:
        """The impacts of a round, and what is left of the step after them."""
        batch, own, r = self.batch, self.own, self.own.round
        real, arrays, features, h, path = batch.real, batch.arrays, batch.features, self.h, own.path
        tangential, threshold = self._law["tangential"], self._step["threshold"]
        paths.advance(real, arrays, own, r, h=h)
        impact_law.find_approach(real, arrays, features, own, r, threshold=threshold, h=h)
        impact_law.aim(real, r, tangential=tangential)
        impact_guess.guess(real, arrays, features, own, r)
        for solve in range(SOLVES):
            if solve > 0:
                wp.copy(r.solved[solve], r.solved[solve - 1])
            impact_rows.impact_rows(real, arrays, features, own, r, solve, **self._law)
            impact_settle.settle(real, arrays, features, own, r, solve, eps=self._law["eps"])
            self._impact_solver.solve(
                path.pose[1], r.aim, batch.control[t], own.total, own.rows, r.solved[solve], batch.report, own.solves,
                further=1,
            )  # fmt: skip
            impact_law.measure(real, arrays, features, own, r, solve, self.power, **self._law)
        impact_after.leave(real, arrays, own, r)
        rest_start.start_rest(real, arrays, r, h=h)
        rest_start.drive(real, arrays, batch.control[t], r, h=h)
        leave_out.release(real, arrays, features, own, r, threshold=threshold, h=h)
        rest.rest_rows(real, arrays, features, own, r, again=False, **self._step)
        self.batch.where(own.any_solves, self._solve_rest)
        groups.find_groups(
            real, arrays, own, False, r.going, r.label, own.total, own.rows, path.mean[1], r.after, path.start[1],
            r.limiter, h=h, eps=batch.options.stiction,
        )  # fmt: skip
        groups.accelerate(
            real, arrays, False, r.going, r.label, r.limiter, path.mean[1], r.after, path.start[1], path.pull[1], h=h
        )

    def _solve_rest(self) -> None:
        own, r = self.own, self.own.round
        wp.copy(own.guess, r.goal)
        self._rest_solver.solve(
            own.path.pose[1], r.goal, r.drive[0], own.total, own.rows, own.guess, self.batch.report, own.solves,
            further=1,
        )  # fmt: skip
        worlds.accept(self.batch.real, own, own.guess, own.path.mean[1])

    def adjoint(self, t: int, start: wp.array, adj_solved: wp.array, g: Adjoints) -> None:
        """Adjoints of all rounds of step ``t``, the last first, down to that of the first plain solve's velocities."""
        batch, own, mine, r = self.batch, self.own, self.adjoints, self.own.round
        assert mine is not None
        real, arrays, path, adj = batch.real, batch.arrays, own.path, mine.path
        q1, v1, adj_q1, adj_v1 = batch.q[t + 1], batch.v[t + 1], batch.adj_q[t + 1], batch.adj_v[t + 1]
        mine.path_memory.zero_()
        paths.finish_adjoint(real, arrays, own, q1, v1, adj_q1, adj_v1, mine, g, h=self.h)

        def take_back() -> None:
            assert self.kept is not None
            worlds.tick(real, own, -1)
            worlds.keep(real, own, self.kept, back=True)
            self._take_back(t, mine, g)
            worlds.shift(real, r.going, _arrays(adj, 0), _arrays(adj, 1), clear=True)

        batch.repeat(own.number, take_back, own.most)
        groups.accelerate_adjoint(
            real, arrays, True, own.taken, r.label, own.first, path.mean[0], start, path.start[0], path.pull[0],
            adj.pull[1], adj.mean[1], g.body_v0, None, g.gravity, h=self.h,
        )  # fmt: skip
        worlds.hand_back(real, own, mine, g.body_q, adj_solved, adj_q1, adj_v1)

    def _take_back(self, t: int, mine: RoundAdjoints, g: Adjoints) -> None:
        """Adjoint of a round."""
        batch, own, r = self.batch, self.own, self.own.round
        real, arrays, features, h, path, adj = batch.real, batch.arrays, batch.features, self.h, own.path, mine.path
        mine.memory.zero_()
        ours = dataclasses.replace(
            g, model=self._driven, active=mine.active, body_q=adj.pose[1], body_v0=mine.goal, gravity=mine.no_gravity,
            control=mine.drive[0], actuator_stiffness=mine.drive[1], actuator_damping=mine.drive[2],
        )  # fmt: skip
        groups.accelerate_adjoint(
            real, arrays, False, r.going, r.label, r.limiter, path.mean[1], r.after, path.start[1], path.pull[1],
            adj.pull[1], adj.mean[1], mine.after, adj.start[1], g.gravity, h=h,
        )  # fmt: skip
        # the solve over what is left
        worlds.seed_rest(real, r, adj.mean[1], own.guess)
        rest.rest_rows(real, arrays, features, own, r, again=True, **self._step)
        self._rest_solver.adjoint(path.pose[1], r.goal, path.mean[1], own.total, own.rows, own.guess, ours)
        rest.rest_adjoint(real, arrays, features, own, r, mine, g, **self._step)
        adjoint.body_adjoint(real, self._driven, path.pose[1], r.goal, path.mean[1], r.drive[0], ours, h=h)
        rest_start.drive_adjoint(real, arrays, batch.control[t], r, mine, g, h=h)
        rest_start.start_rest_adjoint(real, arrays, r, mine, g, h=h)
        # the impact
        impact_after.leave_adjoint(real, arrays, own, r, mine, g)
        ours = dataclasses.replace(ours, model=self._bare, body_v0=mine.aim)
        for solve in reversed(range(SOLVES)):
            if solve + 1 < SOLVES:
                impact_law.load_adjoint(real, arrays, features, own, r, solve, mine, g, **self._law)
            impact_rows.impact_rows(real, arrays, features, own, r, solve, **self._law)
            self._impact_solver.adjoint(
                path.pose[1], r.aim, r.solved[solve], own.total, own.rows, mine.solved[solve], ours
            )
            impact_law.law_adjoint(real, arrays, features, own, r, solve, mine, g, **self._law)
            adjoint.body_adjoint(real, self._bare, path.pose[1], r.aim, r.solved[solve], batch.control[t], ours, h=h)
        impact_guess.guess_adjoint(real, arrays, features, own, r, mine, g)
        impact_law.aim_adjoint(real, r, mine, tangential=self._law["tangential"])
        impact_law.approach_adjoint(real, arrays, features, own, r, mine, g, threshold=self._step["threshold"], h=h)
        # the way to it
        paths.advance_adjoint(real, arrays, own, r, mine, g, h=h)
        impact_time.time_adjoint(real, arrays, features, own, r, mine, g, h=h)

    def add_forces(self, start: wp.array, out: Forces) -> None:
        """Replace the contact forces of worlds that took rounds by the means over the step of all that acted."""
        batch, own, r = self.batch, self.own, self.own.round
        real, arrays, features, h, eps = batch.real, batch.arrays, batch.features, self.h, batch.options.stiction
        later, aside = self.later, self.aside
        assert later is not None
        assert aside is not None
        impact_forces.set_aside(real, own, later, aside, out)

        def add() -> None:
            assert self.kept is not None
            worlds.tick(real, own, -1)
            worlds.keep(real, own, self.kept, back=True)
            impact_rows.impact_rows(real, arrays, features, own, r, SOLVES - 1, **self._law)
            impact_forces.add_impact(real, own, r, out, h=h, eps=eps)
            rest.rest_rows(real, arrays, features, own, r, again=True, **self._step)
            impact_forces.add_rest(real, arrays, own, r, later, out, h=h, eps=eps)

        batch.repeat(own.number, add, own.most)
        impact_forces.add_first(real, arrays, own, features, self.stage.rows, start, later, aside, out, h=h)
