"""What acted in a step with impacts: the mean over the step of each contact's force, its impacts and all plain solves.

The impulse of a plain solve acts until its bodies have the next impact. By then they have the velocity that their path
gives, which holds a part of the impulse: f = 1 + sigma (tau/h - 1/2) for the first segment, and 1 + sigma (2 (tau -
t0)/r - 1) for one that begins at t0 with r seconds left, and 1 - sigma t0/r for the last. sigma is the part of the
contacts' acceleration that a path has, see ``groups.py``. Changes of the stored velocities are then those of these
forces.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import law, row_arrays
from ..contact.forces import Forces
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import groups, impact_after
from .round_arrays import Round, Rounds

__all__ = ["add_first", "add_impact", "add_rest", "make", "set_aside"]


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernels for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec2, vec3, spatial = p.vec2, p.vec3, p.spatial
    contact_law, dyn = law.make(dtype, resists), motion.make(dtype)
    share_of, kept_of = groups.make(dtype, resists).share_of, impact_after.make(dtype).share
    Motion, Rows, Bodies = contact_law.Motion, row_arrays.make(dtype, resists), model_arrays.make(dtype).Bodies

    @wp.func
    def next_time(next: wp.array2d(dtype=dtype), world: int, a: int, b: int):
        """Time of the next impact of a contact's bodies [s]; negative infinity for none."""
        t = dtype(-wp.inf)
        if a >= 0:
            t = wp.max(t, next[world, a])
        if b >= 0:
            t = wp.max(t, next[world, b])
        return t

    @wp.func
    def add(
        world: int, c: int, push: Motion, n: vec3, part: dtype, force: wp.array2d(dtype=vec3),
        torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        if wp.static(resists):
            force[world, c] = force[world, c] + dyn.linear(push) * part
        else:
            force[world, c] = force[world, c] + push * part
        torque[world, c] = torque[world, c] + contact_law.moment(push, n, vec3()) * part

    @wp.kernel(enable_backward=False, module="unique")
    def set_aside_kernel(
        taken: wp.array(dtype=int), next: wp.array2d(dtype=dtype),
        # in and out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
        # out
        aside: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world = wp.tid()
        if taken[world] == 0:
            return
        for body in range(next.shape[1]):
            next[world, body] = dtype(-wp.inf)
        for c in range(force.shape[1]):
            aside[world, c] = dyn.join(force[world, c], torque[world, c])
            force[world, c] = vec3()
            torque[world, c] = vec3()

    @wp.kernel(enable_backward=False, module="unique")
    def first_kernel(
        body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3), taken: wp.array(dtype=int),
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        next: wp.array2d(dtype=dtype), aside: wp.array2d(dtype=spatial), limiter: wp.array2d(dtype=int),
        mean: wp.array2d(dtype=spatial), base: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype), h: dtype,
        # in and out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world, c = wp.tid()
        if taken[world] == 0 or c >= count[world]:
            return
        a = row_a[world, c]
        b = row_b[world, c]
        t = next_time(next, world, a, b)
        part = dtype(1.0)
        if t > dtype(-wp.inf):
            sigma = share_of(world, wp.max(a, b), 1, limiter, body_mask, gravity[world], mean, base, start, h)
            part += sigma * (t / h - dtype(0.5))
        force[world, c] = force[world, c] + dyn.linear(aside[world, c]) * part
        torque[world, c] = torque[world, c] + dyn.angular(aside[world, c]) * part

    @wp.kernel(enable_backward=False, module="unique")
    def next_kernel(
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype),
        # in and out
        next: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] != 0:
            if label[world, body] >= 0:
                next[world, body] = time[world, body]

    @wp.kernel(enable_backward=False, module="unique")
    def impact_kernel(
        going: wp.array(dtype=int), law_label: wp.array2d(dtype=int), work: wp.array2d(dtype=vec2),
        total: wp.array(dtype=int), contact: wp.array2d(dtype=int), rows: Rows, solved: wp.array2d(dtype=spatial),
        h: dtype, eps: dtype,
        # in and out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world = wp.tid()
        if going[world] == 0:
            return
        for k in range(total[world]):
            c = contact[world, k]
            n = rows.normal[world, k]
            u = contact_law.relative_motion(
                solved, world, rows.body_a[world, k], rows.body_b[world, k], rows.arm_a[world, k],
                rows.arm_b[world, k], n, vec3(),
            )  # fmt: skip
            push = contact_law.impulse(u, n, rows.coefficients[world, k], eps)
            add(world, c, push, n, kept_of(work[world, law_label[world, c]]) / h, force, torque)

    @wp.kernel(enable_backward=False, module="unique")
    def rest_kernel(
        bodies: Bodies, going: wp.array(dtype=int), next: wp.array2d(dtype=dtype), limiter: wp.array2d(dtype=int),
        total: wp.array(dtype=int), contact: wp.array2d(dtype=int), rows: Rows, mean: wp.array2d(dtype=spatial),
        base: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype), h: dtype, eps: dtype,
        # in and out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world = wp.tid()
        if going[world] == 0:
            return
        for k in range(total[world]):
            n = rows.normal[world, k]
            a = rows.body_a[world, k]
            b = rows.body_b[world, k]
            u = contact_law.relative_motion(mean, world, a, b, rows.arm_a[world, k], rows.arm_b[world, k], n, vec3())
            push = contact_law.impulse(u, n, rows.coefficients[world, k], eps)
            if contact_law.normal_part(push, n) > dtype(0.0):
                body = wp.max(a, b)
                t = next_time(next, world, a, b)
                sigma = share_of(world, body, 0, limiter, bodies.mask, bodies.gravity[world], mean, base, start, h)
                began = start[world, body]
                left = h - began
                part = dtype(1.0)
                if sigma > dtype(0.0):
                    if t > dtype(-wp.inf):
                        part += sigma * (dtype(2.0) * (t - began) / left - dtype(1.0))
                    else:
                        part -= sigma * began / left
                add(world, contact[world, k], push, n, part / h, force, torque)

    return SimpleNamespace(
        set_aside=set_aside_kernel, first=first_kernel, next=next_kernel, impact=impact_kernel, rest=rest_kernel
    )


def set_aside(dtype: Any, rounds: Rounds, next: wp.array, aside: wp.array, out: Forces) -> None:
    """Put the forces of the first plain solve ``aside``, spatial [W, C], of worlds that took rounds.

    ``next``, [W, B], becomes the time of the next impact of each body: none.
    """
    wp.launch(
        make(dtype).set_aside, dim=rounds.taken.shape, inputs=[rounds.taken, next],
        outputs=[out.force, out.torque, aside], device=next.device,
    )  # fmt: skip


def add_first(
    dtype: Any, model: ModelArrays, rounds: Rounds, features: Features, rows: ContactRows, start: wp.array,
    next: wp.array, aside: wp.array, out: Forces, *, h: float,
) -> None:  # fmt: skip
    """Add what acted until the bodies' first impact."""
    p = rounds.path
    wp.launch(
        make(dtype, rows.resists).first, dim=features.kind.shape,
        inputs=[
            model.body_mask, model.gravity, rounds.taken, features.count, rows.body_a, rows.body_b, next, aside,
            rounds.first, p.mean[0], start, p.start[0], h,
        ],
        outputs=[out.force, out.torque], device=start.device,
    )  # fmt: skip


def add_impact(dtype: Any, rounds: Rounds, r: Round, out: Forces, *, h: float, eps: float) -> None:
    """Add the impulses of a round's impacts, of the rows of their last solve."""
    o = rounds.rows
    wp.launch(
        make(dtype, o.resists).impact, dim=r.going.shape,
        inputs=[
            r.going, r.law, r.work, rounds.total, rounds.contact, o.struct, r.solved[-1], h, eps,
        ],
        outputs=[out.force, out.torque], device=r.going.device,
    )  # fmt: skip


def add_rest(
    dtype: Any, model: ModelArrays, rounds: Rounds, r: Round, next: wp.array, out: Forces, *, h: float, eps: float
) -> None:
    """Add what acted after a round's impacts until the next ones, of the rows of what was left; update ``next``."""
    o, p, k = rounds.rows, rounds.path, make(dtype, rounds.rows.resists)
    wp.launch(
        k.rest, dim=r.going.shape,
        inputs=[
            model.bodies, r.going, next, r.limiter, rounds.total, rounds.contact, o.struct, p.mean[1], r.after,
            p.start[1], h, eps,
        ],
        outputs=[out.force, out.torque], device=r.going.device,
    )  # fmt: skip
    wp.launch(k.next, dim=next.shape, inputs=[r.going, r.label, r.time], outputs=[next], device=next.device)
