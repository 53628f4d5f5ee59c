"""Accelerations of bodies along a segment of their paths: gravity, and what contacts and actuators add.

Over f seconds of smooth forces (the step for the first segment, half of the rest for all others) a solve takes a body
from the velocity v to w, so contacts and actuators accelerate it by c = (w - v)/f - g. What rests on others so stays
where it is. An impact without restitution would make c huge, and the parabola with it, so all bodies that touch have
the part of c that leaves each below twice gravity: one part for all of a group, and momentum is kept. What actuators
alone accelerate has the whole of c.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law, row_arrays
from ..core import model_arrays
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from .round_arrays import Rounds

__all__ = ["FREE", "accelerate", "accelerate_adjoint", "find_groups", "make"]

FREE = wp.constant(-2)
"""Limiter of a body that nothing but gravity accelerates."""

WHOLE = wp.constant(-1)
"""Limiter of a body that has the whole of c."""

DRIVEN = wp.constant(-3)
"""Limiter of a body that touches nothing and is driven by actuators."""

MOST = 2.0
"""Greatest c that counts, in parts of gravity."""

BRIEF = {wp.float64: 1.0e-9, wp.float32: 1.0e-4}
"""Rest of a step [1], in parts of it, that is too brief for an acceleration by contacts."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernels for one precision and contact law."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    contact_law, dyn = law.make(dtype, resists), motion.make(dtype)
    arrays, Rows = model_arrays.make(dtype), row_arrays.make(dtype, resists)
    Bodies, Actuators = arrays.Bodies, arrays.Actuators
    brief = BRIEF[dtype]

    @wp.func
    def added(mean: spatial, base: spatial, mask: spatial, gravity: vec3, f: dtype):
        """Acceleration by contacts and actuators [m/s^2]."""
        masked = dyn.linear(mask)
        return (dyn.linear(mean) - wp.cw_mul(dyn.linear(base) + gravity * f, masked)) / f

    @wp.func
    def smooth_time(first: int, start: dtype, h: dtype):
        """See the module [s]."""
        f = h
        if first == 0:
            f = dtype(0.5) * (h - start)
        return f

    @wp.func
    def share_of(
        world: int, body: int, first: int, limiter: wp.array2d(dtype=int), body_mask: wp.array(dtype=spatial),
        gravity: vec3, mean: wp.array2d(dtype=spatial), base: wp.array2d(dtype=spatial),
        start: wp.array2d(dtype=dtype), h: dtype,
    ):  # fmt: skip
        """Part of c that a body has [1]. Forward only."""
        other = limiter[world, body]
        part = dtype(1.0)
        if other == FREE:
            part = dtype(0.0)
        elif other >= 0:
            f = smooth_time(first, start[world, other], h)
            c = added(mean[world, other], base[world, other], body_mask[other], gravity, f)
            part = dtype(MOST) * wp.length(gravity) / wp.length(c)
        return part

    @wp.func
    def top(group: wp.array2d(dtype=int), world: int, body: int):
        """Body after which the group of ``body`` is called so far."""
        i = body
        while group[world, i] != i:
            group[world, i] = group[world, group[world, i]]
            i = group[world, i]
        return i

    @wp.kernel(enable_backward=False, module="unique")
    def groups_kernel(
        bodies: Bodies, actuators: Actuators, first: int, going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        count: wp.array(dtype=int), contact: wp.array2d(dtype=int), rows: Rows, mean: wp.array2d(dtype=spatial),
        base: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype), h: dtype, eps: dtype,
        # scratch
        group: wp.array2d(dtype=int),
        # out
        acts: wp.array2d(dtype=int), limiter: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if going[world] == 0:
            return
        for body in range(mean.shape[1]):
            group[world, body] = body
            limiter[world, body] = FREE
        for i in range(actuators.body.shape[0]):
            limiter[world, actuators.body[i]] = DRIVEN
        for k in range(count[world]):
            c = k
            if first == 0:
                c = contact[world, k]
            a = rows.body_a[world, k]
            b = rows.body_b[world, k]
            u = contact_law.relative_motion(
                mean, world, a, b, rows.arm_a[world, k], rows.arm_b[world, k], rows.normal[world, k],
                rows.twist[world, k],
            )  # fmt: skip
            acts[world, c] = 0
            if contact_law.excess(u, rows.normal[world, k], rows.coefficients[world, k], eps) > dtype(0.0):
                acts[world, c] = 1
                if a >= 0:
                    limiter[world, a] = WHOLE
                if b >= 0:
                    limiter[world, b] = WHOLE
                if a >= 0 and b >= 0:
                    ta = top(group, world, a)
                    tb = top(group, world, b)
                    group[world, wp.max(ta, tb)] = wp.min(ta, tb)
        g = bodies.gravity[world]
        limit = dtype(MOST) * wp.length(g)
        # the body of a group with the greatest c, noted at the body after which the group is called
        for body in range(mean.shape[1]):
            if limiter[world, body] != FREE and (first != 0 or label[world, body] >= 0):
                f = smooth_time(first, start[world, body], h)
                if f <= dtype(brief) * h:
                    limiter[world, body] = FREE
                elif limiter[world, body] != DRIVEN:
                    size = wp.length(added(mean[world, body], base[world, body], bodies.mask[body], g, f))
                    if size > limit:
                        t = top(group, world, body)
                        other = limiter[world, t]
                        greatest = dtype(0.0)
                        if other >= 0:
                            greatest = wp.length(added(
                                mean[world, other], base[world, other], bodies.mask[other], g,
                                smooth_time(first, start[world, other], h),
                            ))  # fmt: skip
                        if size > greatest:
                            limiter[world, t] = body
        for body in range(mean.shape[1]):
            if limiter[world, body] != FREE:
                limiter[world, body] = limiter[world, top(group, world, body)]

    @wp.kernel(module="unique")
    def accelerate_kernel(
        body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3), first: int, going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), limiter: wp.array2d(dtype=int), mean: wp.array2d(dtype=spatial),
        base: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype), h: dtype,
        # out
        pull: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        if first == 0 and label[world, body] < 0:
            return
        g = gravity[world]
        result = wp.cw_mul(g, dyn.linear(body_mask[body]))
        other = limiter[world, body]
        if other != FREE:
            f = smooth_time(first, start[world, body], h)
            c = added(mean[world, body], base[world, body], body_mask[body], g, f)
            if other >= 0:
                fo = smooth_time(first, start[world, other], h)
                co = added(mean[world, other], base[world, other], body_mask[other], g, fo)
                c = c * (dtype(MOST) * wp.length(g) / wp.length(co))
            result = result + c
        pull[world, body] = result

    return SimpleNamespace(groups=groups_kernel, accelerate=accelerate_kernel, share_of=share_of)


def find_groups(
    dtype: Any, model: ModelArrays, rounds: Rounds, first: bool, going: wp.array, label: wp.array, count: wp.array,
    rows: Any, mean: wp.array, base: wp.array, start: wp.array, limiter: wp.array, *, h: float, eps: float,
) -> None:  # fmt: skip
    """Mark the contacts that act in a plain solve, and what limits the accelerations of the bodies.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: The model.
        rounds: Of the step; ``acts`` is written.
        first: Whether the segment is the first of the step.
        going: Worlds to look at, [W].
        label: As of ``Round``; not read of the first segment.
        count: Number of rows, [W].
        rows: Of the solve.
        mean: Its result.
        base: Velocities from which it set out: v0, or those after the impact.
        start: Start of the segments [s].
        limiter: Written.
        h: Step [s].
        eps: Stiction tolerance [m/s].
    """
    wp.launch(
        make(dtype, rows.resists).groups,
        dim=going.shape,
        inputs=[
            model.bodies, model.actuators, int(first), going, label, count, rounds.contact, rows.struct, mean, base,
            start, h, eps, rounds.group,
        ],
        outputs=[rounds.acts, limiter],
        device=going.device,
    )  # fmt: skip


def accelerate(
    dtype: Any, model: ModelArrays, first: bool, going: wp.array, label: wp.array, limiter: wp.array, mean: wp.array,
    base: wp.array, start: wp.array, pull: wp.array, *, h: float,
) -> None:  # fmt: skip
    """Accelerations ``pull`` of the segments that begin; arguments as of ``find_groups``."""
    wp.launch(
        make(dtype).accelerate, dim=label.shape,
        inputs=[model.body_mask, model.gravity, int(first), going, label, limiter, mean, base, start, h],
        outputs=[pull], device=label.device,
    )  # fmt: skip


def accelerate_adjoint(
    dtype: Any, model: ModelArrays, first: bool, going: wp.array, label: wp.array, limiter: wp.array, mean: wp.array,
    base: wp.array, start: wp.array, pull: wp.array, adj_pull: wp.array, adj_mean: wp.array, adj_base: wp.array,
    adj_start: wp.array | None, adj_gravity: wp.array, *, h: float,
) -> None:  # fmt: skip
    """Add to the adjoints of ``mean``, ``base``, ``start`` and gravity what that of ``pull`` implies."""
    kernel = make(dtype).accelerate
    wp.launch(
        kernel, dim=label.shape,
        inputs=[model.body_mask, model.gravity, int(first), going, label, limiter, mean, base, start, h],
        outputs=[pull], adjoint=True,
        adj_inputs=by_name(kernel, gravity=adj_gravity, mean=adj_mean, base=adj_base, start=adj_start, pull=adj_pull),
        device=label.device,
    )  # fmt: skip
