"""Motion of a free body: world inertia, gyroscopic free motion, actuators, exponential map. Pure and differentiated."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from .precision import precision

__all__ = ["ACTUATOR_FORCE", "ACTUATOR_POSITION", "ACTUATOR_VELOCITY", "make"]

ACTUATOR_POSITION = wp.constant(0)
ACTUATOR_VELOCITY = wp.constant(1)
ACTUATOR_FORCE = wp.constant(2)

GAIN = 1e-3
"""Part by which the Runge-Kutta step of a free rotation may raise the energy before that is taken for instability."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """Dynamics functions for one precision; see each function's docstring."""
    p = precision(dtype)
    vec3, quat, mat33, spatial, transform = p.vec3, p.quat, p.mat33, p.spatial, p.transform
    mat66 = wp.types.matrix((6, 6), dtype)

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

        ``twist`` [m] is that of ``patches.py``.
        """
        u = relative_velocity(body_v, world, a, b, arm_a, arm_b)
        return u + twist * wp.dot(n, relative_turning(body_v, world, a, b))

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
    def bounded(w: vec3, change: vec3, inertia: mat33):
        """Change of the body-frame angular velocity ``w``, less what would raise the rotational energy.

        Gains below GAIN are the truncation error of steps that resolve the motion, and stay; from there to twice that
        the gain goes to zero, so that the result is continuous.
        """
        result = change
        after = w + change
        energy = wp.dot(w, inertia * w)
        energy_after = wp.dot(after, inertia * after)
        if energy_after > dtype(1.0 + GAIN) * energy:
            ratio = energy / energy_after
            gain = wp.max(dtype(2.0 + 2.0 * GAIN) - dtype(1.0) / ratio, dtype(1.0))
            result = after * wp.sqrt(gain * ratio) - w
        return result

    @wp.func
    def free_rotation(gyroscopic: int, rotation: quat, w0: vec3, inertia: mat33, h: dtype):
        """Torque-free motion over a step: the angular velocity after it, and the mean one during it (world) [rad/s].

        The body-frame Euler equations are advanced by one classical Runge-Kutta step, which keeps energy and the size
        of the momentum to O(h^5) a step; turning by the mean velocity keeps the momentum's direction to second order.
        That step loses energy from about one radian a step on and is unstable from about 2.8 on: where it would gain
        energy, the new velocity is made smaller. In steps that resolve the motion this never happens.
        """
        w1 = w0
        mean = w0
        if gyroscopic != 0:
            inverse = wp.inverse(inertia)
            o = wp.quat_rotate_inv(rotation, w0)
            k1 = euler_rate(o, inertia, inverse)
            k2 = euler_rate(o + k1 * (dtype(0.5) * h), inertia, inverse)
            k3 = euler_rate(o + k2 * (dtype(0.5) * h), inertia, inverse)
            k4 = euler_rate(o + k3 * h, inertia, inverse)
            change = bounded(o, (k1 + k2 * dtype(2.0) + k3 * dtype(2.0) + k4) * (h / dtype(6.0)), inertia)
            # as increments of w0, so that the rounding of a turn is relative to what it changes
            turned = wp.quat_rotate(rotation, change)
            mean = w0 + turned * dtype(0.5)
            e = quat_exp(mean * h)
            axis = vec3(e[0], e[1], e[2])
            x = w0 + turned
            w1 = x + wp.cross(axis, wp.cross(axis, x) + x * e[3]) * dtype(2.0)
        return w1, mean

    @wp.func
    def free_velocity(
        gyroscopic: int, pose: transform, v0: spatial, mask: spatial, inertia: mat33, gravity: vec3, h: dtype
    ):
        """Velocity after a step without contacts and actuators: v* of the design. Locked axes (mask 0) stand still."""
        w1, _mean = free_rotation(gyroscopic, wp.transform_get_rotation(pose), angular(v0), inertia, h)
        return wp.cw_mul(join(linear(v0) + gravity * h, w1), mask)

    @wp.func
    def advance(gyroscopic: int, pose: transform, v0: spatial, v1: spatial, inertia: mat33, h: dtype):
        """Pose after a step that starts with velocity ``v0`` and ends with ``v1``: x + h v1, exp(h w) q.

        The turn is corrected by the difference between the mean and the final velocity of the torque-free motion.
        """
        rotation = wp.transform_get_rotation(pose)
        w1, mean = free_rotation(gyroscopic, rotation, angular(v0), inertia, h)
        turn = quat_exp((angular(v1) + mean - w1) * h)
        position = wp.transform_get_translation(pose) + linear(v1) * h
        return wp.transformation(position, wp.normalize(turn * rotation), dtype=dtype)

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
        free_rotation=free_rotation, free_velocity=free_velocity, advance=advance, coordinate=coordinate,
        actuator_impulse=actuator_impulse, actuator_terms=actuator_terms, actuator_curvature=actuator_curvature,
    )  # fmt: skip
