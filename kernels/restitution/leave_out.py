"""The plain solve of a step: contacts that may have an impact are left out, and overlap pushes others out slowly.

Being pushed out must not gain energy where a contact bounces, so its push ends at the speed that gravity gives in two
steps; see ``struck.py`` for what is left out.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import hard, law
from ..contact.row_arrays import ContactRows
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, meetings, rest, struck
from .rest import CAPPED
from .round_arrays import Round, Rounds

__all__ = ["NEVER", "leave_out", "make", "release"]

NEVER = -1.0e30
"""Coefficient a of a contact that is left out."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernels for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    geo, pair, dyn, meet = contacts.make(dtype), hard.make(dtype), motion.make(dtype), meetings.make(dtype)
    contact_law, close, rest_ns = law.make(dtype, resists), struck.make(dtype), rest.make(dtype, resists)
    FeatureTable, Coefficients, Motion = geo.FeatureTable, contact_law.Coefficients, meet.Motion
    leaves = 0.1 * struck.TOUCHING[dtype]

    @wp.kernel(enable_backward=False, module="unique")
    def leave_out_kernel(
        shape_body: wp.array(dtype=int), body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3),
        body_mass: wp.array2d(dtype=dtype), shape_friction: wp.array2d(dtype=dtype),
        shape_stiffness: wp.array2d(dtype=dtype), shape_damping: wp.array2d(dtype=dtype),
        shape_restitution: wp.array2d(dtype=dtype), body_q: wp.array2d(dtype=transform),
        body_v0: wp.array2d(dtype=spatial), f: FeatureTable, count: wp.array(dtype=int), option: dtype, h: dtype,
        eps: dtype, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
        first_pass: int, repeat: wp.array(dtype=int),
        # rows in and out
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients),
        # out
        free: wp.array2d(dtype=int), capped: wp.array2d(dtype=int), pending: wp.array(dtype=int),
        any_pending: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        found = int(0)
        threshold = close.threshold_of(gravity[world], option, h)
        cap = wp.max(threshold, dtype(2.0) * h * wp.length(gravity[world]))
        for c in range(count[world]):
            free[world, c] = 0
            capped[world, c] = 0
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            if pair.friction(shape_restitution[world, sa], shape_restitution[world, sb]) > dtype(0.0):
                a = shape_body[sa]
                b = shape_body[sb]
                xa = geo.pose_of(body_q, world, a)
                xb = geo.pose_of(body_q, world, b)
                gap, n, point = geo.locate(world, c, xa, xb, f)
                u = wp.dot(n, dyn.relative_velocity(
                    body_v0, world, a, b, point - wp.transform_get_translation(xa),
                    point - wp.transform_get_translation(xb),
                ))  # fmt: skip
                pull = wp.dot(n, close.falls(gravity[world], body_mask, a, b))
                q = coefficients[world, c]
                if close.is_free(gap, u + dtype(0.5) * h * pull, pull, h, threshold, u):
                    free[world, c] = 1
                    found = int(1)
                    q[0] = dtype(NEVER)
                elif q[0] > q[1] * cap:
                    capped[world, c] = CAPPED
                    _n, _ra, _rb, own, _gap = rest_ns.row(
                        world, c, sa, sb, a, b, h, f, body_mass, shape_friction, shape_stiffness, shape_damping,
                        body_q, body_v0, h, eps,
                    )  # fmt: skip
                    own[0] = own[1] * cap
                    q = contact_law.full(own, n, world, sa, sb, a, b, body_v0, rolling, torsional, angular_eps)
                    twist[world, c] = vec3()
                coefficients[world, c] = q
        pending[world] = found
        if found == 1:
            any_pending[0] = 1

    @wp.kernel(enable_backward=False, module="unique")
    def release_kernel(
        body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3), shape_restitution: wp.array2d(dtype=dtype),
        f: FeatureTable, count: wp.array(dtype=int), going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        goal: wp.array2d(dtype=spatial), m: Motion, option: dtype, round_number: wp.array(dtype=int), most: int,
        h: dtype,
        # out
        free: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Writes the segments of gravity alone into ``m``, of the bodies that go on from an impact."""
        world = wp.tid()
        if going[world] == 0:
            return
        for body in range(label.shape[1]):
            if label[world, body] >= 0:
                m.mean[world, body] = goal[world, body]
                m.pull[world, body] = wp.cw_mul(gravity[world], dyn.linear(body_mask[body]))
        threshold = close.threshold_of(gravity[world], option, h)
        for c in range(count[world]):
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            a = m.body[sa]
            b = m.body[sb]
            t = dtype(0.0)
            changed = int(0)
            if a >= 0:
                t = wp.max(t, m.start[world, a])
                changed = wp.max(changed, int(label[world, a] >= 0))
            if b >= 0:
                t = wp.max(t, m.start[world, b])
                changed = wp.max(changed, int(label[world, b] >= 0))
            if changed == 1 and pair.friction(shape_restitution[world, sa], shape_restitution[world, sb]) > dtype(0.0):
                free[world, c] = 0
                if round_number[0] + 1 < most:
                    gap, u, pull = meet.at(world, c, a, b, t, f, m, h)
                    if gap <= dtype(leaves) and u >= dtype(0.0):
                        free[world, c] = int(u > threshold)
                    else:
                        free[world, c] = int(close.is_free(gap, u, pull, h - t, threshold, u))

    return SimpleNamespace(leave_out=leave_out_kernel, release=release_kernel)


def release(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, *, threshold: float, h: float
) -> None:  # fmt: skip
    """Which contacts of the bodies of a round may have another impact; none after the last round."""
    m = model
    wp.launch(
        make(dtype, rounds.rows.resists).release, dim=r.going.shape,
        inputs=[
            m.body_mask, m.gravity, m.shape_restitution, features.struct, features.count, r.going,
            r.label, r.goal, meetings.motion_of(dtype, m, rounds.path, 1), threshold, rounds.number, rounds.most, h,
        ],
        outputs=[rounds.free], device=r.going.device,
    )  # fmt: skip


def leave_out(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, features: Features, plain: ContactRows,
    rounds: Rounds, *, threshold: float, h: float, eps: float, angular_eps: float, repeat: wp.array | None = None,
) -> None:  # fmt: skip
    """Take the contacts that may have an impact in this step out of the ``plain`` rows; cap the push of the others."""
    m, r = model, plain
    if repeat is None:
        rounds.any_pending.zero_()
    wp.launch(
        make(dtype, r.resists).leave_out,
        dim=body_q.shape[0],
        inputs=[
            m.shape_body, m.body_mask, m.gravity, m.body_mass, m.shape_friction, m.shape_stiffness, m.shape_damping,
            m.shape_restitution, body_q, body_v0, features.struct, features.count, threshold, h,
            eps, m.shape_rolling_resistance, m.shape_torsional_resistance, angular_eps, int(repeat is None), repeat,
        ],
        outputs=[r.twist, r.coefficients, rounds.free, rounds.capped, rounds.pending, rounds.any_pending],
        device=body_q.device,
    )  # fmt: skip
