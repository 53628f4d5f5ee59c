"""Rows of the plain solve over what is left of a step after an impact; ``rest_start.py`` has its start and actuators.

Over r = h - tau the coefficients of a contact are a = -r k gap, b = r^2 k + r d, with the stiffness and damping of the
whole step. Pure and differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import contact_rows, hard, law, row_arrays
from ..core import model_arrays
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, struck
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = ["CAPPED", "make", "rest_adjoint", "rest_rows"]

CAPPED = wp.constant(2)
"""Mark of a contact whose push has reached its cap."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The function ``row`` and the kernels, for one precision and contact law."""
    p = precision(dtype)
    vec3, vec4, spatial, transform = p.vec3, p.vec4, p.spatial, p.transform
    geo, pair, dyn, plain = contacts.make(dtype), hard.make(dtype), motion.make(dtype), contact_rows.make(dtype)
    contact_law, close = law.make(dtype, resists), struck.make(dtype)
    FeatureTable, Rows = geo.FeatureTable, row_arrays.make(dtype, resists)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces, Actuators = model.Bodies, model.Shapes, model.Surfaces, model.Actuators

    @wp.func
    def time_of(label: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype), world: int, a: int, b: int):
        """Time of the cluster of a contact's bodies; negative infinity if they do not go on together."""
        t = dtype(-wp.inf)
        la = int(-1)
        lb = int(-1)
        if a >= 0:
            la = label[world, a]
        if b >= 0:
            lb = label[world, b]
        if a < 0:
            if lb >= 0:
                t = time[world, b]
        elif b < 0:
            if la >= 0:
                t = time[world, a]
        elif la == lb and la >= 0:
            t = time[world, a]
        return t

    @wp.func
    def row(
        world: int, c: int, sa: int, sb: int, a: int, b: int, left: dtype, bodies: Bodies, surfaces: Surfaces,
        f: FeatureTable, pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial), h: dtype, eps: dtype,
    ):  # fmt: skip
        """Normal, arms [m], coefficients of ``hard.py`` for the ``left`` seconds, and the gap [m]."""
        xa = geo.pose_of(pose, world, a)
        xb = geo.pose_of(pose, world, b)
        gap, n, point = geo.locate(world, c, xa, xb, f)
        ra = point - wp.transform_get_translation(xa)
        rb = point - wp.transform_get_translation(xb)
        part = geo.part_of(world, c, xa, xb, f)
        k, d, mu = plain.of_pair(world, sa, sb, a, b, bodies, surfaces, h)
        s0 = pair.slip_speed(dyn.relative_velocity(after, world, a, b, ra, rb), n, eps)
        q = vec4(-left * k * gap * part, (left * left * k + left * d) * part, mu, s0)
        return n, ra, rb, q, gap

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces, actuators: Actuators, f: FeatureTable,
        # round in
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype),
        pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial), goal: wp.array2d(dtype=spatial),
        free: wp.array2d(dtype=int), option: dtype, again: int, h: dtype, eps: dtype, angular_eps: dtype,
        # in and out
        rest: wp.array2d(dtype=int),
        # out
        contact: wp.array2d(dtype=int), rows: Rows, total: wp.array(dtype=int), solves: wp.array(dtype=int),
        any_solves: wp.array(dtype=int),
    ):  # fmt: skip
        """One thread a world. ``again``: contacts are those that ``rest`` marks, and no solve is asked for."""
        world = wp.tid()
        if again == 0:
            solves[world] = 0
        if going[world] == 0:
            total[world] = -1
            return
        at = int(0)
        solve = int(0)
        cap = close.cap_of(bodies.gravity[world], option, h)
        for c in range(f.count[world]):
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            a = shapes.body[sa]
            b = shapes.body[sb]
            t = time_of(label, time, world, a, b)
            kept = int(0)
            if again != 0:
                kept = rest[world, c]
            else:
                rest[world, c] = 0
                if t > dtype(-wp.inf) and free[world, c] != 1:
                    kept = int(1)
            if kept != 0:
                left = h - t
                n, ra, rb, q, _gap = row(world, c, sa, sb, a, b, left, bodies, surfaces, f, pose, after, h, eps)
                bounces = pair.friction(surfaces.restitution[world, sa], surfaces.restitution[world, sb]) > dtype(0.0)
                if bounces and q[0] > q[1] * cap:
                    q[0] = q[1] * cap
                    kept = int(CAPPED)
                if again == 0:
                    rest[world, c] = kept
                contact[world, at] = c
                rows.body_a[world, at] = a
                rows.body_b[world, at] = b
                rows.normal[world, at] = n
                rows.arm_a[world, at] = ra
                rows.arm_b[world, at] = rb
                rows.twist[world, at] = vec3()
                full = contact_law.full(
                    q, n, world, sa, sb, a, b, after, surfaces.rolling_resistance, surfaces.torsional_resistance,
                    angular_eps,
                )  # fmt: skip
                rows.coefficients[world, at] = full
                if again == 0:
                    u1 = contact_law.relative_motion(goal, world, a, b, ra, rb, n, vec3())
                    if contact_law.excess(u1, n, full, eps) > dtype(0.0):
                        solve = int(1)
                at += 1
        total[world] = at
        if again == 0:
            for i in range(actuators.body.shape[0]):
                if label[world, actuators.body[i]] >= 0:
                    solve = int(1)
            solves[world] = solve
            if solve == 1:
                any_solves[0] = 1

    @wp.func(inline=True)
    def power_of(
        world: int, c: int, bodies: Bodies, shapes: Shapes, surfaces: Surfaces, f: FeatureTable,
        label: wp.array2d(dtype=int), rest: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype),
        pose: wp.array2d(dtype=transform),
        after: wp.array2d(dtype=spatial), mean: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial),
        option: dtype, h: dtype, eps: dtype, angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        left = h - time_of(label, time, world, a, b)
        n, ra, rb, q, _gap = row(world, c, sa, sb, a, b, left, bodies, surfaces, f, pose, after, h, eps)
        if rest[world, c] == CAPPED:
            q = vec4(q[1] * close.cap_of(bodies.gravity[world], option, h), q[1], q[2], q[3])
        none = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        full = contact_law.full(
            q, n, world, sa, sb, a, b, after, surfaces.rolling_resistance, surfaces.torsional_resistance, angular_eps
        )
        u = contact_law.relative_motion(mean, world, a, b, ra, rb, n, none)
        uz = contact_law.relative_motion(z, world, a, b, ra, rb, n, none)
        power[world, c] = wp.dot(contact_law.impulse(u, n, full, eps), uz)

    @wp.func_replay(power_of)
    def power_again(
        world: int, c: int, bodies: Bodies, shapes: Shapes, surfaces: Surfaces, f: FeatureTable,
        label: wp.array2d(dtype=int), rest: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype),
        pose: wp.array2d(dtype=transform),
        after: wp.array2d(dtype=spatial), mean: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial),
        option: dtype, h: dtype, eps: dtype, angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs no power."""
        return

    @wp.kernel(module="unique")
    def power_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces, f: FeatureTable,
        # round in
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), rest: wp.array2d(dtype=int),
        time: wp.array2d(dtype=dtype), pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial),
        mean: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial), option: dtype, h: dtype, eps: dtype,
        angular_eps: dtype, stride: int,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if rest[world, c] != 0:
                power_of(
                    world, c, bodies, shapes, surfaces, f, label, rest, time, pose, after, mean, z, option, h, eps,
                    angular_eps, power,
                )  # fmt: skip

    return SimpleNamespace(row=row, rows=rows_kernel, power=power_kernel)


def rest_rows(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, *, again: bool,
    threshold: float, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """Rows of the contacts that cannot have an impact yet, between bodies that go on together.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: The model.
        features: Contacts of the step.
        rounds: Of the step.
        r: The round.
        again: Whether only the rows are asked for, of the contacts found before.
        threshold: Option of the simulator [m/s].
        h: Step [s].
        eps: Stiction tolerance [m/s].
        angular_eps: That of resistance [rad/s].
    """
    m, o = model, rounds.rows
    if not again:
        rounds.any_solves.zero_()
    wp.launch(
        make(dtype, o.resists).rows, dim=r.going.shape,
        inputs=[
            m.bodies, m.shapes, m.surfaces, m.actuators, features.struct, r.going, r.label, r.time,
            rounds.path.pose[1], r.after, r.goal, rounds.free, threshold, int(again), h, eps, angular_eps,
        ],
        outputs=[r.rest, rounds.contact, o.struct, rounds.total, rounds.solves, rounds.any_solves],
        device=r.going.device,
    )  # fmt: skip


def rest_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any, *,
    threshold: float, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint`` for the solve over what is left."""
    k = 1
    kernel = make(dtype, rounds.rows.resists).power
    wp.launch(
        kernel, dim=contacts.threads(features),
        inputs=[
            g.bodies, model.shapes, g.surfaces, features.struct, r.going, r.label, r.rest, r.time,
            rounds.path.pose[k], r.after, rounds.path.mean[k], g.z, threshold, h, eps, angular_eps,
            contacts.threads(features)[1],
        ],
        outputs=[g.contact_power], adjoint=True,
        adj_inputs=by_name(
            kernel, time=own.time, pose=own.path.pose[k], after=own.after, power=g.contact_seed
        ),
        device=r.going.device,
    )  # fmt: skip
