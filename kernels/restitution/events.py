"""Events of a round: when contacts close on the paths of their bodies, and which bodies take part in which impact.

An event goes with the bodies that touch at its time, its *cluster*. Every cluster whose event is the next one of all of
its bodies is taken in the same round. Bodies that are not struck but may be touched in what is left of the step, by a
contact without restitution, go on from the same time. One thread a world, so that the order is always the same.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision.features import Features
from ..core.model_arrays import ModelArrays
from . import clusters, contacts, meetings
from .round_arrays import Rounds

__all__ = ["find_events", "make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernel for one precision."""
    meet, near = meetings.make(dtype), clusters.make(dtype)
    FeatureTable, Motion = contacts.make(dtype).FeatureTable, meet.Motion
    time_of, soon, taken = near.time_of, near.soon, near.taken
    join_cluster, join_touched = near.join_cluster, near.join_touched

    @wp.kernel(enable_backward=False, module="unique")
    def events_kernel(
        shape_restitution: wp.array2d(dtype=dtype), f: FeatureTable, number: wp.array(dtype=int), m: Motion,
        pending: wp.array(dtype=int), round_number: wp.array(dtype=int), tries: wp.array(dtype=int), single: int,
        most: int, h: dtype, free: wp.array2d(dtype=int), acts: wp.array2d(dtype=int),
        # in and out
        event: wp.array2d(dtype=dtype), soonest: wp.array2d(dtype=dtype), tried: wp.array2d(dtype=int),
        # out
        going: wp.array(dtype=int), anywhere: wp.array(dtype=int), taken_rounds: wp.array(dtype=int),
        label: wp.array2d(dtype=int), struck: wp.array2d(dtype=int), trigger: wp.array2d(dtype=int),
        law: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world = wp.tid()
        going[world] = 0
        first = int(round_number[0] == 0)
        together = int(round_number[0] >= single)
        if first != 0 and (tries[0] == 0 or pending[world] != 0):
            taken_rounds[world] = 0
        if pending[world] == 0 or round_number[0] >= most:
            return
        count = number[world]
        bodies = label.shape[1]
        never = dtype(wp.inf)
        for body in range(bodies):
            soonest[world, body] = never
        found = int(0)
        for c in range(count):
            law[world, c] = -1
            a = m.body[f.shape_a[world, c]]
            b = m.body[f.shape_b[world, c]]
            if free[world, c] != 1:
                event[world, c] = never
            elif first != 0 or taken(label, world, a) or taken(label, world, b):
                event[world, c] = meet.event(world, c, a, b, f, m, h)
            tried[world, c] = 0
            t = event[world, c]
            if t < never:
                found = int(1)
                if a >= 0:
                    soonest[world, a] = wp.min(soonest[world, a], t)
                if b >= 0:
                    soonest[world, b] = wp.min(soonest[world, b], t)
        pending[world] = found
        if found == 0:
            return
        for body in range(bodies):
            label[world, body] = -1
            struck[world, body] = 0
            trigger[world, body] = -1
        looking = int(1)
        while looking == 1:
            looking = int(0)
            next_event = never
            c0 = int(-1)
            for c in range(count):
                t = event[world, c]
                if t < next_event and tried[world, c] == 0:
                    a = m.body[f.shape_a[world, c]]
                    b = m.body[f.shape_b[world, c]]
                    if soon(soonest, world, a, t) and soon(soonest, world, b, t):
                        if not taken(label, world, a) and not taken(label, world, b):
                            next_event = t
                            c0 = c
            if c0 >= 0:
                looking = int(1)
                tried[world, c0] = 1
                a = m.body[f.shape_a[world, c0]]
                b = m.body[f.shape_b[world, c0]]
                leader = wp.max(a, b)
                tau = next_event
                source = c0
                reach = dtype(0.0)
                deep, _u, _pull, rounding = meet.at(world, c0, a, b, tau, f, m, h)
                if together != 0 or deep <= -meet.touches(rounding):  # at once
                    tau = wp.max(time_of(m, world, a), time_of(m, world, b))
                    source = -2 - leader
                    if time_of(m, world, wp.min(a, b)) == tau and wp.min(a, b) >= 0:
                        source = -2 - wp.min(a, b)
                growing = int(1)
                good = int(0)
                while growing == 1:
                    growing = int(0)
                    if a >= 0:
                        label[world, a] = leader
                        struck[world, a] = 1
                    if b >= 0:
                        label[world, b] = leader
                        struck[world, b] = 1
                    begun = wp.max(tau, wp.max(time_of(m, world, a), time_of(m, world, b)))
                    if together != 0:
                        reach = meet.reach(world, a, b, m) * (h - tau)
                    fastest = join_cluster(
                        world, c0, leader, tau, begun, together, reach, f, count, m, soonest, h, label, struck, law
                    )
                    if fastest >= dtype(0.0):
                        good = int(join_touched(
                            world, leader, tau, begun, together, fastest, f, count, m, shape_restitution, soonest, h,
                            free, acts, label,
                        ))  # fmt: skip
                    elif fastest <= dtype(-2.0):
                        source = int(fastest)
                        tau = m.start[world, -2 - source]
                        growing = int(1)
                    if good == 0:
                        for body in range(bodies):
                            if label[world, body] == leader:
                                label[world, body] = -1
                                struck[world, body] = 0
                        for c in range(count):
                            if law[world, c] == leader:
                                law[world, c] = -1
                if good == 1:
                    trigger[world, leader] = source
                    going[world] = 1
                    anywhere[0] = 1
                    for body in range(bodies):
                        if label[world, body] == leader:
                            time[world, body] = tau
        if going[world] == 1:
            taken_rounds[world] = taken_rounds[world] + 1

    return SimpleNamespace(events=events_kernel)


def find_events(dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, *, h: float) -> None:
    """Find the events of a round, and who takes part in them.

    After the rounds of single events, all contacts near each other that would close in what is left take part at once.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: The model.
        features: Contacts of the step.
        rounds: Of the step.
        h: Step [s].
    """
    r = rounds.round
    rounds.any.zero_()
    wp.launch(
        make(dtype).events,
        dim=r.going.shape,
        inputs=[
            model.shape_restitution, features.struct, features.count,
            meetings.motion_of(dtype, model, rounds.path, 0), rounds.pending, rounds.number, rounds.tries,
            rounds.single, rounds.most, h, rounds.free, rounds.acts,
        ],
        outputs=[
            rounds.event, rounds.soonest, rounds.tried, r.going, rounds.any, rounds.taken, r.label, r.struck, r.trigger,
            r.law, r.time,
        ],
        device=r.going.device,
    )  # fmt: skip
