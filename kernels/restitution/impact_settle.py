"""Where a solve of an impact starts: contacts in turn, each with its impulse exact for the velocities of its bodies.

A contact alone has a solution of its own: with the slip speed s = sqrt(ut^2 + eps^2), the friction f s^-1 ut and the
3 x 3 matrix W that impulses change velocities by, it is the root of an equation in s alone. A cluster of one contact is
so done after a sweep, and one of several mostly after some. Worlds where the last sweep changed nothing but rounding
need no Newton iteration and are left out of the solve; all others start there. Forward only: the derivative of a
solve is that of its result.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import hard, row_arrays
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, impact_guess
from .round_arrays import Round, Rounds

__all__ = ["make", "settle"]

SWEEPS = 16
"""Sweeps over the contacts of a world, at most."""

UNCHANGED = 32.0
"""Change of a contact's velocity by a sweep that is rounding, in units of that of its bodies' velocities."""

ROOT = 30
"""Newton iterations for the slip speed of a contact, at most; they come from below, and mostly take 3 to 6."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The function ``alone`` and the kernel for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec2, vec3, mat22, mat33, spatial, transform = (
        p.vec2, p.vec3, wp.types.matrix((2, 2), dtype), p.mat33, p.spatial, p.transform,
    )  # fmt: skip
    dyn, pair, light = motion.make(dtype), hard.make(dtype), impact_guess.make(dtype)
    arrays = model_arrays.make(dtype)
    FeatureTable, Rows = contacts.make(dtype).FeatureTable, row_arrays.make(dtype, resists)
    Bodies, Shapes, Surfaces = arrays.Bodies, arrays.Shapes, arrays.Surfaces
    unchanged, precise = UNCHANGED * p.epsilon, 4.0 * p.epsilon

    @wp.func
    def slip(matrix: mat22, b: vec2, limit: dtype, eps: dtype):
        """Tangential impulse -``limit`` ut/s with ut = ``b`` + ``matrix`` times it."""
        s = wp.max(eps, wp.length(b) - limit * wp.trace(matrix))
        y = vec2()
        looking = int(ROOT)
        while looking > 0:
            looking -= 1
            solved = wp.inverse(mat22(
                s + limit * matrix[0, 0], limit * matrix[0, 1], limit * matrix[1, 0], s + limit * matrix[1, 1]
            ))  # fmt: skip
            y = solved * b
            rest = eps / s
            w = wp.dot(y, y) + rest * rest
            root = wp.sqrt(w)
            if root - dtype(1.0) <= dtype(precise):
                looking = 0
            else:  # 1/root is concave in s, and almost linear
                s += (root - dtype(1.0)) * w / (wp.dot(y, solved * y) + rest * rest / s)
        return y * -limit

    @wp.func
    def alone(w: mat33, u0: vec3, a: dtype, k: dtype, beside: dtype, limit: dtype, eps: dtype):
        """Impulse of a contact, the normal part first, whose velocity would be ``u0`` without it.

        Args:
            w: Change of its velocity for an impulse.
            u0: [m/s], the normal part first.
            a: Normal impulse at a normal velocity of zero.
            k: Its decrease with that velocity.
            beside: Normal impulse that is held fixed.
            limit: Most friction.
            eps: Stiction tolerance [m/s].
        """
        wn = vec2(w[1, 0], w[2, 0])
        wt = mat22(w[1, 1], w[1, 2], w[2, 1], w[2, 2])
        u = vec2(u0[1], u0[2])
        soft = dtype(1.0) + k * w[0, 0]
        push = (a - k * (u0[0] + w[0, 0] * beside)) / soft
        along = vec2()
        if limit > dtype(0.0):
            along = slip(wt - wp.outer(wn, wn) * (k / soft), u + wn * (beside + push), limit, eps)
            push -= k / soft * wp.dot(wn, along)
            if push <= dtype(0.0):
                along = slip(wt, u + wn * beside, limit, eps)
        push = wp.max(push, dtype(0.0)) + beside
        return vec3(push, along[0], along[1])

    @wp.func
    def basis(n: vec3):
        """Normal and two tangents, as columns."""
        other = vec3(dtype(1.0), dtype(0.0), dtype(0.0))
        if wp.abs(n[0]) > dtype(0.6):
            other = vec3(dtype(0.0), dtype(1.0), dtype(0.0))
        t = wp.normalize(wp.cross(n, other))
        return wp.matrix_from_cols(n, t, wp.cross(n, t))

    @wp.func
    def mobility(
        world: int, body: int, arm: vec3, body_mask: wp.array(dtype=spatial), body_mass: wp.array2d(dtype=dtype),
        inverse: wp.array2d(dtype=mat33),
    ):  # fmt: skip
        """Velocity of a body's point for an impulse there [1/kg]; zero on static geometry."""
        result = mat33()
        if body >= 0:
            r = wp.skew(arm)
            result = wp.diag(dyn.linear(body_mask[body]) / body_mass[world, body])
            result -= r * inverse[world, body] * r
        return result

    @wp.func
    def strike(
        world: int, body: int, arm: vec3, push: vec3, body_mask: wp.array(dtype=spatial),
        body_mass: wp.array2d(dtype=dtype), inverse: wp.array2d(dtype=mat33),
        # in and out
        v: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        if body >= 0:
            along = wp.cw_mul(push, dyn.linear(body_mask[body])) / body_mass[world, body]
            v[world, body] = v[world, body] + dyn.join(along, inverse[world, body] * wp.cross(arm, push))

    @wp.func
    def speed(world: int, body: int, arm: vec3, v: wp.array2d(dtype=spatial)):
        """Of what rounds in the velocity of a body's point [m/s]."""
        result = dtype(0.0)
        if body >= 0:
            result = wp.length(dyn.linear(v[world, body])) + wp.length(dyn.angular(v[world, body])) * wp.length(arm)
        return result

    @wp.kernel(enable_backward=False, module="unique")
    def settle_kernel(
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces, f: FeatureTable, struck: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), target: wp.array2d(dtype=spatial), load: wp.array2d(dtype=dtype),
        load0: wp.array2d(dtype=dtype), solve: int, eps: dtype, contact: wp.array2d(dtype=int), rows: Rows,
        total: wp.array(dtype=int),
        # in and out
        inverse: wp.array2d(dtype=mat33), push: wp.array2d(dtype=vec3), v: wp.array2d(dtype=spatial),
        solves: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if solves[world] == 0:
            return
        count = total[world]
        # impulses of the solve before, of which the velocities are then made anew
        for at in range(count):
            if at == 0 or contact[world, at] != contact[world, wp.max(at - 1, 0)]:
                c = contact[world, at]
                n = rows.normal[world, at]
                found = n * load[world, c]
                if solve > 1:
                    mu = pair.friction(
                        surfaces.friction[world, f.shape_a[world, c]], surfaces.friction[world, f.shape_b[world, c]]
                    )
                    u = dyn.relative_velocity(
                        v, world, rows.body_a[world, at], rows.body_b[world, at], rows.arm_a[world, at],
                        rows.arm_b[world, at],
                    )  # fmt: skip
                    u -= n * wp.dot(n, u)
                    found -= u * (mu * load0[world, c] / wp.sqrt(wp.dot(u, u) + eps * eps))
                push[world, at] = found
        for body in range(struck.shape[1]):
            if struck[world, body] != 0:
                v[world, body] = wp.cw_mul(target[world, body], bodies.mask[body])
                if solve == 0:
                    about = dyn.angular(bodies.mask[body])
                    turns = light.free_inverse(
                        wp.transform_get_rotation(pose[world, body]), bodies.inertia[world, body], about
                    )
                    inverse[world, body] = wp.diag(about) * turns * wp.diag(about)
        for at in range(count):
            if at == 0 or contact[world, at] != contact[world, wp.max(at - 1, 0)]:
                a = rows.body_a[world, at]
                b = rows.body_b[world, at]
                strike(world, b, rows.arm_b[world, at], push[world, at], bodies.mask, bodies.mass, inverse, v)
                strike(world, a, rows.arm_a[world, at], -push[world, at], bodies.mask, bodies.mass, inverse, v)
        sweep = int(0)
        changes = int(1)
        while changes == 1 and sweep < SWEEPS:
            sweep += 1
            changes = int(0)
            for at in range(count):
                c = contact[world, at]
                if at == 0 or c != contact[world, wp.max(at - 1, 0)]:
                    a = rows.body_a[world, at]
                    b = rows.body_b[world, at]
                    ra = rows.arm_a[world, at]
                    rb = rows.arm_b[world, at]
                    q = rows.coefficients[world, at]
                    beside = dtype(0.0)
                    limit = dtype(0.0)
                    if at + 1 < count:
                        if contact[world, at + 1] == c:
                            own = rows.coefficients[world, at + 1]
                            beside = own[0]
                            limit = own[0] * own[2]
                    axes = basis(rows.normal[world, at])
                    w = wp.transpose(axes) * (
                        mobility(world, a, ra, bodies.mask, bodies.mass, inverse)
                        + mobility(world, b, rb, bodies.mask, bodies.mass, inverse)
                    ) * axes  # fmt: skip
                    before = wp.transpose(axes) * push[world, at]
                    u = wp.transpose(axes) * dyn.relative_velocity(v, world, a, b, ra, rb)
                    change = alone(w, u - w * before, q[0], q[1], beside, limit, eps) - before
                    fast = speed(world, a, ra, v) + speed(world, b, rb, v)
                    if wp.length(w * change) > dtype(unchanged) * fast:
                        changes = int(1)
                    extra = axes * change
                    push[world, at] = push[world, at] + extra
                    strike(world, b, rb, extra, bodies.mask, bodies.mass, inverse, v)
                    strike(world, a, ra, -extra, bodies.mask, bodies.mass, inverse, v)
        if wp.static(not resists):
            solves[world] = changes

    return SimpleNamespace(alone=alone, settle=settle_kernel)


def settle(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, *, eps: float
) -> None:
    """Bring the velocities from which a solve of an impact starts near its result, or to it.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: The model.
        features: Contacts of the step.
        rounds: Of the step; ``rounds.rows`` are those of the solve. Worlds that are done are no longer in
            ``rounds.solves``. With resistance, which is left out here, none are.
        r: The round; ``r.solved[solve]`` are velocities of the impulses ``r.load[solve]``, and after the second solve
            of the friction that it found.
        solve: Number of the solve.
        eps: Stiction tolerance [m/s].
    """
    m, o = model, rounds.rows
    wp.launch(
        make(dtype, o.resists).settle, dim=r.going.shape,
        inputs=[
            m.bodies, m.shapes, m.surfaces, features.struct, r.struck, rounds.path.pose[1], r.aim, r.load[solve],
            r.load[max(solve - 1, 0)], solve, eps, rounds.contact, o.struct, rounds.total,
        ],
        outputs=[rounds.inverse, rounds.push, r.solved[solve], rounds.solves],
        device=r.going.device,
    )  # fmt: skip
