"""Restitution: impacts resolved at their time within the step. See "Restitution" in ``docs/contact.md``.

A step with impacts solves three times. The first solve leaves out the contacts that are struck, and gives the
velocities ``body_vi`` with which bodies meet. The second has for each struck contact a frictionless row that aims at
the velocity after the impact; from its velocities ``body_vn`` come the normal impulses. The third adds the friction
that these imply. The pose update then knows that the impulse of an impact acted from its own time on. Worlds in which
nothing is struck keep the first solve.

Models without restitution launch nothing of this.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import features
from ..collision.features import Features
from ..contact import contact_rows, hard, law, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision

__all__ = [
    "IMPACT_STIFFNESS", "Impacts", "friction_rows", "impact_forces", "impact_rows", "impact_velocity", "leave_out",
    "make", "select",
]  # fmt: skip

IMPACT_STIFFNESS = 1000.0
"""Coefficient b of an impact in units of the pair's reduced mass: bodies that share an impact get the velocity after it
to about one part in this; ten times a near-rigid contact's, which single precision still resolves."""

FRICTION_SCALE = 1000.0
"""Factor by which the friction row of an impact raises the coefficient of friction and lowers the normal impulse."""

FIRST = 0.1
"""Part of a step by which an impact must come before others for the body to move on from its time and not theirs."""

NEVER = -1.0e30
"""Coefficient a of a contact that is left out."""


@dataclass
class Impacts:
    """What a step with impacts writes. W worlds, B bodies, C contacts."""

    rows: ContactRows  # [W, 2 C]: of the second solve, then the friction of the third; the first has the plain rows
    struck: wp.array  # int32 [W]: contacts left out of the first solve
    count: wp.array  # int32 [W]: rows of the second solve, those of the contacts; 0 where nothing is struck
    total: wp.array  # int32 [W]: rows of the third solve
    body_vi: wp.array  # spatial [W, B]: velocities of the first solve
    body_vn: wp.array  # spatial [W, B]: velocities of the second solve
    friction: wp.array  # [W, C]: coefficient of friction of each contact
    delay: wp.array  # [W, C]: time of the impact within the step [s]; negative: not struck in this step
    load: wp.array  # [W, B]: sum of the weights of a body's impacts, greatest for the first in time [kg]
    moment: wp.array  # [W, B]: the same, each times its delay [kg s]
    body_vm: wp.array  # spatial [W, B]: mean velocities during the step, which move the poses

    @classmethod
    def allocate(
        cls, worlds: int, bodies: int, capacity: int, dtype: Any, device: Any, resists: bool = False
    ) -> "Impacts":
        """Zeros."""
        p = precision(dtype)

        def per_world() -> wp.array:
            return wp.zeros(worlds, dtype=wp.int32, device=device)

        def per_body(kind: Any) -> wp.array:
            return wp.zeros((worlds, bodies), dtype=kind, device=device)

        return cls(
            rows=ContactRows.allocate(worlds, 2 * capacity, dtype, device, resists, own_arms=True),
            struck=per_world(), count=per_world(), total=per_world(),
            body_vi=per_body(p.spatial), body_vn=per_body(p.spatial),
            friction=wp.zeros((worlds, capacity), dtype=dtype, device=device),
            delay=wp.zeros((worlds, capacity), dtype=dtype, device=device),
            load=per_body(dtype), moment=per_body(dtype), body_vm=per_body(p.spatial),
        )  # fmt: skip


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """Functions ``row``, ``friction_row``, ``share``, and the kernels, for one precision and contact law."""
    p = precision(dtype)
    vec3, vec4, spatial, transform = p.vec3, p.vec4, p.spatial, p.transform
    FeatureTable, Rows = features.make(dtype), row_arrays.make(dtype, resists)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces = model.Bodies, model.Shapes, model.Surfaces
    pair, plain, dyn = hard.make(dtype), contact_rows.make(dtype), motion.make(dtype)
    contact_law = law.make(dtype, resists)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients

    @wp.func
    def struck(e: dtype, approach: dtype, threshold: dtype):
        """Whether a contact whose gap closes at ``approach`` [m/s] at the start of the step may have an impact."""
        return e > dtype(0.0) and approach > dtype(0.5) * threshold

    @wp.func
    def share(b: dtype, delay: dtype, h: dtype):
        """Weight of an impact in the delay of its bodies: the first one has nearly all, one at the step's end none.

        It does not ask for the impulse: a corner that gets none as its neighbour takes it all still stops the fall.
        """
        return b * (dtype(1.0) - delay / h) * wp.exp(-delay / (dtype(FIRST) * h))

    @wp.func
    def after(
        q: vec4, n: vec3, u0: vec3, ui: vec3, gap: dtype, part: dtype, e: dtype, mass: dtype, h: dtype, eps: dtype,
        threshold: dtype,
    ):  # fmt: skip
        """Coefficients of the normal row of a struck contact, and the time of its impact (negative: none) [s].

        ``u0`` and ``ui`` are the relative velocities at the start of the step and at its end without the impact. Their
        difference is an acceleration; stored velocities are those half a step earlier, so the gap is a parabola.
        """
        zero = dtype(0.0)
        half = dtype(0.5)
        coefficients = vec4(-q[1] / h * gap, q[1], q[2], q[3])  # stops at the surface, if something pushes it there
        delay = dtype(-1.0)
        start = wp.dot(n, u0)
        end = wp.dot(n, ui)
        if end < zero and gap + h * end <= zero:
            acceleration = (end - start) / h
            approach = -half * (start + end)
            delay = zero
            if gap > zero:
                root = approach * approach - dtype(2.0) * acceleration * gap
                floor = dtype(1.0e-12) * approach * approach
                delay = wp.min(dtype(2.0) * gap / (approach + wp.sqrt(wp.max(root, floor))), h)
            speed = -end - acceleration * (delay - half * h)
            bounce = e * wp.clamp((speed - threshold) / threshold, zero, dtype(1.0))
            # not below zero: what would meet the surface once more within the step rests there
            goal = wp.max(bounce * speed + acceleration * (half * h - delay), zero)
            # exact where the impulse passes through the centres of mass, to 1/IMPACT_STIFFNESS elsewhere
            guess = mass * part * (goal - end)
            stiffness = dtype(IMPACT_STIFFNESS) * mass * part
            coefficients = vec4(stiffness * goal + guess, stiffness, zero, eps)
        return coefficients, delay

    @wp.func
    def friction_row(
        q: Coefficients, n: vec3, un: Motion, mu: dtype, eps: dtype, world: int, sa: int, sb: int,
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
    ):  # fmt: skip
        """Row with friction and resistance of an impact: those of row ``q``'s normal impulse at ``un``, held fixed.

        With b = 0 its normal impulse is constant, and made small by a large coefficient; row ``q`` supplies the rest.
        """
        load = wp.max(contact_law.excess(un, n, q, eps), dtype(0.0))
        scale = dtype(FRICTION_SCALE)
        friction = vec4(load / scale, dtype(0.0), mu * scale, eps)
        return contact_law.held(friction, world, sa, sb, rolling, torsional, angular_eps, scale)

    @wp.func
    def row(
        world: int, c: int, sa: int, sb: int, a: int, b: int, f: FeatureTable, centre: wp.array2d(dtype=vec3),
        pull: wp.array2d(dtype=dtype), body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial),
        body_vi: wp.array2d(dtype=spatial), bodies: Bodies, surfaces: Surfaces, h: dtype, eps: dtype, threshold: dtype,
        angular_eps: dtype,
    ):  # fmt: skip
        """Normal, arms, twist as ``contact_rows.row``; coefficients; the contact's mu; its impact's time [s].

        The time is negative where there is none. A row of an impact is frictionless, and free to roll: see
        ``friction_row``.
        """
        n, arm_a, arm_b, twist, q, gap, part = plain.row(
            world, c, sa, sb, a, b, f, centre, pull, body_q, body_v0, bodies, surfaces, h, eps
        )
        e = pair.friction(surfaces.restitution[world, sa], surfaces.restitution[world, sb])
        u0 = dyn.relative_velocity(body_v0, world, a, b, arm_a, arm_b)
        coefficients = q
        delay = dtype(-1.0)
        if struck(e, -wp.dot(n, u0), threshold):
            ui = dyn.relative_velocity(body_vi, world, a, b, arm_a, arm_b)
            mass = pair.effective_mass(plain.mass_of(bodies.mass, world, a), plain.mass_of(bodies.mass, world, b))
            coefficients, delay = after(q, n, u0, ui, gap, part, e, mass, h, eps, threshold)
            if delay > dtype(0.0):  # the impulse acts where the surfaces will meet, not midway between them
                arm_a = arm_a - n * (dtype(0.5) * gap)
                arm_b = arm_b + n * (dtype(0.5) * gap)
        complete = contact_law.bare(coefficients)
        if wp.static(resists):
            if delay < dtype(0.0):
                complete = contact_law.full(
                    coefficients, n, world, sa, sb, a, b, body_v0, surfaces.rolling_resistance,
                    surfaces.torsional_resistance, angular_eps,
                )  # fmt: skip
        return n, arm_a, arm_b, twist, complete, q[2], delay

    @wp.kernel(enable_backward=False, module="unique")
    def leave_out_kernel(
        shape_restitution: wp.array2d(dtype=dtype), body_v0: wp.array2d(dtype=spatial), count: wp.array(dtype=int),
        shape_a: wp.array2d(dtype=int), shape_b: wp.array2d(dtype=int), row_a: wp.array2d(dtype=int),
        row_b: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3),
        arm_b: wp.array2d(dtype=vec3), threshold: dtype,
        # rows in and out
        coefficients: wp.array2d(dtype=Coefficients),
        # out
        number: wp.array(dtype=int),
    ):  # fmt: skip
        world, c = wp.tid()
        if c >= count[world]:
            return
        e = pair.friction(shape_restitution[world, shape_a[world, c]], shape_restitution[world, shape_b[world, c]])
        u0 = dyn.relative_velocity(body_v0, world, row_a[world, c], row_b[world, c], arm_a[world, c], arm_b[world, c])
        if struck(e, -wp.dot(normal[world, c], u0), threshold):
            q = coefficients[world, c]
            q[0] = dtype(NEVER)
            coefficients[world, c] = q
            wp.atomic_add(number, world, 1)

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_vi: wp.array2d(dtype=spatial),
        f: FeatureTable, centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype),
        number: wp.array(dtype=int), h: dtype, eps: dtype, threshold: dtype, angular_eps: dtype,
        # out
        rows: Rows, friction: wp.array2d(dtype=dtype), delay: wp.array2d(dtype=dtype), reduced: wp.array(dtype=int),
    ):  # fmt: skip
        world, c = wp.tid()
        if c == 0:
            reduced[world] = wp.where(number[world] > 0, f.count[world], 0)
        if c >= f.count[world] or number[world] == 0:
            return
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        n, ra, rb, turning, k, mu, tau = row(
            world, c, sa, sb, a, b, f, centre, pull, body_q, body_v0, body_vi, bodies, surfaces, h, eps, threshold,
            angular_eps,
        )  # fmt: skip
        rows.body_a[world, c] = a
        rows.body_b[world, c] = b
        rows.normal[world, c] = n
        rows.arm_a[world, c] = ra
        rows.arm_b[world, c] = rb
        rows.twist[world, c] = turning
        rows.coefficients[world, c] = k
        friction[world, c] = mu
        delay[world, c] = tau

    @wp.kernel(enable_backward=False, module="unique")
    def friction_kernel(
        count: wp.array(dtype=int), body_vn: wp.array2d(dtype=spatial), friction: wp.array2d(dtype=dtype),
        delay: wp.array2d(dtype=dtype), eps: dtype, shape_a: wp.array2d(dtype=int), shape_b: wp.array2d(dtype=int),
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
        # rows in and out: the first half is there, the second is written
        row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int), normal: wp.array2d(dtype=vec3),
        arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3), twist: wp.array2d(dtype=vec3),
        coefficients: wp.array2d(dtype=Coefficients),
        # out
        total: wp.array(dtype=int),
    ):  # fmt: skip
        """Append the friction rows; one thread a world, so that they stand in the contacts' order."""
        world = wp.tid()
        n = int(count[world])
        for c in range(count[world]):
            if delay[world, c] >= dtype(0.0):
                a = row_a[world, c]
                b = row_b[world, c]
                u = contact_law.relative_motion(
                    body_vn, world, a, b, arm_a[world, c], arm_b[world, c], normal[world, c], twist[world, c]
                )
                row_a[world, n] = a
                row_b[world, n] = b
                normal[world, n] = normal[world, c]
                arm_a[world, n] = arm_a[world, c]
                arm_b[world, n] = arm_b[world, c]
                twist[world, n] = twist[world, c]
                coefficients[world, n] = friction_row(
                    coefficients[world, c], normal[world, c], u, friction[world, c], eps, world, shape_a[world, c],
                    shape_b[world, c], rolling, torsional, angular_eps,
                )  # fmt: skip
                n += 1
        total[world] = n

    @wp.kernel(enable_backward=False, module="unique")
    def select_kernel(
        impacts: wp.array(dtype=int), body_vi: wp.array2d(dtype=spatial),
        # in and out
        body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if impacts[world] == 0:
            body_v1[world, body] = body_vi[world, body]

    @wp.kernel(enable_backward=False, module="unique")
    def select_adjoint_kernel(
        impacts: wp.array(dtype=int),
        # in and out
        adj_vi: wp.array2d(dtype=spatial), adj_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if impacts[world] == 0:
            adj_vi[world, body] = adj_vi[world, body] + adj_v1[world, body]
            adj_v1[world, body] = spatial()

    @wp.kernel(enable_backward=False, module="unique")
    def gather_kernel(
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        coefficients: wp.array2d(dtype=Coefficients), delay: wp.array2d(dtype=dtype), h: dtype,
        # out
        load: wp.array2d(dtype=dtype), moment: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Sums over the impacts of each body; one thread a world, so that their order is always the same."""
        world = wp.tid()
        for body in range(load.shape[1]):
            load[world, body] = dtype(0.0)
            moment[world, body] = dtype(0.0)
        for c in range(count[world]):
            tau = delay[world, c]
            if tau >= dtype(0.0):
                size = share(coefficients[world, c][1], tau, h)
                a = row_a[world, c]
                b = row_b[world, c]
                if b >= 0:
                    load[world, b] = load[world, b] + size
                    moment[world, b] = moment[world, b] + size * tau
                if a >= 0:
                    load[world, a] = load[world, a] + size
                    moment[world, a] = moment[world, a] + size * tau

    @wp.kernel(module="unique")
    def mean_kernel(
        body_vi: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        load: wp.array2d(dtype=dtype), moment: wp.array2d(dtype=dtype), h: dtype,
        # out
        body_vm: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Velocity ``vi`` until the impact and ``v1`` after it; as both respect other contacts, so does the mean."""
        world, body = wp.tid()
        v1 = body_v1[world, body]
        vm = v1
        if load[world, body] > dtype(0.0):
            vm = v1 + (body_vi[world, body] - v1) * (moment[world, body] / (load[world, body] * h))
        body_vm[world, body] = vm

    @wp.kernel(enable_backward=False, module="unique")
    def forces_kernel(
        count: wp.array(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3),
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients), delay: wp.array2d(dtype=dtype),
        body_v1: wp.array2d(dtype=spatial), h: dtype, eps: dtype,
        # out
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world = wp.tid()
        f = int(count[world])
        for c in range(count[world]):
            n = normal[world, c]
            q = coefficients[world, c]
            u = contact_law.relative_motion(
                body_v1, world, row_a[world, c], row_b[world, c], arm_a[world, c], arm_b[world, c],
                normal[world, c], twist[world, c],
            )  # fmt: skip
            push = contact_law.impulse(u, n, q, eps)
            if delay[world, c] >= dtype(0.0):
                q = coefficients[world, f]
                push += contact_law.impulse(u, n, q, eps)
                f += 1
            push = push / h
            if wp.static(resists):
                force[world, c] = dyn.linear(push)
            else:
                force[world, c] = push
            torque[world, c] = contact_law.moment(push, n, twist[world, c])

    return SimpleNamespace(
        row=row, share=share, friction_row=friction_row, leave_out=leave_out_kernel, rows=rows_kernel,
        friction=friction_kernel, select=select_kernel, select_adjoint=select_adjoint_kernel, gather=gather_kernel,
        mean=mean_kernel, forces=forces_kernel,
    )  # fmt: skip


def leave_out(
    dtype: Any, model: ModelArrays, body_v0: wp.array, features: Features, plain: ContactRows, impacts: Impacts,
    *, threshold: float,
) -> None:  # fmt: skip
    """Take the contacts that are struck in this step out of the ``plain`` rows, for the first solve; count them."""
    f, r = features, plain
    impacts.struck.zero_()
    wp.launch(
        make(dtype, r.resists).leave_out,
        dim=f.kind.shape,
        inputs=[
            model.shape_restitution, body_v0, f.count, f.shape_a, f.shape_b, r.body_a, r.body_b, r.normal, r.arm_a,
            r.arm_b, threshold,
        ],
        outputs=[r.coefficients, impacts.struck],
        device=body_v0.device,
    )  # fmt: skip


def impact_rows(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, features: Features, plain: ContactRows,
    impacts: Impacts, *, h: float, eps: float, angular_eps: float, threshold: float,
) -> None:  # fmt: skip
    """Rows of all contacts for the second solve, from the velocities of the first; and the times of the impacts.

    Patches are those of the ``plain`` rows.
    """
    m, f, i, r = model, features, impacts, impacts.rows
    wp.launch(
        make(dtype, r.resists).rows,
        dim=f.kind.shape,
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, i.body_vi, f.struct, plain.centre, plain.pull, i.struck,
            h, eps, threshold, angular_eps,
        ],
        outputs=[r.struct, i.friction, i.delay, i.count],
        device=body_q.device,
    )  # fmt: skip


def friction_rows(
    dtype: Any, model: ModelArrays, features: Features, impacts: Impacts, *, eps: float, angular_eps: float
) -> None:
    """Append the friction of the impacts to ``impacts.rows`` for the third solve, from the velocities of the second."""
    m, f, i, r = model, features, impacts, impacts.rows
    wp.launch(
        make(dtype, r.resists).friction,
        dim=i.count.shape,
        inputs=[
            i.count, i.body_vn, i.friction, i.delay, eps, f.shape_a, f.shape_b, m.shape_rolling_resistance,
            m.shape_torsional_resistance, angular_eps,
        ],
        outputs=[r.body_a, r.body_b, r.normal, r.arm_a, r.arm_b, r.twist, r.coefficients, i.total],
        device=i.count.device,
    )  # fmt: skip


def select(dtype: Any, impacts: Impacts, body_v1: wp.array) -> None:
    """Put the first solve's velocities into ``body_v1`` where nothing is struck."""
    wp.launch(
        make(dtype).select, dim=body_v1.shape, inputs=[impacts.struck, impacts.body_vi], outputs=[body_v1],
        device=body_v1.device,
    )  # fmt: skip


def impact_forces(
    dtype: Any, body_v1: wp.array, impacts: Impacts, force: wp.array, torque: wp.array, *, h: float, eps: float
) -> None:
    """Mean forces on b [N] of all contacts of the worlds in which some are struck, and torques [N m], [W, C]."""
    i, r = impacts, impacts.rows
    wp.launch(
        make(dtype, r.resists).forces,
        dim=i.count.shape,
        inputs=[
            i.count, r.body_a, r.body_b, r.normal, r.arm_a, r.arm_b, r.twist, r.coefficients, i.delay, body_v1, h, eps,
        ],
        outputs=[force, torque],
        device=body_v1.device,
    )  # fmt: skip


def impact_velocity(dtype: Any, body_v1: wp.array, impacts: Impacts, *, h: float) -> None:
    """Mean velocities ``impacts.body_vm`` during a step that ends with ``body_v1``."""
    i, r = impacts, impacts.rows
    wp.launch(
        make(dtype, r.resists).gather,
        dim=body_v1.shape[0],
        inputs=[i.count, r.body_a, r.body_b, r.coefficients, i.delay, h],
        outputs=[i.load, i.moment],
        device=body_v1.device,
    )
    wp.launch(
        make(dtype).mean,
        dim=body_v1.shape,
        inputs=[i.body_vi, body_v1, i.load, i.moment, h],
        outputs=[i.body_vm],
        device=body_v1.device,
    )
