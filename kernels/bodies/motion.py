"""Motion of a free body: world inertia, free turn, actuators, exponential map. Pure and differentiated."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.precision import precision

__all__ = ["ACTUATOR_FORCE", "ACTUATOR_POSITION", "ACTUATOR_VELOCITY", "make"]

ACTUATOR_POSITION = wp.constant(0)
ACTUATOR_VELOCITY = wp.constant(1)
ACTUATOR_FORCE = wp.constant(2)

GAIN = 1e-3
"""Part of its energy by which a free turn may change it; beyond that the motion counts as too fast for the step."""

CHANGE = 4.0
"""Change of the spin in a stage of the Runge-Kutta step, in multiples of the spin, beyond which the motion counts as
too fast for the step."""

WOBBLE = 1e-6
"""Square of the angle between spin and momentum below which the energy is not restored, as it hardly changes."""

WOBBLE_ROUNDING = 2000.0
"""The same in units of rounding, at least: the gain of a round body is rounding alone, and over the square of a tiny
angle it would be most of the derivative by the inertia."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Functions of motion for one precision; see each function's docstring."""
    p = precision(dtype)
    vec3, quat, mat33, spatial, transform = p.vec3, p.quat, p.mat33, p.spatial, p.transform
    mat66 = wp.types.matrix((6, 6), dtype)
    wobble = max(WOBBLE, WOBBLE_ROUNDING * p.epsilon)

    @wp.func
    def linear(v: spatial):
        return vec3(v[0], v[1], v[2])

    @wp.func
    def angular(v: spatial):
        return vec3(v[3], v[4], v[5])

    @wp.func
    def join(a: vec3, b: vec3):
        return spatial(a[0], a[1], a[2], b[0], b[1], b[2])

    @wp.func
    def join_blocks(upper_left: mat33, upper_right: mat33, lower_left: mat33, lower_right: mat33):
        """6x6 matrix of four blocks. Forward only."""
        m = mat66()
        for i in range(3):
            for j in range(3):
                m[i, j] = upper_left[i, j]
                m[i, j + 3] = upper_right[i, j]
                m[i + 3, j] = lower_left[i, j]
                m[i + 3, j + 3] = lower_right[i, j]
        return m

    @wp.func
    def point_velocity(body_v: wp.array2d(dtype=spatial), world: int, body: int, arm: vec3):
        """Velocity [m/s] of the point at ``arm`` from the centre of ``body``; zero on static geometry."""
        result = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if body >= 0:
            v = body_v[world, body]
            result = linear(v) + wp.cross(angular(v), arm)
        return result

    @wp.func
    def relative_velocity(body_v: wp.array2d(dtype=spatial), world: int, a: int, b: int, arm_a: vec3, arm_b: vec3):
        """Velocity of b's contact point relative to a's [m/s]."""
        return point_velocity(body_v, world, b, arm_b) - point_velocity(body_v, world, a, arm_a)

    @wp.func
    def relative_turning(body_v: wp.array2d(dtype=spatial), world: int, a: int, b: int):
        """Angular velocity of b relative to a [rad/s]."""
        w = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if b >= 0:
            w = w + angular(body_v[world, b])
        if a >= 0:
            w = w - angular(body_v[world, a])
        return w

    @wp.func
    def twisted_velocity(
        body_v: wp.array2d(dtype=spatial), world: int, a: int, b: int, arm_a: vec3, arm_b: vec3, n: vec3, twist: vec3
    ):  # fmt: skip
        """Velocity of b's contact point relative to a's [m/s], its tangential part that where friction acts.

        ``twist`` [m] is that of ``contact/face_friction.py``. All in one function, since an adjoint
        goes through nested ones anew.
        """
        u = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        w = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        if b >= 0:
            vb = body_v[world, b]
            w = vec3(vb[3], vb[4], vb[5])
            u = vec3(vb[0], vb[1], vb[2]) + wp.cross(w, arm_b)
        if a >= 0:
            va = body_v[world, a]
            wa = vec3(va[3], va[4], va[5])
            u = u - (vec3(va[0], va[1], va[2]) + wp.cross(wa, arm_a))
            w = w - wa
        return u + twist * wp.dot(n, w)

    @wp.func
    def world_inertia(rotation: quat, inertia: mat33):
        """Inertia about the centre of mass in world axes [kg m^2]."""
        r = wp.quat_to_matrix(rotation)
        return r * inertia * wp.transpose(r)

    @wp.func
    def euler_rate(w: vec3, inertia: mat33, inverse: mat33):
        """Rate of the body-frame angular velocity of a torque-free body [rad/s^2] (Euler's equations)."""
        return inverse * wp.cross(inertia * w, w)

    @wp.func
    def quat_exp(r: vec3):
        """Unit quaternion of the rotation vector ``r`` [rad]."""
        angle = wp.length(r)
        scale = dtype(0.5) - angle * angle / dtype(48.0)
        w = dtype(1.0) - angle * angle / dtype(8.0)
        if angle > dtype(1.0e-3):
            scale = wp.sin(dtype(0.5) * angle) / angle
            w = wp.cos(dtype(0.5) * angle)
        return quat(r[0] * scale, r[1] * scale, r[2] * scale, w)

    @wp.func
    def turned(e: quat, x: vec3):
        """Change of ``x`` by the turn ``e``, whose rounding is relative to the change."""
        axis = vec3(e[0], e[1], e[2])
        return wp.cross(axis, wp.cross(axis, x) + x * e[3]) * dtype(2.0)

    @wp.func
    def energy_gain(turn: vec3, x: vec3, momentum: vec3, inverse: mat33):
        """Half of what a turn of a body that spins by ``x`` would add to its ``momentum`` times spin."""
        change = turned(wp.quat_inverse(quat_exp(turn)), momentum)
        return dtype(0.5) * wp.dot(change, x + inverse * (momentum + change))

    @wp.func
    def free_turn(w: vec3, inertia: mat33, h: dtype):
        """Turn of a torque-free body over a step that starts with ``w`` [rad/s], both in the body's frame.

        Fourth order: Magnus' series of the spin, which one Runge-Kutta step of Euler's equations gives, then a slight
        turn that restores the energy. (``carried`` keeps the momentum.) A motion that a step does not resolve,
        from about 1.5 rad on, fades into a steady turn about the momentum, which keeps the energy too. All is in units
        of turns and of the mean inertia, so that no size of a body leaves the range of single precision.
        """
        j = inertia / wp.trace(inertia)
        inverse = wp.inverse(j)
        x = w * h
        momentum = j * x
        power = wp.dot(momentum, x)
        steady = x
        if wp.dot(momentum, momentum) > dtype(0.0):
            steady = momentum * (power / wp.dot(momentum, momentum))
        turn = steady
        most = dtype(CHANGE * CHANGE) * wp.dot(x, x)
        k1 = euler_rate(x, j, inverse)
        if wp.dot(k1, k1) <= most:
            k2 = euler_rate(x + k1 * dtype(0.5), j, inverse)
            if wp.dot(k2, k2) <= most:
                k3 = euler_rate(x + k2 * dtype(0.5), j, inverse)
                if wp.dot(k3, k3) <= most:
                    k4 = euler_rate(x + k3, j, inverse)
                    if wp.dot(k4, k4) <= most:
                        y = x + (k1 + k2 * dtype(2.0) + k3 * dtype(2.0) + k4) / dtype(6.0)
                        k5 = euler_rate(y, j, inverse)
                        resolved = (x + y) * dtype(0.5) + (k1 - k5 + wp.cross(x, y)) / dtype(12.0)
                        off = wp.abs(energy_gain(resolved, x, momentum, inverse)) / (
                            dtype(GAIN) * power + dtype(1.0e-30)
                        )
                        fade = dtype(1.0)
                        if off > dtype(1.0):
                            fade = wp.max(dtype(2.0) - off, dtype(0.0))
                        turn = steady + (resolved - steady) * fade
        e = quat_exp(turn)
        gain = energy_gain(turn, x, momentum, inverse)
        after = momentum + turned(wp.quat_inverse(e), momentum)
        n = wp.cross(after, inverse * after)
        limit = dtype(wobble) * power * power + dtype(1.0e-30)
        return e * quat_exp(n * (gain / (wp.dot(n, n) + limit)))

    @wp.func
    def carried(before: quat, after: quat, w: vec3, inertia: mat33):
        """Angular velocity [rad/s] in the attitude ``after`` of a body that had ``w`` in ``before``: one momentum.

        Swapping the two attitudes is the inverse, to rounding. An increment of ``w``, for the sake of rounding.
        """
        j = inertia / wp.trace(inertia)
        start = wp.normalize(before)
        turn = wp.normalize(wp.quat_inverse(start) * after)
        o = wp.quat_rotate_inv(start, w)
        change = wp.inverse(j) * turned(wp.quat_inverse(turn), j * o)
        return w + wp.quat_rotate(start, change + turned(turn, o + change))

    @wp.func
    def free_velocity(v0: spatial, mask: spatial, gravity: vec3, h: dtype):
        """Velocity v* that gravity alone gives at the attitude of the start. Locked axes (mask 0) stand still."""
        return wp.cw_mul(join(linear(v0) + gravity * h, angular(v0)), mask)

    @wp.func
    def turned_velocity(gyroscopic: int, before: transform, after: transform, v: spatial, inertia: mat33):
        """Velocity of a free body in the pose ``after`` that has ``v`` in the pose ``before``."""
        w = angular(v)
        if gyroscopic != 0:
            w = carried(wp.transform_get_rotation(before), wp.transform_get_rotation(after), angular(v), inertia)
        return join(linear(v), w)

    @wp.func
    def coordinate(pose: transform, axis: int):
        """World coordinate [m] of the axes 0..2, or the component of the rotation vector [rad] for the axes 3..5."""
        value = dtype(0.0)
        if axis < 3:
            value = wp.transform_get_translation(pose)[axis]
        else:
            r = wp.transform_get_rotation(pose)
            v = vec3(r[0], r[1], r[2])
            w = r[3]
            if w < dtype(0.0):
                v = -v
                w = -w
            size = wp.length(v)
            scale = dtype(2.0) / w
            if size > dtype(1.0e-6):
                scale = dtype(2.0) * wp.atan2(size, w) / size
            value = v[axis - 3] * scale
        return value

    @wp.func
    def actuator_impulse(kind: int, target: dtype, x: dtype, v1: dtype, kp: dtype, kd: dtype, h: dtype):
        """Impulse of an actuator along its axis over a step [N s or N m s], implicit in the final velocity ``v1``."""
        f = target
        if kind == ACTUATOR_POSITION:
            f = kp * (target - x - h * v1) - kd * v1
        elif kind == ACTUATOR_VELOCITY:
            f = kd * (target - v1)
        return f * h

    @wp.func
    def actuator_terms(kind: int, target: dtype, x: dtype, v1: dtype, kp: dtype, kd: dtype, h: dtype):
        """Sum of the sizes of the terms in ``actuator_impulse``: what its rounding is relative to."""
        size = wp.abs(target)
        if kind == ACTUATOR_POSITION:
            size = kp * (wp.abs(target) + wp.abs(x) + h * wp.abs(v1)) + kd * wp.abs(v1)
        elif kind == ACTUATOR_VELOCITY:
            size = kd * (wp.abs(target) + wp.abs(v1))
        return size * h

    @wp.func
    def actuator_curvature(kind: int, kp: dtype, kd: dtype, h: dtype):
        """Second derivative of an actuator's energy with respect to the velocity along its axis [kg or kg m^2]."""
        c = dtype(0.0)
        if kind == ACTUATOR_POSITION:
            c = h * (h * kp + kd)
        elif kind == ACTUATOR_VELOCITY:
            c = h * kd
        return c

    return SimpleNamespace(
        linear=linear, angular=angular, join=join, join_blocks=join_blocks, point_velocity=point_velocity,
        relative_velocity=relative_velocity, relative_turning=relative_turning, twisted_velocity=twisted_velocity,
        world_inertia=world_inertia, quat_exp=quat_exp,
        free_velocity=free_velocity, free_turn=free_turn, carried=carried, turned_velocity=turned_velocity,
        coordinate=coordinate,
        actuator_impulse=actuator_impulse, actuator_terms=actuator_terms, actuator_curvature=actuator_curvature,
    )  # fmt: skip
