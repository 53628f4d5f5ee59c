"""The contact law as the solvers see it: functions of a contact's relative motion, with or without resistance.

Without resistance the motion is the relative velocity of the two contact points, vec3, and the coefficients are those
of ``hard.py``, vec4. With it (``resistance.py``) the motion also holds the relative angular velocity, and the
coefficients those of the resistance. Softened contact (``softened.py``) adds two coefficients to either. Kernels are
written once for all: their factories take ``resists`` and ``softens``.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.precision import precision
from . import hard, resistance, softened

__all__ = ["make"]


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The law for one precision; ``resists`` adds rolling and torsional resistance, ``softens`` a contact function.

    ``Motion`` and ``Coefficients`` are the types of a contact's relative motion (and impulse) and of its coefficients.
    """
    if softens:
        return softened.make(dtype, make(dtype, resists), resists)
    if resists:
        return resistance.make(dtype)
    p = precision(dtype)
    vec3, vec4, spatial = p.vec3, p.vec4, p.spatial
    base, dyn = hard.make(dtype), motion.make(dtype)

    @wp.func
    def between(va: spatial, vb: spatial, arm_a: vec3, arm_b: vec3, n: vec3, twist: vec3):
        """Motion of b's contact point relative to a's, for bodies of velocities ``va`` and ``vb``."""
        u = (dyn.linear(vb) + wp.cross(dyn.angular(vb), arm_b)) - (dyn.linear(va) + wp.cross(dyn.angular(va), arm_a))
        return u + twist * wp.dot(n, dyn.angular(vb) - dyn.angular(va))

    @wp.func
    def bare(q: vec4):
        """Coefficients of a contact without resistance."""
        return q

    @wp.func
    def full(
        q: vec4, n: vec3, world: int, sa: int, sb: int, a: int, b: int, body_v0: wp.array2d(dtype=spatial),
        rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
    ):  # fmt: skip
        """Coefficients of a contact of the shapes ``sa`` and ``sb``, those of ``hard.py`` being ``q``."""
        return q

    @wp.func
    def held(
        q: vec4, world: int, sa: int, sb: int, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype),
        angular_eps: dtype, scale: dtype,
    ):  # fmt: skip
        """As ``full`` for a row whose normal impulse is constant (b = 0), with ``scale`` times the resistance."""
        return q

    @wp.func
    def slip_speed(u: vec3, n: vec3, eps: dtype):
        return base.slip_speed(u, n, eps)

    @wp.func
    def drag(u: vec3, n: vec3, q: vec4, eps: dtype):
        """Speed that slip at ``u`` takes from the separation speed y, but for its value at the start [m/s]."""
        return q[2] * base.slip_speed(u, n, eps)

    @wp.func
    def ahead(q: vec4, u0: vec3, n: vec3):
        """Separation speed at which the normal impulse is zero while slip does not change: a/b [m/s]; b > 0."""
        return q[0] / q[1]

    @wp.func
    def lessened(q: vec4, u0: vec3, n: vec3, part: dtype):
        """Coefficients with ``part`` of the drag; ``u0`` is the motion at the start of the step."""
        return vec4(q[0], q[1], q[2] * part, q[3])

    @wp.func
    def resumed(q: vec4, u0: vec3, u1: vec3, n: vec3, part: dtype, eps: dtype):
        """Coefficients whose drag counts from the motion between ``u0``, at the start, and ``u1``: ``part`` of it."""
        return vec4(q[0], q[1], q[2], q[3] + (base.slip_speed(u1, n, eps) - q[3]) * part)

    @wp.func
    def excess(u: vec3, n: vec3, q: vec4, eps: dtype):
        return base.excess(u, n, q[0], q[1], q[2], q[3], eps)

    @wp.func
    def impulse(u: vec3, n: vec3, q: vec4, eps: dtype):
        return base.impulse(u, n, q[0], q[1], q[2], q[3], eps)

    @wp.func
    def direction(u: vec3, n: vec3, q: vec4, eps: dtype):
        """Impulse for a unit of normal impulse."""
        return n - (u - n * wp.dot(n, u)) * (q[2] / base.slip_speed(u, n, eps))

    @wp.func
    def curvature(u: vec3, n: vec3, q: vec4, eps: dtype):
        return base.curvature(u, n, q[0], q[1], q[2], q[3], eps)

    @wp.func
    def normal_part(x: vec3, n: vec3):
        """Normal part of a relative velocity, or of an impulse."""
        return wp.dot(x, n)

    @wp.func
    def on_body(push: vec3, arm: vec3, n: vec3, twist: vec3):
        """Impulse and moment about the centre of mass of an impulse at ``arm``, whose friction acts beside it."""
        return dyn.join(push, wp.cross(arm, push) + n * wp.dot(twist, push))

    @wp.func
    def moment(push: vec3, n: vec3, twist: vec3):
        """Moment of an impulse about the contact point."""
        return n * wp.dot(twist, push)

    return SimpleNamespace(
        Motion=vec3, Coefficients=vec4, relative_motion=dyn.twisted_velocity, between=between, bare=bare, full=full,
        held=held, slip_speed=slip_speed, drag=drag, ahead=ahead, lessened=lessened, resumed=resumed,
        excess=excess, impulse=impulse, direction=direction, curvature=curvature,
        normal_part=normal_part, on_body=on_body, moment=moment,
    )  # fmt: skip
