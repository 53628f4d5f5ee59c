"""The plain solve over what is left of a step after an impact: where bodies would go, and the rows of their contacts.

Over r = h - tau the coefficients of a contact are a = -r k gap, b = r^2 k + r d, with the stiffness and damping of the
whole step. Gravity and actuators act from the middle of what is left on, as velocities are those half a step earlier:
the solve gives the mean velocity. Pure and differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import contact_rows, hard, law
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, struck
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = ["CAPPED", "drive", "drive_adjoint", "make", "rest_adjoint", "rest_rows", "start_rest", "start_rest_adjoint"]

CAPPED = wp.constant(2)
"""Mark of a contact whose push has reached its cap."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The function ``row`` and the kernels, for one precision and contact law."""
    p = precision(dtype)
    vec3, vec4, spatial, transform = p.vec3, p.vec4, p.spatial, p.transform
    geo, pair, dyn, plain = contacts.make(dtype), hard.make(dtype), motion.make(dtype), contact_rows.make(dtype)
    contact_law, close = law.make(dtype, resists), struck.make(dtype)
    FeatureTable, Coefficients = geo.FeatureTable, contact_law.Coefficients

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
        world: int, c: int, sa: int, sb: int, a: int, b: int, left: dtype, f: FeatureTable,
        body_mass: wp.array2d(dtype=dtype), shape_friction: wp.array2d(dtype=dtype),
        shape_stiffness: wp.array2d(dtype=dtype), shape_damping: wp.array2d(dtype=dtype),
        pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial), h: dtype, eps: dtype,
    ):  # fmt: skip
        """Normal, arms [m], coefficients of ``hard.py`` for the ``left`` seconds, and the gap [m]."""
        xa = geo.pose_of(pose, world, a)
        xb = geo.pose_of(pose, world, b)
        gap, n, point = geo.locate(world, c, xa, xb, f)
        ra = point - wp.transform_get_translation(xa)
        rb = point - wp.transform_get_translation(xb)
        part = geo.part_of(world, c, xa, xb, f)
        mass = pair.effective_mass(plain.mass_of(body_mass, world, a), plain.mass_of(body_mass, world, b))
        k, d = pair.compliance(
            shape_stiffness[world, sa], shape_stiffness[world, sb], shape_damping[world, sa], shape_damping[world, sb],
            mass, h,
        )  # fmt: skip
        mu = pair.friction(shape_friction[world, sa], shape_friction[world, sb])
        s0 = pair.slip_speed(dyn.relative_velocity(after, world, a, b, ra, rb), n, eps)
        q = vec4(-left * k * gap * part, (left * left * k + left * d) * part, mu, s0)
        return n, ra, rb, q, gap

    @wp.kernel(module="unique")
    def start_kernel(
        body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), after: wp.array2d(dtype=spatial), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        goal: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        result = spatial()
        if label[world, body] >= 0:
            left = h - time[world, body]
            result = dyn.free_velocity(after[world, body], body_mask[body], gravity[world], dtype(0.5) * left)
        goal[world, body] = result

    @wp.kernel(module="unique")
    def drive_kernel(
        actuator_body: wp.array(dtype=int), actuator_stiffness: wp.array2d(dtype=dtype),
        actuator_damping: wp.array2d(dtype=dtype), actuator_kind: wp.array(dtype=int),
        control: wp.array2d(dtype=dtype), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        control1: wp.array2d(dtype=dtype), stiffness1: wp.array2d(dtype=dtype), damping1: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Actuators whose impulse over a step is that of the given ones over half of what is left."""
        world, i = wp.tid()
        if going[world] == 0:
            return
        body = actuator_body[i]
        part = dtype(0.0)
        left = h
        if label[world, body] >= 0:
            left = h - time[world, body]
            part = dtype(0.5) * left / h
        stiffness1[world, i] = actuator_stiffness[world, i] * part
        damping1[world, i] = (actuator_damping[world, i] + (left - h) * actuator_stiffness[world, i]) * part
        target = control[world, i]
        if actuator_kind[i] == motion.ACTUATOR_FORCE:
            target = target * part
        control1[world, i] = target

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        shape_body: wp.array(dtype=int), gravity: wp.array(dtype=vec3), body_mass: wp.array2d(dtype=dtype),
        shape_friction: wp.array2d(dtype=dtype), shape_stiffness: wp.array2d(dtype=dtype),
        shape_damping: wp.array2d(dtype=dtype), shape_restitution: wp.array2d(dtype=dtype),
        actuator_body: wp.array(dtype=int), f: FeatureTable,
        count: wp.array(dtype=int), going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        time: wp.array2d(dtype=dtype), pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial),
        goal: wp.array2d(dtype=spatial), free: wp.array2d(dtype=int), option: dtype, again: int, h: dtype, eps: dtype,
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
        # in and out
        rest: wp.array2d(dtype=int),
        # out
        contact: wp.array2d(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3),
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients), total: wp.array(dtype=int),
        solves: wp.array(dtype=int), any_solves: wp.array(dtype=int),
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
        threshold = close.threshold_of(gravity[world], option, h)
        cap = wp.max(threshold, dtype(2.0) * h * wp.length(gravity[world]))
        for c in range(count[world]):
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            a = shape_body[sa]
            b = shape_body[sb]
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
                n, ra, rb, q, _gap = row(
                    world, c, sa, sb, a, b, left, f, body_mass, shape_friction, shape_stiffness, shape_damping, pose,
                    after, h, eps,
                )  # fmt: skip
                bounces = pair.friction(shape_restitution[world, sa], shape_restitution[world, sb]) > dtype(0.0)
                if bounces and q[0] > q[1] * cap:
                    q[0] = q[1] * cap
                    if kept != 0:
                        kept = CAPPED
                if again == 0:
                    rest[world, c] = kept
                if kept != 0:
                    contact[world, at] = c
                    row_a[world, at] = a
                    row_b[world, at] = b
                    normal[world, at] = n
                    arm_a[world, at] = ra
                    arm_b[world, at] = rb
                    twist[world, at] = vec3()
                    full = contact_law.full(q, n, world, sa, sb, a, b, after, rolling, torsional, angular_eps)
                    coefficients[world, at] = full
                    if again == 0:
                        u1 = contact_law.relative_motion(goal, world, a, b, ra, rb, n, vec3())
                        if contact_law.excess(u1, n, full, eps) > dtype(0.0):
                            solve = int(1)
                    at += 1
        total[world] = at
        if again == 0:
            for i in range(actuator_body.shape[0]):
                if label[world, actuator_body[i]] >= 0:
                    solve = int(1)
            solves[world] = solve
            if solve == 1:
                any_solves[0] = 1

    @wp.kernel(module="unique")
    def power_kernel(
        shape_body: wp.array(dtype=int), gravity: wp.array(dtype=vec3), body_mass: wp.array2d(dtype=dtype),
        shape_friction: wp.array2d(dtype=dtype), shape_stiffness: wp.array2d(dtype=dtype),
        shape_damping: wp.array2d(dtype=dtype), f: FeatureTable, count: wp.array(dtype=int),
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), rest: wp.array2d(dtype=int),
        time: wp.array2d(dtype=dtype), pose: wp.array2d(dtype=transform), after: wp.array2d(dtype=spatial),
        mean: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial), option: dtype, h: dtype, eps: dtype,
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, c = wp.tid()
        if going[world] == 0:
            return
        if c >= count[world]:
            return
        if rest[world, c] == 0:
            return
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shape_body[sa]
        b = shape_body[sb]
        left = h - time_of(label, time, world, a, b)
        n, ra, rb, q, _gap = row(
            world, c, sa, sb, a, b, left, f, body_mass, shape_friction, shape_stiffness, shape_damping, pose, after,
            h, eps,
        )  # fmt: skip
        if rest[world, c] == CAPPED:
            most = close.threshold_of(gravity[world], option, h)
            q = vec4(q[1] * wp.max(most, dtype(2.0) * h * wp.length(gravity[world])), q[1], q[2], q[3])
        none = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        full = contact_law.full(q, n, world, sa, sb, a, b, after, rolling, torsional, angular_eps)
        u = contact_law.relative_motion(mean, world, a, b, ra, rb, n, none)
        uz = contact_law.relative_motion(z, world, a, b, ra, rb, n, none)
        power[world, c] = wp.dot(contact_law.impulse(u, n, full, eps), uz)

    return SimpleNamespace(row=row, start=start_kernel, drive=drive_kernel, rows=rows_kernel, power=power_kernel)


def _start_inputs(model: ModelArrays, r: Round, h: float) -> list[Any]:
    return [model.body_mask, model.gravity, r.going, r.label, r.after, r.time, h]


def start_rest(dtype: Any, model: ModelArrays, r: Round, *, h: float) -> None:
    """Mean velocities ``r.goal`` over what is left, of gravity alone."""
    wp.launch(
        make(dtype).start, dim=r.label.shape, inputs=_start_inputs(model, r, h), outputs=[r.goal],
        device=r.going.device,
    )  # fmt: skip


def start_rest_adjoint(dtype: Any, model: ModelArrays, r: Round, own: RoundAdjoints, g: Any, *, h: float) -> None:
    """Add to the adjoints of velocities, times and gravity what that of ``r.goal`` implies."""
    kernel = make(dtype).start
    wp.launch(
        kernel, dim=r.label.shape, inputs=_start_inputs(model, r, h), outputs=[r.goal], adjoint=True,
        adj_inputs=by_name(kernel, gravity=g.gravity, after=own.after, time=own.time, goal=own.goal),
        device=r.going.device,
    )  # fmt: skip


def _drive_inputs(model: ModelArrays, control: wp.array, r: Round, h: float) -> list[Any]:
    m = model
    return [
        m.actuator_body, m.actuator_stiffness, m.actuator_damping, m.actuator_kind, control, r.going, r.label, r.time, h
    ]  # fmt: skip


def drive(dtype: Any, model: ModelArrays, control: wp.array, r: Round, *, h: float) -> None:
    """Actuators ``r.drive`` for what is left."""
    if model.actuator_body.shape[0] > 0:
        wp.launch(
            make(dtype).drive, dim=control.shape, inputs=_drive_inputs(model, control, r, h), outputs=list(r.drive),
            device=r.going.device,
        )  # fmt: skip


def drive_adjoint(
    dtype: Any, model: ModelArrays, control: wp.array, r: Round, own: RoundAdjoints, g: Any, *, h: float
) -> None:
    """Add to the adjoints of controls, gains and times what those of ``r.drive`` imply."""
    if model.actuator_body.shape[0] > 0:
        kernel = make(dtype).drive
        wp.launch(
            kernel, dim=control.shape, inputs=_drive_inputs(model, control, r, h), outputs=list(r.drive), adjoint=True,
            adj_inputs=by_name(
                kernel, actuator_stiffness=g.actuator_stiffness, actuator_damping=g.actuator_damping,
                control=g.control, time=own.time, control1=own.drive[0], stiffness1=own.drive[1],
                damping1=own.drive[2],
            ),
            device=r.going.device,
        )  # fmt: skip


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
            m.shape_body, m.gravity, m.body_mass, m.shape_friction, m.shape_stiffness, m.shape_damping,
            m.shape_restitution, m.actuator_body, features.struct, features.count, r.going, r.label,
            r.time, rounds.path.pose[1], r.after, r.goal, rounds.free, threshold, int(again), h, eps,
            m.shape_rolling_resistance, m.shape_torsional_resistance, angular_eps,
        ],
        outputs=[
            r.rest, rounds.contact, o.body_a, o.body_b, o.normal, o.arm_a, o.arm_b, o.twist,
            o.coefficients, rounds.total, rounds.solves, rounds.any_solves,
        ],
        device=r.going.device,
    )  # fmt: skip


def rest_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any, *,
    threshold: float, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint`` for the solve over what is left."""
    m, k = model, 1
    kernel = make(dtype, rounds.rows.resists).power
    wp.launch(
        kernel, dim=features.kind.shape,
        inputs=[
            m.shape_body, m.gravity, m.body_mass, m.shape_friction, m.shape_stiffness, m.shape_damping,
            features.struct, features.count, r.going, r.label, r.rest, r.time, rounds.path.pose[k],
            r.after, rounds.path.mean[k], g.z, threshold, h, eps, m.shape_rolling_resistance,
            m.shape_torsional_resistance, angular_eps,
        ],
        outputs=[g.contact_power], adjoint=True,
        adj_inputs=by_name(
            kernel, gravity=g.gravity, body_mass=g.body_mass, shape_friction=g.shape_friction,
            shape_stiffness=g.shape_stiffness, shape_damping=g.shape_damping, time=own.time, pose=own.path.pose[k],
            after=own.after, rolling=g.shape_rolling_resistance, torsional=g.shape_torsional_resistance,
            power=g.contact_seed,
        ),
        device=r.going.device,
    )  # fmt: skip
