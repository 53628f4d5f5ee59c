"""What the rounds of events of a step write. W worlds, B bodies, C contacts, A actuators.

All rounds share one set of arrays, of which a pass that goes back keeps copies. They lie in one piece of memory, so
that a copy is one launch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import warp as wp

from ..contact.row_arrays import ContactRows
from ..core.precision import precision

__all__ = ["SOLVES", "Path", "Round", "RoundAdjoints", "Rounds"]

SOLVES = 4
"""Solves of an impact: normal impulses; with the friction that these imply; with that of the impulses of the second."""

ALIGNED = 16
"""Bytes."""


class _Memory:
    """Arrays carved out of one piece of memory of 32-bit words."""

    def __init__(self, device: Any):
        self.device, self.wanted, self.size = device, [], 0

    def ask(self, kind: Any, *shape: int) -> int:
        """Number of an array of zeros to come."""
        self.wanted.append((kind, shape, self.size))
        size = math.prod(shape) * wp.types.type_size_in_bytes(kind)
        self.size += -(-size // ALIGNED) * ALIGNED
        return len(self.wanted) - 1

    def carve(self) -> tuple[wp.array, list[wp.array]]:
        """The memory, and all arrays asked for."""
        words = wp.zeros(self.size // 4, dtype=wp.int32, device=self.device)
        return words, [
            wp.array(ptr=words.ptr + at, dtype=kind, shape=shape, device=self.device, copy=False)
            for kind, shape, at in self.wanted
        ]


@dataclass
class Path:
    """Segments of the bodies' paths, see ``paths.py``: before a round and after it, two arrays [W, B] each."""

    pose: list[wp.array]  # transform: at the start of the segment
    mean: list[wp.array]  # spatial: velocity over the rest of the step
    pull: list[wp.array]  # vec3: acceleration [m/s^2]
    start: list[wp.array]  # time in the step [s]


def _ask_path(memory: _Memory, worlds: int, bodies: int, dtype: Any) -> list[int]:
    p = precision(dtype)
    return [memory.ask(t, worlds, bodies) for t in (p.transform, p.spatial, p.vec3, dtype) for _ in range(2)]


def _path(arrays: list[wp.array]) -> Path:
    return Path(*(arrays[i : i + 2] for i in range(0, 8, 2)))


@dataclass
class Round:
    """A round; arrays by body are [W, B], by contact [W, C]."""

    going: wp.array  # int32 [W]: whether there is an event
    label: wp.array  # int32: number of the body after which the cluster is called that a body goes on with; -1: none
    struck: wp.array  # int32: whether the body takes part in the impact of that cluster, or only in what is left
    trigger: wp.array  # int32, of a cluster: contact that closes, or -2 - body whose time it takes
    law: wp.array  # int32: cluster in whose impact a contact takes part; -1: none
    rest: wp.array  # int32: whether a contact has a row in the solve for what is left of the step, 2: at its cap
    limiter: wp.array  # int32: body whose contacts limit the acceleration of the body's group; see ``groups.py``
    time: wp.array  # scalar: of the impact [s]
    before: wp.array  # spatial: velocities before it
    approach: wp.array  # vec2, of a cluster: sum of energies of approach, and of their parts that restitution keeps
    aim: wp.array  # spatial: (1 + e_t) times the velocity before; of the solves
    solved: list[wp.array]  # spatial: (velocity after) + e_t (velocity before), of the solves
    load: list[wp.array]  # scalar: normal impulse [N s] guessed, and after each of the solves
    part: wp.array  # scalar: part of a contact in the stiffness of its pair
    share: wp.array  # scalar: the same in that of the pair's contacts in the impact
    stiff: wp.array  # scalar: stiffness of the impact [kg]
    work: wp.array  # vec2, of a cluster: of the guard, see ``impact_after.py``
    after: wp.array  # spatial: velocities after the impact
    goal: wp.array  # spatial: those with which bodies would go through what is left of the step without contacts
    drive: list[wp.array]  # [W, A]: control, stiffness, damping of actuators for what is left


@dataclass
class Rounds:
    """All rounds of a step."""

    path: Path
    round: Round
    memory: wp.array  # int32: of path and round
    number: wp.array  # int32 [1]: of the round
    any: wp.array  # int32 [1]: whether it has an event in any world
    any_pending: wp.array  # int32 [1]: whether there are contacts that may have an event in any world
    first: wp.array  # int32 [W, B]: ``Round.limiter`` of the first segment
    taken: wp.array  # int32 [W]: rounds with events
    pending: wp.array  # int32 [W]: whether there are contacts that may have an event
    free: wp.array  # int32 [W, C]: contacts left out of the plain solve, since they may have an event
    capped: wp.array  # int32 [W, C]: contacts of the first plain solve at their cap
    acts: wp.array  # int32 [W, C]: contacts that act in the last plain solve
    event: wp.array  # scalar [W, C]: time of the next event [s]
    soonest: wp.array  # scalar [W, B]: of those of a body
    tried: wp.array  # int32 [W, C]: events looked at in a round
    group: wp.array  # int32 [W, B]: working memory of ``groups.py``
    contact: wp.array  # int32 [W, 2 C]: contact of a row
    rows: ContactRows  # [W, 2 C]
    total: wp.array  # int32 [W]: rows; -1 in worlds without an event
    solves: wp.array  # int32 [W]: worlds that take the next solve
    any_solves: wp.array  # int32 [1]: whether there are any
    guess: wp.array  # spatial [W, B]: working memory
    inverse: wp.array  # mat33 [W, B]: inverse inertia of struck bodies about their free axes; see ``impact_settle.py``
    push: wp.array  # vec3 [W, 2 C]: impulses while a solve's start is looked for
    looks: wp.array  # int32 [W]: worlds that take the rounds of a step
    missed: wp.array  # int32 [W]: worlds where a pair was missed; see ``missed.py``
    again: wp.array  # int32 [1]: whether rounds are to be taken (again)
    tries: wp.array  # int32 [1]: how often they were
    single: int  # rounds of single events
    most: int  # rounds

    @classmethod
    def allocate(
        cls, single: int, together: int, worlds: int, bodies: int, contacts: int, actuators: int, dtype: Any,
        device: Any, resists: bool,
    ) -> Rounds:  # fmt: skip
        """Zeros."""
        p, i = precision(dtype), wp.int32
        memory = _Memory(device)

        def by_body(kind: Any) -> int:
            return memory.ask(kind, worlds, bodies)

        def by_contact(kind: Any) -> int:
            return memory.ask(kind, worlds, contacts)

        _ask_path(memory, worlds, bodies, dtype)
        wanted: list[Any] = [
            memory.ask(i, worlds), by_body(i), by_body(i), by_body(i), by_contact(i), by_contact(i), by_body(i),
            by_body(dtype), by_body(p.spatial), by_body(p.vec2), by_body(p.spatial),
            [by_body(p.spatial) for _ in range(SOLVES)], [by_contact(dtype) for _ in range(SOLVES + 1)],
            by_contact(dtype), by_contact(dtype), by_contact(dtype), by_body(p.vec2), by_body(p.spatial),
            by_body(p.spatial), [memory.ask(dtype, worlds, actuators) for _ in range(3)],
        ]  # fmt: skip
        words, arrays = memory.carve()
        found = [[arrays[n] for n in x] if isinstance(x, list) else arrays[x] for x in wanted]

        def zeros(kind: Any, *shape: int) -> wp.array:
            return wp.zeros(shape, dtype=kind, device=device)

        return cls(
            _path(arrays), Round(*found), words, zeros(i, 1), zeros(i, 1), zeros(i, 1), zeros(i, worlds, bodies),
            zeros(i, worlds), zeros(i, worlds), zeros(i, worlds, contacts), zeros(i, worlds, contacts),
            zeros(i, worlds, contacts), zeros(dtype, worlds, contacts),
            zeros(dtype, worlds, bodies), zeros(i, worlds, contacts), zeros(i, worlds, bodies),
            zeros(i, worlds, 2 * contacts), ContactRows.allocate(worlds, 2 * contacts, dtype, device, resists),
            zeros(i, worlds), zeros(i, worlds), zeros(i, 1), zeros(p.spatial, worlds, bodies),
            zeros(p.mat33, worlds, bodies), zeros(p.vec3, worlds, 2 * contacts),
            zeros(i, worlds), zeros(i, worlds), zeros(i, 1), zeros(i, 1), single, single + together,
        )  # fmt: skip


@dataclass
class RoundAdjoints:
    """Adjoints of the floating-point fields of a round and of the paths."""

    path: Path
    path_memory: wp.array
    time: wp.array
    before: wp.array
    approach: wp.array
    aim: wp.array
    solved: list[wp.array]
    load: list[wp.array]
    part: wp.array
    share: wp.array
    stiff: wp.array
    work: wp.array
    after: wp.array
    goal: wp.array
    drive: list[wp.array]
    slope: wp.array  # [W, B]: rate of the gap at the time of the impact [m/s]
    memory: wp.array  # of all these
    seed: wp.array  # [W, C]: share of a contact in the time of its cluster
    gap: wp.array  # [W, C]: written by launches whose adjoint is asked for
    active: wp.array  # int32 [W, 2 C]
    no_gravity: wp.array  # vec3 [W]: what is not asked for

    @classmethod
    def allocate(cls, like: Rounds, dtype: Any) -> RoundAdjoints:
        """Zeros."""
        r, device = like.round, like.taken.device
        worlds, bodies = r.label.shape
        paths = _Memory(device)
        _ask_path(paths, worlds, bodies, dtype)
        path_memory, of_paths = paths.carve()
        memory = _Memory(device)
        names = (
            "time", "before", "approach", "aim", "solved", "load", "part", "share", "stiff", "work", "after", "goal",
            "drive",
        )  # fmt: skip

        def like_it(x: Any) -> Any:
            return [like_it(y) for y in x] if isinstance(x, list) else memory.ask(x.dtype, *x.shape)

        wanted = [like_it(getattr(r, name)) for name in (*names, "time")]
        words, arrays = memory.carve()
        found = [[arrays[n] for n in x] if isinstance(x, list) else arrays[x] for x in wanted]
        return cls(
            _path(of_paths), path_memory, *found, words,
            *(wp.zeros(r.law.shape, dtype=dtype, device=device) for _ in range(2)),
            wp.zeros(like.contact.shape, dtype=wp.int32, device=device),
            wp.zeros(worlds, dtype=precision(dtype).vec3, device=device),
        )  # fmt: skip
