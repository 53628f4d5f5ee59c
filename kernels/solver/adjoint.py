"""The implicit adjoint of the contact solve: one linear solve, then Warp's adjoint of the power of the residual.

With r(v1, theta) = 0 the stationarity condition, H = dr/dv1 and an adjoint vbar of v1: solve H z = vbar, then
thetabar += d/dtheta of ``-z . r`` with z and v1 held fixed. The scalar ``-z . r`` is a sum over contacts, bodies and
actuators; each has a kernel of its own, whose adjoint Warp generates.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import contact_geometry, edge_blend, features
from ..collision.features import SHARE_FIXED, SHARE_POLYGON, Features
from ..contact import contact_rows, face_friction, law, row_arrays, world_contacts
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import FUSED, precision
from . import body_adjoint_lanes, contact_adjoint_lanes, dense, dense_algebra, dense_hessian
from . import scratch as scratch_arrays
from .scratch import Scratch

__all__ = ["body_adjoint", "contact_adjoint", "make", "residual_adjoint", "solve_adjoint"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The kernels for one precision and contact law: linear solve, and power of contacts, bodies and actuators."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    FeatureTable = features.make(dtype)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces, Actuators = model.Bodies, model.Shapes, model.Surfaces, model.Actuators
    contact_law, dyn, row_ns = law.make(dtype, resists, softens), motion.make(dtype), contact_rows.make(dtype)
    geo, hand = contact_geometry.make(dtype), edge_blend.make(dtype)
    if softens:
        row_ns = contact_rows.make(dtype, resists, softens)
    hessians, lin = dense_hessian.make(dtype, resists, softens), dense_algebra.make(dtype)
    solver = dense.make(dtype, resists, softens)
    is_plain = contact_adjoint_lanes.plain
    Rows, Work = row_arrays.make(dtype, resists, softens), scratch_arrays.make(dtype, contact_law.Motion).Dense

    @wp.kernel(enable_backward=False, module="unique", module_options=FUSED)
    def linear_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, adj_v1: wp.array2d(dtype=spatial),
        # scratch
        work: Work,
        # out
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if count[world] < 0:  # a further solve that this world does not take
            for body in range(body_q.shape[1]):
                z[world, body] = spatial()
            return
        solver.set_up(world, bodies, body_q, body_v0, h, work.inertia, work.target)
        for c in range(count[world]):
            u = contact_law.relative_motion(
                body_v1, world, rows.body_a[world, c], rows.body_b[world, c], rows.arm_a[world, c],
                rows.arm_b[world, c], rows.normal[world, c], rows.twist[world, c],
            )  # fmt: skip
            work.slip[world, c] = u
            q = rows.coefficients[world, c]
            flag = int(0)
            if contact_law.excess(u, rows.normal[world, c], q, eps) > dtype(0.0):
                flag = 1
            active[world, c] = flag
        hessians.hessian(world, bodies, actuators, count[world], rows, h, eps, dtype(1.0), 0, work)
        lin.gather(adj_v1, bodies.dof_index, world, dtype(1.0), work.vector)
        lin.solve(work.hessian, work.vector, world, bodies.dofs)
        lin.spread(work.vector, bodies.dof_index, world, z)

    @wp.func(inline=True)
    def contact_power(
        world: int, c: int, bodies: Bodies, shapes: Shapes, surfaces: Surfaces, body_q: wp.array2d(dtype=transform),
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial),
        f: FeatureTable, centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype), h: dtype, eps: dtype,
        angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        # as ``contact_rows.row``; an adjoint goes through nested functions anew
        xa = geo.body_pose(body_q, world, a)
        xb = geo.body_pose(body_q, world, b)
        part = f.weight[world, c]
        share = f.share[world, c]
        if share == SHARE_POLYGON:
            part = part * row_ns.polygon_part(
                world, c, f.patch_start[world, c], f.patch_count[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1
            )
        elif share != SHARE_FIXED:
            part = part * geo.fixed_share(share, f.share_plane[world, c], xa, xb, f.s0[world, c], f.s1[world, c])
        if f.blend[world, c] >= 0:
            part = part * hand.factor(
                world, f.blend[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.blend_edges
            )
        stiffness, damping, mu = row_ns.of_pair(world, sa, sb, a, b, bodies, surfaces, h)
        drawn = dtype(0.0)
        to = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if f.patch_count[world, c] > 0:
            drawn = pull[world, f.patch_start[world, c]]
            to = centre[world, f.patch_start[world, c]]
        n, arm_a, arm_b, twist, coefficient, _gap = row_ns.row_of(
            world, c, a, b, part, stiffness, damping, mu, f, xa, xb, body_v0, to, drawn, h, eps
        )
        if wp.static(softens):
            coefficient = contact_law.softened(coefficient, surfaces.softening[sa], surfaces.softening[sb])
        q = contact_law.full(
            coefficient, n, world, sa, sb, a, b, body_v0, surfaces.rolling_resistance, surfaces.torsional_resistance,
            angular_eps,
        )  # fmt: skip
        u = contact_law.relative_motion(body_v1, world, a, b, arm_a, arm_b, n, twist)
        uz = contact_law.relative_motion(z, world, a, b, arm_a, arm_b, n, twist)
        power[world, c] = wp.dot(contact_law.impulse(u, n, q, eps), uz)

    @wp.func_replay(contact_power)
    def contact_power_again(
        world: int, c: int, bodies: Bodies, shapes: Shapes, surfaces: Surfaces, body_q: wp.array2d(dtype=transform),
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial),
        f: FeatureTable, centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype), h: dtype, eps: dtype,
        angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs no power."""
        return

    @wp.kernel(module="unique")
    def contact_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int), f: FeatureTable,
        centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype), h: dtype, eps: dtype, angular_eps: dtype,
        without_plain: int, stride: int,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            here = active[world, c]
            if without_plain != 0 and is_plain(f.kind[world, c], f.share[world, c], f.blend[world, c]):
                here = 0
            if here != 0:
                contact_power(
                    world, c, bodies, shapes, surfaces, body_q, body_v0, body_v1, z, f, centre, pull, h, eps,
                    angular_eps, power,
                )  # fmt: skip

    @wp.kernel(module="unique")
    def body_kernel(
        # model
        bodies: Bodies,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial), h: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, body = wp.tid()
        if wp.max(wp.abs(z[world, body])) == dtype(0.0):
            return
        target = dyn.free_velocity(body_v0[world, body], bodies.mask[body], bodies.gravity[world], h)
        change = body_v1[world, body] - target
        rotation = wp.transform_get_rotation(body_q[world, body])
        inertia = dyn.world_inertia(rotation, bodies.inertia[world, body])
        zb = z[world, body]
        power[world, body] = -(
            bodies.mass[world, body] * wp.dot(dyn.linear(zb), dyn.linear(change))
            + wp.dot(dyn.angular(zb), inertia * dyn.angular(change))
        )

    @wp.kernel(module="unique")
    def actuator_kernel(
        # model
        actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        z: wp.array2d(dtype=spatial), h: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, i = wp.tid()
        body = actuators.body[i]
        axis = actuators.axis[i]
        power[world, i] = z[world, body][axis] * dyn.actuator_impulse(
            actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis), body_v1[world, body][axis],
            actuators.stiffness[world, i], actuators.damping[world, i], h,
        )  # fmt: skip

    return SimpleNamespace(linear=linear_kernel, contact=contact_kernel, body=body_kernel, actuator=actuator_kernel)


def solve_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, adj_v1: wp.array, adjoints: Adjoints, *, h: float,
    eps: float,
) -> None:  # fmt: skip
    """Solve H z = ``adj_v1`` at the solution ``body_v1``; writes ``adjoints.z`` and which contacts are active."""
    m, r, s = model, contact_rows, scratch
    wp.launch(
        make(dtype, contact_rows.resists, contact_rows.softens).linear,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.actuators, body_q, body_v0, body_v1, count, r.struct, h, eps, adj_v1, s.struct,
        ],
        outputs=[adjoints.z, adjoints.active],
        device=body_q.device,
    )  # fmt: skip


def residual_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, control: wp.array,
    features: Features, contact_rows: ContactRows, adjoints: Adjoints, *, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """Add d(-z . r)/d(inputs) to ``adjoints``, for all contacts, bodies and actuators of all worlds."""
    contact_adjoint(
        dtype, model, body_q, body_v0, body_v1, features, contact_rows, adjoints, h=h, eps=eps,
        angular_eps=angular_eps,
    )  # fmt: skip
    body_adjoint(dtype, model, body_q, body_v0, body_v1, control, adjoints, h=h)


def contact_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, features: Features,
    contact_rows: ContactRows, adjoints: Adjoints, *, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """The contacts' part of ``residual_adjoint``: those of the rows, then the patches that these have been found in."""
    m, g, f, r = model, adjoints, features, contact_rows
    if world_contacts.serves(m, r):
        world_contacts.add_contacts(dtype, m, body_q, body_v0, body_v1, f, r, g, h=h, eps=eps)
        face_friction.find_plane_adjoint(dtype, m, body_q, f, g)
        return
    worlds, capacity = f.kind.shape
    stride = capacity if body_q.device.is_cuda else 1
    in_lanes = contact_adjoint_lanes.serves(m, r)
    if in_lanes:
        contact_adjoint_lanes.add_plain_contacts(dtype, m, body_q, body_v0, body_v1, f, r, g, h=h, eps=eps)
    if not (in_lanes and m.plain_contacts):
        kernel = make(dtype, r.resists, r.softens).contact
        wp.launch(
            kernel,
            dim=(worlds, stride),
            inputs=[
                g.bodies, m.shapes, g.surfaces, body_q, body_v0, body_v1, g.z, g.active, f.struct, r.centre, r.pull, h,
                eps, angular_eps, int(in_lanes), stride,
            ],
            outputs=[g.contact_power],
            adjoint=True,
            adj_inputs=by_name(
                kernel, body_q=g.body_q, body_v0=g.body_v0, centre=g.centre, pull=g.pull, power=g.contact_seed
            ),
            device=body_q.device,
        )  # fmt: skip
    face_friction.find_adjoint(dtype, m, body_q, f, r, g)


def body_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, control: wp.array,
    adjoints: Adjoints, *, h: float,
) -> None:  # fmt: skip
    """The bodies' and actuators' part of ``residual_adjoint``."""
    if body_adjoint_lanes.serves(model):
        body_adjoint_lanes.body_adjoint(dtype, model, body_q, body_v0, body_v1, control, adjoints, h=h)
        return
    k, m, g = make(dtype), model, adjoints
    device = body_q.device
    wp.launch(
        k.body,
        dim=body_q.shape,
        inputs=[g.bodies, body_q, body_v0, body_v1, g.z, h],
        outputs=[g.body_power],
        adjoint=True,
        adj_inputs=by_name(k.body, body_q=g.body_q, body_v0=g.body_v0, power=g.body_seed),
        device=device,
    )  # fmt: skip
    if m.actuator_body.shape[0] > 0:
        wp.launch(
            k.actuator,
            dim=control.shape,
            inputs=[g.actuators, body_q, body_v1, control, g.z, h],
            outputs=[g.actuator_power],
            adjoint=True,
            adj_inputs=by_name(k.actuator, body_q=g.body_q, control=g.control, power=g.actuator_seed),
            device=device,
        )  # fmt: skip
