"""Clusters of an event: bodies and contacts that touch at its time, and bodies that go on with them. Forward only."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..contact import hard
from . import contacts, meetings

__all__ = ["make"]

SAME = 1.0e-6
"""Times that differ by less are the same, in parts of the step."""

WIDER = 2.0
"""How much faster than before an impact what it sets in motion may be."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Functions ``soon``, ``taken``, ``time_of``, ``join_cluster`` and ``join_touched`` for one precision."""
    meet, pair = meetings.make(dtype), hard.make(dtype)
    FeatureTable, Motion = contacts.make(dtype).FeatureTable, meet.Motion

    @wp.func
    def belongs(label: wp.array2d(dtype=int), world: int, body: int, leader: int):
        result = bool(False)
        if body >= 0:
            result = label[world, body] == leader
        return result

    @wp.func
    def soon(soonest: wp.array2d(dtype=dtype), world: int, body: int, time: dtype):
        """Whether the event at ``time`` is the next one of a body."""
        result = bool(True)
        if body >= 0:
            result = soonest[world, body] >= time
        return result

    @wp.func
    def taken(label: wp.array2d(dtype=int), world: int, body: int):
        result = bool(False)
        if body >= 0:
            result = label[world, body] >= 0
        return result

    @wp.func
    def time_of(m: Motion, world: int, body: int):
        result = dtype(0.0)
        if body >= 0:
            result = m.start[world, body]
        return result

    @wp.func
    def join_cluster(
        world: int, first: int, leader: int, time: dtype, begun: dtype, together: int, reach: dtype, f: FeatureTable,
        count: int, m: Motion, soonest: wp.array2d(dtype=dtype), h: dtype,
        label: wp.array2d(dtype=int), struck: wp.array2d(dtype=int), law: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Mark the bodies and contacts that touch at ``time``; the fastest approach among them [m/s].

        ``begun`` is ``time``, or the start of the two bodies' segments where that is later: a contact that closed a
        rounding before the step did so at a time before it.

        Negative: minus one for a body that another event takes first, or -2 - body for one whose time is later.
        """
        fastest = dtype(0.0)
        growing = int(1)
        while growing == 1:
            growing = int(0)
            for c in range(count):
                a = m.body[f.shape_a[world, c]]
                b = m.body[f.shape_b[world, c]]
                has_a = belongs(label, world, a, leader)
                has_b = belongs(label, world, b, leader)
                if (has_a or has_b) and law[world, c] != leader:
                    other = int(-1)
                    if has_a and not has_b:
                        other = b
                    if has_b and not has_a:
                        other = a
                    late = other >= 0 and time_of(m, world, other) > begun + dtype(SAME) * h
                    if c == first or not late or together != 0:
                        gap, u, _pull, rounding = meet.at(world, c, a, b, time, f, m, h)
                        closes = c == first or gap <= meet.touches(rounding)
                        if together != 0 and gap <= reach:
                            if gap + wp.min(u, dtype(0.0)) * (h - time) * dtype(1.5) <= dtype(0.0):
                                closes = True
                        if closes and c != first:
                            closes = meet.takes_part(world, c, a, b, time, f, m, h)
                        if closes:
                            if other >= 0:
                                if label[world, other] >= 0:
                                    return dtype(-1.0)
                                if late:
                                    return dtype(-2.0) - dtype(other)
                                if together == 0 and soonest[world, other] < time:
                                    return dtype(-1.0)
                                label[world, other] = leader
                                struck[world, other] = 1
                                growing = int(1)
                            law[world, c] = leader
                            fastest = wp.max(fastest, wp.abs(u))
        return fastest

    @wp.func
    def join_touched(
        world: int, leader: int, time: dtype, begun: dtype, together: int, fastest: dtype, f: FeatureTable, count: int,
        m: Motion,
        shape_restitution: wp.array2d(dtype=dtype), soonest: wp.array2d(dtype=dtype), h: dtype,
        free: wp.array2d(dtype=int), acts: wp.array2d(dtype=int), label: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Mark the bodies that the cluster may touch in what is left; whether no other event takes them first."""
        growing = int(1)
        while growing == 1:
            growing = int(0)
            for c in range(count):
                a = m.body[f.shape_a[world, c]]
                b = m.body[f.shape_b[world, c]]
                other = int(-1)
                if free[world, c] != 1:
                    if belongs(label, world, a, leader) and not belongs(label, world, b, leader):
                        other = b
                    if belongs(label, world, b, leader) and not belongs(label, world, a, leader):
                        other = a
                if other >= 0:
                    if time_of(m, world, other) <= begun + dtype(SAME) * h:
                        touched = acts[world, c] == 1
                        if not touched:
                            e = pair.friction(
                                shape_restitution[world, f.shape_a[world, c]],
                                shape_restitution[world, f.shape_b[world, c]],
                            )
                            if e == dtype(0.0):
                                gap, u, _pull, _rounding = meet.at(world, c, a, b, time, f, m, h)
                                speed = dtype(WIDER) * (fastest + wp.abs(u))
                                touched = gap <= speed * (h - time)
                        if touched:
                            if label[world, other] >= 0 or (together == 0 and soonest[world, other] < time):
                                return False
                            label[world, other] = leader
                            growing = int(1)
        return True

    return SimpleNamespace(
        soon=soon, taken=taken, time_of=time_of, join_cluster=join_cluster, join_touched=join_touched
    )
