"""The contact law with rolling and torsional resistance: the potential of ``hard.py`` with two more terms.

With the relative angular velocity w = wB - wA, its normal part wn = n.w and the rest wt, the regularized speeds
s_r = sqrt(|wt|^2 + eps_w^2) and s_n = sqrt(wn^2 + eps_w^2), and coefficients mu_r and mu_t [m]:

    y      = un - mu (s(ut) - s0) - mu_r (s_r(wt) - s_r0) - mu_t (s_n(wn) - s_n0)      [m/s]
    gamma  = max(a - b y, 0)                                                           normal impulse [N s]
    wrench = gamma (n - mu ut/s),  -gamma (mu_r wt/s_r + mu_t n wn/s_n)                on B, and its opposite on A

s_r0 and s_n0 are the speeds at the start of the step. y is concave in (u, w), so the energy stays convex. Coefficients
in metres are those of MuJoCo (Todorov, Erez, Tassa 2012), which has one elliptic cone for all; here friction, rolling
and torsion have limits of their own.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.precision import precision
from . import hard

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The functions of ``law.make`` for contacts that resist rolling, for one precision.

    A motion is (relative velocity [m/s], relative angular velocity [rad/s]), an impulse (impulse [N s], moment about
    the contact point [N m s]); coefficients are (a, b, mu, s0, mu_r, mu_t, eps_w), a with all known at the start.
    """
    p = precision(dtype)
    vec3, vec4, mat33, spatial = p.vec3, p.vec4, p.mat33, p.spatial
    vec7 = wp.types.vector(7, dtype)
    mat66 = wp.types.matrix((6, 6), dtype)
    base, dyn = hard.make(dtype), motion.make(dtype)

    @wp.func
    def relative_motion(
        body_v: wp.array2d(dtype=spatial), world: int, a: int, b: int, arm_a: vec3, arm_b: vec3, n: vec3, twist: vec3
    ):  # fmt: skip
        w = dyn.relative_turning(body_v, world, a, b)
        return dyn.join(dyn.relative_velocity(body_v, world, a, b, arm_a, arm_b) + twist * wp.dot(n, w), w)

    @wp.func
    def between(va: spatial, vb: spatial, arm_a: vec3, arm_b: vec3, n: vec3, twist: vec3):
        u = (dyn.linear(vb) + wp.cross(dyn.angular(vb), arm_b)) - (dyn.linear(va) + wp.cross(dyn.angular(va), arm_a))
        w = dyn.angular(vb) - dyn.angular(va)
        return dyn.join(u + twist * wp.dot(n, w), w)

    @wp.func
    def rolling_speed(w: vec3, n: vec3, eps: dtype):
        """Regularized angular speed about the tangent [rad/s]."""
        return base.slip_speed(w, n, eps)

    @wp.func
    def spin_speed(w: vec3, n: vec3, eps: dtype):
        """Regularized angular speed about the normal [rad/s]."""
        wn = wp.dot(n, w)
        return wp.sqrt(wn * wn + eps * eps)

    @wp.func
    def bare(q: vec4):
        return vec7(q[0], q[1], q[2], q[3], dtype(0.0), dtype(0.0), dtype(1.0))

    @wp.func
    def full(
        q: vec4, n: vec3, world: int, sa: int, sb: int, a: int, b: int, body_v0: wp.array2d(dtype=spatial),
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
    ):  # fmt: skip
        """A pair has the sums of the coefficients of its two shapes."""
        mu_r = rolling[world, sa] + rolling[world, sb]
        mu_t = torsional[world, sa] + torsional[world, sb]
        w0 = dyn.relative_turning(body_v0, world, a, b)
        start = mu_r * rolling_speed(w0, n, angular_eps) + mu_t * spin_speed(w0, n, angular_eps)
        return vec7(q[0] - q[1] * start, q[1], q[2], q[3], mu_r, mu_t, angular_eps)

    @wp.func
    def held(
        q: vec4, world: int, sa: int, sb: int, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype),
        angular_eps: dtype, scale: dtype,
    ):  # fmt: skip
        mu_r = (rolling[world, sa] + rolling[world, sb]) * scale
        mu_t = (torsional[world, sa] + torsional[world, sb]) * scale
        return vec7(q[0], q[1], q[2], q[3], mu_r, mu_t, angular_eps)

    @wp.func
    def slip_speed(x: spatial, n: vec3, eps: dtype):
        return base.slip_speed(dyn.linear(x), n, eps)

    @wp.func
    def resisted(w: vec3, n: vec3, q: vec7):
        """Speed that the coefficients take from y for turning at ``w`` [m/s], less the part in ``a``."""
        return q[4] * rolling_speed(w, n, q[6]) + q[5] * spin_speed(w, n, q[6])

    @wp.func
    def drag(x: spatial, n: vec3, q: vec7, eps: dtype):
        return q[2] * base.slip_speed(dyn.linear(x), n, eps) + resisted(dyn.angular(x), n, q)

    @wp.func
    def ahead(q: vec7, x0: spatial, n: vec3):
        return q[0] / q[1] + resisted(dyn.angular(x0), n, q)

    @wp.func
    def lessened(q: vec7, x0: spatial, n: vec3, part: dtype):
        start = resisted(dyn.angular(x0), n, q)
        a = q[0] + q[1] * start * (dtype(1.0) - part)
        return vec7(a, q[1], q[2] * part, q[3], q[4] * part, q[5] * part, q[6])

    @wp.func
    def resumed(q: vec7, x0: spatial, x1: spatial, n: vec3, part: dtype, eps: dtype):
        turned = resisted(dyn.angular(x1), n, q) - resisted(dyn.angular(x0), n, q)
        s = q[3] + (base.slip_speed(dyn.linear(x1), n, eps) - q[3]) * part
        return vec7(q[0] - q[1] * turned * part, q[1], q[2], s, q[4], q[5], q[6])

    @wp.func
    def excess(x: spatial, n: vec3, q: vec7, eps: dtype):
        u = dyn.linear(x)
        y = wp.dot(n, u) - q[2] * (base.slip_speed(u, n, eps) - q[3])
        return q[0] - q[1] * (y - resisted(dyn.angular(x), n, q))

    @wp.func
    def lever(w: vec3, n: vec3, q: vec7):
        """Moment on B about the contact point for a unit of normal impulse [m]."""
        wn = wp.dot(n, w)
        rolling = (w - n * wn) * (q[4] / rolling_speed(w, n, q[6]))
        return -(rolling + n * (q[5] * wn / spin_speed(w, n, q[6])))

    @wp.func
    def impulse(x: spatial, n: vec3, q: vec7, eps: dtype):
        zero = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        result = dyn.join(zero, zero)
        z = excess(x, n, q, eps)
        if z > dtype(0.0):
            u = dyn.linear(x)
            ut = u - n * wp.dot(n, u)
            force = (n - ut * (q[2] / base.slip_speed(u, n, eps))) * z
            result = dyn.join(force, lever(dyn.angular(x), n, q) * z)
        return result

    @wp.func
    def direction(x: spatial, n: vec3, q: vec7, eps: dtype):
        u = dyn.linear(x)
        force = n - (u - n * wp.dot(n, u)) * (q[2] / base.slip_speed(u, n, eps))
        return dyn.join(force, lever(dyn.angular(x), n, q))

    @wp.func
    def block(m: mat66, row: int, column: int):
        """The 3x3 block of ``m`` that begins at (row, column)."""
        x = mat33()
        for i in range(3):
            for j in range(3):
                x[i, j] = m[row + i, column + j]
        return x

    @wp.func
    def curvature(x: spatial, n: vec3, q: vec7, eps: dtype):
        """Second derivative of the contact's energy with respect to the motion, at an active contact. Forward only."""
        z = excess(x, n, q, eps)
        u = dyn.linear(x)
        w = dyn.angular(x)
        s = base.slip_speed(u, n, eps)
        e = (u - n * wp.dot(n, u)) / s
        wn = wp.dot(n, w)
        s_r = rolling_speed(w, n, q[6])
        s_n = spin_speed(w, n, q[6])
        e_r = (w - n * wn) / s_r
        g = n - e * q[2]
        k = lever(w, n, q)
        nn = wp.outer(n, n)
        tangent = wp.identity(n=3, dtype=dtype) - nn
        gk = wp.outer(g, k) * q[1]
        slip = wp.outer(g, g) * q[1] + (tangent - wp.outer(e, e)) * (z * q[2] / s)
        turn = wp.outer(k, k) * q[1] + (tangent - wp.outer(e_r, e_r)) * (z * q[4] / s_r)
        turn = turn + nn * (z * q[5] * q[6] * q[6] / (s_n * s_n * s_n))
        return dyn.join_blocks(slip, gk, wp.transpose(gk), turn)

    @wp.func
    def carried(m: mat66, arm_row: vec3, arm_column: vec3, n: vec3, twist: vec3):
        """J_row^T m J_column: from motions at the contact to those of two bodies.

        J = [[1, -[arm]x + twist n^T], [0, 1]].
        """
        r = wp.skew(arm_row) + wp.outer(n, twist)
        c = wp.skew(arm_column) - wp.outer(twist, n)
        uu = block(m, 0, 0)
        rows_w = r * uu + block(m, 3, 0)
        corner = r * block(m, 0, 3) + block(m, 3, 3)
        return dyn.join_blocks(uu, block(m, 0, 3) - uu * c, rows_w, corner - rows_w * c)

    @wp.func
    def normal_part(x: spatial, n: vec3):
        return wp.dot(dyn.linear(x), n)

    @wp.func
    def moment(push: spatial, n: vec3, twist: vec3):
        return dyn.angular(push) + n * wp.dot(twist, dyn.linear(push))

    @wp.func
    def on_body(push: spatial, arm: vec3, n: vec3, twist: vec3):
        force = dyn.linear(push)
        return dyn.join(force, wp.cross(arm, force) + moment(push, n, twist))

    return SimpleNamespace(
        Motion=spatial, Coefficients=vec7, relative_motion=relative_motion, between=between, bare=bare, full=full,
        held=held, slip_speed=slip_speed, drag=drag, ahead=ahead, lessened=lessened, resumed=resumed,
        resisted=resisted, rolling_speed=rolling_speed, spin_speed=spin_speed,
        excess=excess, impulse=impulse, direction=direction, curvature=curvature, carried=carried, block=block,
        normal_part=normal_part, on_body=on_body, moment=moment,
    )  # fmt: skip
