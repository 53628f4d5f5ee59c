"""When Newton's method on the energy of a step is done: the rule of both solvers.

The norm of the energy's gradient, in the inverse of the mass matrix's diagonal, must fall to the tolerance times that
of the momentum change, plus the part that rounding leaves of it. The rounding of the velocities is always counted. That
of the impulses is counted only where an iteration hardly reduces the gradient. It can be many times the tolerance:
where contacts are stiff against the masses; where impulses balance each other and the momentum hardly changes; where a
contact is loaded a hundred times as much as the others of its island, which would be left unsolved. Friction's rounding
is at most friction's limit, and counted only near the solution: stiff friction is all rounding while far away.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..contact import law
from ..core.precision import precision

__all__ = ["make"]

ROUNDING = 64.0
"""Velocities are known to this many units of rounding; a gradient that small cannot be reduced."""

IMPULSE_ROUNDING = 8.0
"""Impulses of contacts and actuators are known to this many units of rounding of the terms in them."""

STALLED = 0.5
"""The rounding of impulses is counted where an iteration leaves more than this part of the gradient."""

NEAR = 0.1
"""That of friction is counted only where the gradient is below this part of the momentum change, too."""


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The rule's functions for one precision and contact law."""
    p = precision(dtype)
    vec3, mat33, spatial = p.vec3, p.mat33, p.spatial
    dyn, contact_law = motion.make(dtype), law.make(dtype, resists, softens)
    Motion, Coefficients = contact_law.Motion, contact_law.Coefficients
    rounding, impulse_rounding, units = ROUNDING * p.epsilon, IMPULSE_ROUNDING * p.epsilon, 1.0 / p.epsilon

    @wp.func
    def mass_norm2(m: dtype, inertia: mat33, f: spatial):
        """Squared norm of an impulse in the inverse of the mass matrix's diagonal [J]."""
        s = wp.dot(dyn.linear(f), dyn.linear(f) / m)
        for i in range(3):
            s += f[3 + i] * (f[3 + i] / inertia[i, i])
        return s

    @wp.func
    def axis_norm2(m: dtype, inertia: mat33, axis: int, f: dtype):
        """The same of an impulse ``f`` along or about one axis."""
        light = m
        if axis >= 3:
            light = inertia[axis - 3, axis - 3]
        return f * (f / light)

    @wp.func
    def sufficient(tolerance: dtype, change2: dtype, speed2: dtype):
        """Norm of the gradient to reach, before the impulses' rounding.

        From the squared norms of the momentum change and of the momentum [J].
        """
        return tolerance * wp.sqrt(change2) + dtype(rounding) * wp.sqrt(speed2)

    @wp.func
    def stalls(norm: dtype, before: dtype, size: dtype):
        """Whether the impulses' rounding decides if a gradient of ``norm``, ``before`` an iteration ago, is small."""
        return norm > size and norm > dtype(STALLED) * before

    @wp.func
    def near(norm: dtype, change2: dtype):
        """1 where the rounding of friction counts, else 0; ``change2``: squared norm of the momentum change."""
        return wp.where(norm < dtype(NEAR) * wp.sqrt(change2), dtype(1.0), dtype(0.0))

    @wp.func
    def impulses_known(noise2: dtype):
        """Gradient that the rounding of the impulses leaves, from the squared norm of the terms in them."""
        return dtype(impulse_rounding) * wp.sqrt(noise2)

    @wp.func
    def lightness_at(m: dtype, inertia: mat33, arm: vec3):
        """Squared norm of a unit impulse at ``arm``, for a body as round as its mean inertia [1/kg]."""
        return dtype(1.0) / m + dtype(3.0) * wp.dot(arm, arm / wp.trace(inertia))

    @wp.func
    def held(limit: dtype, slow: dtype, fast: dtype):
        """Term for friction up to ``limit``: a damper of limit / ``slow`` that sees a difference of ``fast`` speeds."""
        return limit * wp.min(fast / slow, dtype(units)) / dtype(IMPULSE_ROUNDING)

    @wp.func
    def contact_noise2(
        world: int, a: int, b: int, n: vec3, arm_a: vec3, arm_b: vec3, q: Coefficients, u: Motion, eps: dtype,
        close: dtype,
        body_mass: wp.array2d(dtype=dtype), inertia: wp.array2d(dtype=mat33), v: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Squared norm of what the terms in an active contact's impulse do to its bodies [J]; 0 for an inactive one.

        ``close``: result of ``near``.
        """
        z = contact_law.excess(u, n, q, eps)
        if z <= dtype(0.0):
            return dtype(0.0)
        s = contact_law.slip_speed(u, n, eps)
        term = wp.abs(q[0]) + q[1] * (wp.abs(contact_law.normal_part(u, n)) + q[2] * (q[3] + s))
        if wp.static(resists):
            term += q[1] * contact_law.resisted(dyn.angular(u), n, q)
        if wp.static(softens):
            term *= contact_law.slope(u, n, q, eps)
        moment = term
        term = term * (dtype(1.0) + q[2])
        lightness = dtype(0.0)
        if b >= 0:
            lightness += lightness_at(body_mass[world, b], inertia[world, b], arm_b)
        if a >= 0:
            lightness += lightness_at(body_mass[world, a], inertia[world, a], arm_a)
        fast = wp.length(dyn.point_velocity(v, world, a, arm_a)) + wp.length(dyn.point_velocity(v, world, b, arm_b))
        term += close * held(z * q[2], s, fast)
        noise2 = term * (term * lightness)
        if wp.static(resists):
            w = dyn.angular(u)
            spinning = dtype(0.0)
            turn = dtype(0.0)
            if b >= 0:
                spinning += wp.length(dyn.angular(v[world, b]))
                turn += dtype(3.0) / wp.trace(inertia[world, b])
            if a >= 0:
                spinning += wp.length(dyn.angular(v[world, a]))
                turn += dtype(3.0) / wp.trace(inertia[world, a])
            moment = moment * (q[4] + q[5])
            moment += close * held(z * q[4], contact_law.rolling_speed(w, n, q[6]), spinning)
            moment += close * held(z * q[5], contact_law.spin_speed(w, n, q[6]), spinning)
            noise2 += moment * (moment * turn)
        return noise2

    return SimpleNamespace(
        mass_norm2=mass_norm2, axis_norm2=axis_norm2, sufficient=sufficient, stalls=stalls, near=near,
        impulses_known=impulses_known, contact_noise2=contact_noise2,
    )  # fmt: skip
