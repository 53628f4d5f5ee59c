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
from ..contact import hard, law, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
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
    FeatureTable, Motion, Rows = geo.FeatureTable, meet.Motion, row_arrays.make(dtype, resists)
    arrays = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces = arrays.Bodies, arrays.Shapes, arrays.Surfaces

    @wp.kernel(enable_backward=False, module="unique")
    def leave_out_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), f: FeatureTable, option: dtype,
        h: dtype, eps: dtype, angular_eps: dtype, first_pass: int, repeat: wp.array(dtype=int),
        # in and out
        rows: Rows,
        # out
        free: wp.array2d(dtype=int), capped: wp.array2d(dtype=int), pending: wp.array(dtype=int),
        any_pending: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        found = int(0)
        gravity = bodies.gravity[world]
        threshold = close.threshold_of(gravity, option, h)
        cap = close.cap_of(gravity, option, h)
        for c in range(f.count[world]):
            free[world, c] = 0
            capped[world, c] = 0
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            if pair.friction(surfaces.restitution[world, sa], surfaces.restitution[world, sb]) > dtype(0.0):
                a = shapes.body[sa]
                b = shapes.body[sb]
                xa = geo.pose_of(body_q, world, a)
                xb = geo.pose_of(body_q, world, b)
                gap, n, point = geo.locate(world, c, xa, xb, f)
                u = wp.dot(n, dyn.relative_velocity(
                    body_v0, world, a, b, point - wp.transform_get_translation(xa),
                    point - wp.transform_get_translation(xb),
                ))  # fmt: skip
                pull = wp.dot(n, close.falls(gravity, bodies.mask, a, b))
                q = rows.coefficients[world, c]
                if close.is_free(gap, u + dtype(0.5) * h * pull, pull, h, threshold, u):
                    free[world, c] = 1
                    found = int(1)
                    q[0] = dtype(NEVER)
                elif q[0] > q[1] * cap:
                    capped[world, c] = CAPPED
                    _n, _ra, _rb, own, _gap = rest_ns.row(
                        world, c, sa, sb, a, b, h, bodies, surfaces, f, body_q, body_v0, h, eps
                    )
                    own[0] = own[1] * cap
                    q = contact_law.full(
                        own, n, world, sa, sb, a, b, body_v0, surfaces.rolling_resistance,
                        surfaces.torsional_resistance, angular_eps,
                    )  # fmt: skip
                    rows.twist[world, c] = vec3()
                rows.coefficients[world, c] = q
        pending[world] = found
        if found == 1:
            any_pending[0] = 1

    @wp.kernel(enable_backward=False, module="unique")
    def release_kernel(
        bodies: Bodies, surfaces: Surfaces, f: FeatureTable, going: wp.array(dtype=int), label: wp.array2d(dtype=int),
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
                m.pull[world, body] = wp.cw_mul(bodies.gravity[world], dyn.linear(bodies.mask[body]))
        threshold = close.threshold_of(bodies.gravity[world], option, h)
        for c in range(f.count[world]):
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
            e = pair.friction(surfaces.restitution[world, sa], surfaces.restitution[world, sb])
            if changed == 1 and e > dtype(0.0):
                free[world, c] = 0
                if round_number[0] + 1 < most:
                    gap, u, pull, rounding = meet.at(world, c, a, b, t, f, m, h)
                    if gap <= dtype(0.1) * meet.touches(rounding) and u >= dtype(0.0):
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
            m.bodies, m.surfaces, features.struct, r.going, r.label, r.goal,
            meetings.motion_of(dtype, m, rounds.path, 1), threshold, rounds.number, rounds.most, h,
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
        rounds.tries.zero_()
    wp.launch(
        make(dtype, r.resists).leave_out,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, features.struct, threshold, h, eps, angular_eps,
            int(repeat is None), repeat,
        ],
        outputs=[r.struct, rounds.free, rounds.capped, rounds.pending, rounds.any_pending],
        device=body_q.device,
    )  # fmt: skip
