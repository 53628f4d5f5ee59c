"""Slip that starts or stops within a step. See "Slip that changes" in ``docs/contact.md``.

The energy's separation speed y = un - T holds T = mu (s(ut) - s(ut0)), with resistance more of the kind, at zero only
while slip is steady. Where |T| is large, a step takes four solves:

1. That of the energy as it is.
2. Without T in y, and with friction limited by a normal impulse held fixed, which is guessed from the first.
3. The same with the normal impulse of the second, where friction is not yet quite right, but the normal law is. Its
   slip is that which the contact has after the step.
4. That of the energy again, with this slip in place of s(ut0).

Each contact has a weight between 0 (all as in the first solve) and 1, smooth in the velocities of the first solve.
Worlds in which all are 0 keep the first solve. With weight w a contact is two rows in the second and third solve: its
own with the part 1 - w of friction and T, and one of friction alone, of the load w times the impulse held fixed. In
the fourth, s(ut0) goes w of the way to the slip after the third.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import features
from ..collision.features import Features
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import law, row_arrays, slip_weights_lanes
from .row_arrays import ContactRows
from .slip_numbers import (
    BLUR,
    FRICTION_SCALE,
    IDLE,
    LANDING,
    MOST,
    STEADY,
    UNSTEADY,
    WEIGHTLESS,
)  # fmt: skip

__all__ = ["FOURTH", "FRICTION_SCALE", "SECOND", "THIRD", "Slips", "make", "slip_forces", "slip_rows", "weigh"]

SECOND = wp.constant(2)
THIRD = wp.constant(3)
FOURTH = wp.constant(4)
"""The further solves."""


@dataclass
class Slips:
    """Arrays that a step with changing slip writes. W worlds, B bodies, C contacts."""

    # [W, 2 C]: of the further solves: all contacts, then, but in the last, friction of those with a weight
    rows: ContactRows
    weight: wp.array  # [W, C]: by which a contact is taken apart
    total: wp.array  # int32 [W]: rows; -1 where all weights are 0
    staged: wp.array  # int32 [W]: whether there are more solves than one
    any: wp.array  # int32 [1]: whether that is so in any world
    body_va: wp.array  # spatial [W, B]: velocities of the first solve
    body_vb: wp.array  # spatial [W, B]: velocities of the second solve
    body_vc: wp.array  # spatial [W, B]: velocities of the third solve

    @classmethod
    def allocate(
        cls, worlds: int, bodies: int, capacity: int, dtype: Any, device: Any, resists: bool, softens: bool
    ) -> "Slips":
        """Zeros."""
        spatial = precision(dtype).spatial

        def ints(n: int) -> wp.array:
            return wp.zeros(n, dtype=wp.int32, device=device)

        return cls(
            rows=ContactRows.allocate(worlds, 2 * capacity, dtype, device, resists, softens),
            weight=wp.zeros((worlds, capacity), dtype=dtype, device=device),
            total=ints(worlds), staged=ints(worlds), any=ints(1),
            body_va=wp.zeros((worlds, bodies), dtype=spatial, device=device),
            body_vb=wp.zeros((worlds, bodies), dtype=spatial, device=device),
            body_vc=wp.zeros((worlds, bodies), dtype=spatial, device=device),
        )  # fmt: skip


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """Functions ``apart``, ``friction_row`` and the kernels, for one precision and contact law."""
    p = precision(dtype)
    vec3, vec4, spatial = p.vec3, p.vec4, p.spatial
    contact_law, dyn = law.make(dtype, resists, softens), motion.make(dtype)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    FeatureTable, Rows = features.make(dtype), row_arrays.make(dtype, resists, softens)
    model = model_arrays.make(dtype)
    Bodies, Surfaces = model.Bodies, model.Surfaces

    @wp.func
    def rise(x: dtype):
        """0 up to 0, 1 from 1 on, smooth between."""
        t = wp.clamp(x, dtype(0.0), dtype(1.0))
        return t * t * (dtype(3.0) - dtype(2.0) * t)

    @wp.func
    def positive(x: dtype, width: dtype):
        """Positive part of ``x``, smooth over ``width``: bodies that just touch at rest stand where it would bend."""
        return dtype(0.5) * (x + wp.sqrt(x * x + width * width))

    @wp.func
    def load_of(x: Motion, n: vec3, q: Coefficients, eps: dtype):
        """Normal impulse [N s]."""
        return contact_law.normal_part(contact_law.impulse(x, n, q, eps), n)

    @wp.func
    def falls(gravity: vec3, body_mask: wp.array(dtype=spatial), a: int, b: int):
        """Acceleration of b relative to a that gravity gives [m/s^2]."""
        g = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if b >= 0:
            g = g + wp.cw_mul(gravity, dyn.linear(body_mask[b]))
        if a >= 0:
            g = g - wp.cw_mul(gravity, dyn.linear(body_mask[a]))
        return g

    @wp.func
    def weight_of(gravity: vec3):
        """Size of gravity [m/s^2], smooth where there is none."""
        return wp.sqrt(wp.dot(gravity, gravity) + dtype(WEIGHTLESS * WEIGHTLESS))

    @wp.func
    def unsteady_speed(start: dtype, fallen: dtype):
        """Size of T in place of gravity's for a contact that had the normal velocity ``start`` [m/s].

        ``fallen`` is what gravity adds to a speed in a step [m/s].
        """
        approach = start / (dtype(LANDING) * fallen)
        return fallen / (dtype(1.0) + approach * approach)

    @wp.func
    def velocity_at(body_v: wp.array2d(dtype=spatial), world: int, body: int, arm: vec3):
        """Velocity of a body's point [m/s]; zero for the ground."""
        v = vec3()
        if body >= 0:
            v = dyn.linear(body_v[world, body]) + wp.cross(dyn.angular(body_v[world, body]), arm)
        return v

    @wp.func
    def spin_at(body_v: wp.array2d(dtype=spatial), world: int, body: int):
        """Angular velocity of a body [rad/s]; zero for the ground."""
        w = vec3()
        if body >= 0:
            w = dyn.angular(body_v[world, body])
        return w

    @wp.func
    def apart(x0: Motion, xa: Motion, fall: vec3, weigh: dtype, n: vec3, q: Coefficients, h: dtype, eps: dtype):
        """Weight of a contact with row ``q``, and the first guess of its normal impulse without T [N s].

        ``x0`` and ``xa`` are its motions at the start of the step and after the first solve, ``fall`` how gravity
        accelerates b from a, ``weigh`` is ``weight_of`` gravity [m/s^2]. Where that gave it gamma
        and changed its normal velocity by D = un - un*, it would without T have changed by P = a/b - gamma'/b - un*,
        and impulses are as these changes: gamma' = gamma P / (P + T) if P is the change to a/b. That is exact where
        all contacts of a body share one ratio, so for one contact, and for a face that lands flat.
        """
        zero = dtype(0.0)
        weight = zero
        load = zero
        drift = contact_law.drag(xa, n, q, eps) - contact_law.drag(x0, n, q, eps)
        size = wp.abs(drift)
        start = contact_law.normal_part(x0, n)
        fallen = h * weigh
        unsteady = unsteady_speed(start, fallen)
        if size > dtype(STEADY) * unsteady and q[1] > zero:
            gamma = load_of(xa, n, q, eps)
            bare = load_of(xa, n, contact_law.lessened(q, x0, n, zero), eps)
            weight = rise((size / unsteady - dtype(STEADY)) / (dtype(UNSTEADY) - dtype(STEADY)))
            weight *= rise((gamma + bare) / (q[1] * size * dtype(IDLE)))
            # 1 where P is nothing: the load is then not that of the contact's own approach
            blur = dtype(BLUR) * fallen
            change = positive(contact_law.ahead(q, x0, n) - start - h * wp.dot(fall, n), blur)
            left = positive(change + drift, blur)
            gain = dtype(1.0) - drift * change / (left * change + dtype(0.003) * drift * drift)
            load = gamma * wp.min(gain, dtype(1.0) + dtype(MOST) * q[2] * q[2])
        return weight, load

    @wp.func
    def friction_row(
        load: dtype, mu: dtype, eps: dtype, world: int, sa: int, sb: int, rolling: wp.array2d(dtype=dtype),
        torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
    ):  # fmt: skip
        """Row with the friction and resistance of a normal impulse held fixed.

        With b = 0 its own normal impulse is constant, and made small by a large coefficient.
        """
        scale = dtype(FRICTION_SCALE)
        friction = vec4(load / scale, dtype(0.0), mu * scale, eps)
        return contact_law.held(friction, world, sa, sb, rolling, torsional, angular_eps, scale)

    @wp.kernel(enable_backward=False, module="unique")
    def weigh_kernel(
        bodies: Bodies, body_v0: wp.array2d(dtype=spatial), body_va: wp.array2d(dtype=spatial),
        count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, first_pass: int, repeat: wp.array(dtype=int),
        stride: int,
        # out
        weights: wp.array2d(dtype=dtype), staged: wp.array(dtype=int), anywhere: wp.array(dtype=int),
        taken: wp.array(dtype=int),
    ):  # fmt: skip
        world, first = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        weigh = weight_of(bodies.gravity[world])
        fallen = h * weigh
        for k in range((count[world] - first + stride - 1) / stride):
            c = first + k * stride
            a = rows.body_a[world, c]
            b = rows.body_b[world, c]
            ra = rows.arm_a[world, c]
            rb = rows.arm_b[world, c]
            n = rows.normal[world, c]
            weight = dtype(0.0)
            # most contacts are steady, which T's bound mu |change of slip| tells
            before = velocity_at(body_v0, world, b, rb) - velocity_at(body_v0, world, a, ra)
            change = velocity_at(body_va, world, b, rb) - velocity_at(body_va, world, a, ra) - before
            turning = rows.twist[world, c]
            turned = spin_at(body_va, world, b) - spin_at(body_va, world, a)
            turned -= spin_at(body_v0, world, b) - spin_at(body_v0, world, a)
            bound = wp.length(change) + wp.length(turning) * wp.abs(wp.dot(n, turned))
            limit = dtype(STEADY) * unsteady_speed(wp.dot(before, n), fallen)
            if wp.static(resists) or rows.coefficients[world, c][2] * bound > limit:
                apart_by, _load = apart(
                    contact_law.relative_motion(body_v0, world, a, b, ra, rb, n, turning),
                    contact_law.relative_motion(body_va, world, a, b, ra, rb, n, turning),
                    falls(bodies.gravity[world], bodies.mask, a, b), weigh, n, rows.coefficients[world, c], h, eps,
                )  # fmt: skip
                weight = apart_by
            weights[world, c] = weight
            if weight > dtype(0.0):
                staged[world] = 1
                taken[world] = 1
                anywhere[0] = 1

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        bodies: Bodies, surfaces: Surfaces, body_v0: wp.array2d(dtype=spatial), body_va: wp.array2d(dtype=spatial),
        body_vb: wp.array2d(dtype=spatial), body_vc: wp.array2d(dtype=spatial), staged: wp.array(dtype=int),
        weights: wp.array2d(dtype=dtype), f: FeatureTable, plain: Rows, h: dtype, eps: dtype, angular_eps: dtype,
        solve: int,
        # out
        out: Rows, total: wp.array(dtype=int),
    ):  # fmt: skip
        """One thread a world, so that the rows of friction stand in the contacts' order."""
        world = wp.tid()
        if staged[world] == 0:
            total[world] = -1
            return
        at = int(f.count[world])
        for c in range(f.count[world]):
            a = plain.body_a[world, c]
            b = plain.body_b[world, c]
            n = plain.normal[world, c]
            ra = plain.arm_a[world, c]
            rb = plain.arm_b[world, c]
            turning = plain.twist[world, c]
            q = plain.coefficients[world, c]
            weight = weights[world, c]
            x0 = contact_law.relative_motion(body_v0, world, a, b, ra, rb, n, turning)
            out.body_a[world, c] = a
            out.body_b[world, c] = b
            out.normal[world, c] = n
            out.arm_a[world, c] = ra
            out.arm_b[world, c] = rb
            out.twist[world, c] = turning
            out.coefficients[world, c] = q
            if weight > dtype(0.0) and solve == FOURTH:
                xc = contact_law.relative_motion(body_vc, world, a, b, ra, rb, n, turning)
                out.coefficients[world, c] = contact_law.resumed(q, x0, xc, n, weight, eps)
            elif weight > dtype(0.0):
                kept = contact_law.lessened(q, x0, n, dtype(1.0) - weight)
                out.coefficients[world, c] = kept
                load = dtype(0.0)
                if solve == SECOND:
                    xa = contact_law.relative_motion(body_va, world, a, b, ra, rb, n, turning)
                    fall = falls(bodies.gravity[world], bodies.mask, a, b)
                    _weight, load = apart(x0, xa, fall, weight_of(bodies.gravity[world]), n, q, h, eps)
                else:
                    load = load_of(contact_law.relative_motion(body_vb, world, a, b, ra, rb, n, turning), n, kept, eps)
                out.body_a[world, at] = a
                out.body_b[world, at] = b
                out.normal[world, at] = n
                out.arm_a[world, at] = ra
                out.arm_b[world, at] = rb
                out.twist[world, at] = turning
                out.coefficients[world, at] = friction_row(
                    weight * load, q[2], eps, world, f.shape_a[world, c], f.shape_b[world, c],
                    surfaces.rolling_resistance, surfaces.torsional_resistance, angular_eps,
                )  # fmt: skip
                at += 1
        total[world] = at

    @wp.kernel(enable_backward=False, module="unique")
    def forces_kernel(
        count: wp.array(dtype=int), rows: Rows, staged: wp.array(dtype=int), body_v1: wp.array2d(dtype=spatial),
        h: dtype, eps: dtype,
        # out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world = wp.tid()
        if staged[world] == 0:
            return
        for c in range(count[world]):
            n = rows.normal[world, c]
            u = contact_law.relative_motion(
                body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                rows.arm_b[world, c], n, rows.twist[world, c],
            )  # fmt: skip
            push = contact_law.impulse(u, n, rows.coefficients[world, c], eps) / h
            if wp.static(resists):
                force[world, c] = dyn.linear(push)
            else:
                force[world, c] = push
            torque[world, c] = contact_law.moment(push, n, rows.twist[world, c])

    return SimpleNamespace(
        apart=apart, falls=falls, weight_of=weight_of, friction_row=friction_row, load_of=load_of, weigh=weigh_kernel,
        rows=rows_kernel, forces=forces_kernel,
    )  # fmt: skip


THREADS_PER_WORLD = 32


def weigh(
    dtype: Any, model: ModelArrays, body_v0: wp.array, body_va: wp.array, features: Features, plain: ContactRows,
    slips: Slips, taken: wp.array, *, h: float, eps: float, repeat: wp.array | None = None,
) -> None:  # fmt: skip
    """Find the weights of all contacts after the first solve, and the worlds that need more, of those marked.

    In ``slips.staged`` and ``slips.any`` no world is marked before. ``taken``, int32 [W], is set to 1 for these worlds,
    and left alone for others.
    """
    r, s = plain, slips
    if slip_weights_lanes.serves(model, r):
        slip_weights_lanes.weigh(
            dtype, model, body_v0, body_va, features.count, r, s, taken, h=h, eps=eps, repeat=repeat
        )
        return
    worlds, capacity = features.kind.shape
    stride = min(capacity, THREADS_PER_WORLD) if body_v0.device.is_cuda else 1
    wp.launch(
        make(dtype, r.resists, r.softens).weigh,
        dim=(worlds, stride),
        inputs=[
            model.bodies, body_v0, body_va, features.count, r.struct, h, eps, int(repeat is None), repeat, stride,
        ],
        outputs=[s.weight, s.staged, s.any, taken],
        device=body_v0.device,
    )  # fmt: skip


def slip_rows(
    dtype: Any, model: ModelArrays, body_v0: wp.array, features: Features, plain: ContactRows, found: Slips, out: Slips,
    *, solve: int, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """Rows of a further ``solve``, where ``found`` marks worlds, into ``out``."""
    m, f, r, s = model, features, plain, found
    wp.launch(
        make(dtype, r.resists, r.softens).rows,
        dim=f.count.shape,
        inputs=[
            m.bodies, m.surfaces, body_v0, s.body_va, s.body_vb, s.body_vc, s.staged, s.weight, f.struct, r.struct, h,
            eps, angular_eps, solve,
        ],
        outputs=[out.rows.struct, out.total],
        device=body_v0.device,
    )  # fmt: skip


def slip_forces(
    dtype: Any, body_v1: wp.array, features: Features, slips: Slips, force: wp.array, torque: wp.array,
    *, h: float, eps: float,
) -> None:  # fmt: skip
    """Forces on b [N] of all contacts of the worlds with more solves than one, and torques [N m], [W, C]."""
    s, r = slips, slips.rows
    wp.launch(
        make(dtype, r.resists, r.softens).forces,
        dim=features.count.shape,
        inputs=[features.count, r.struct, s.staged, body_v1, h, eps],
        outputs=[force, torque],
        device=body_v1.device,
    )  # fmt: skip
