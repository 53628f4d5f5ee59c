"""Path of a body within a step: where it is and how fast at any time, from the last impact it took part in.

A segment of a path begins at the time ``start`` [s] with the pose ``pose`` and has the mean velocity ``mean`` over the
rest of the step. The position is a parabola of the acceleration ``pull`` [m/s^2] about that mean,

    x(t) = x + (t - start) w + (t - start) (t - h) pull / 2
    v(t) = w + pull (t - (start + h) / 2)

so the step ends at x + (h - start) w whatever the acceleration. Stored velocities are those half a step before the end.
The turn is that of a torque-free body. Pure and differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from .round_arrays import Round, Rounds

__all__ = ["advance", "advance_adjoint", "finish", "finish_adjoint", "make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The function ``along`` and the kernels for one precision."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    dyn = motion.make(dtype)

    @wp.func
    def along(
        gyroscopic: int, inertia: mat33, pose: transform, mean: spatial, pull: vec3, start: dtype, t: dtype,
        t_velocity: dtype, h: dtype,
    ):  # fmt: skip
        """Pose at the time ``t``; linear velocity at ``t_velocity``, angular velocity at ``t``."""
        s = t - start
        rotation = wp.transform_get_rotation(pose)
        after = rotation
        w = dyn.angular(mean)
        if gyroscopic != 0:
            after = wp.normalize(rotation * dyn.free_turn(wp.quat_rotate_inv(rotation, w), inertia, s))
            w = dyn.carried(rotation, after, w, inertia)
        else:
            after = wp.normalize(dyn.quat_exp(w * s) * rotation)
        position = wp.transform_get_translation(pose) + dyn.linear(mean) * s + pull * (dtype(0.5) * s * (t - h))
        v = dyn.linear(mean) + pull * (t_velocity - dtype(0.5) * (start + h))
        return wp.transformation(position, after, dtype=dtype), dyn.join(v, w)

    @wp.kernel(module="unique")
    def advance_kernel(
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial),
        pull: wp.array2d(dtype=vec3), start: wp.array2d(dtype=dtype), time: wp.array2d(dtype=dtype), h: dtype,
        # out: of bodies that take part in the round; all others keep their segment
        pose1: wp.array2d(dtype=transform), mean1: wp.array2d(dtype=spatial), pull1: wp.array2d(dtype=vec3),
        start1: wp.array2d(dtype=dtype), before: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        if label[world, body] >= 0:
            at, v = along(
                body_gyroscopic[body], body_inertia[world, body], pose[world, body], mean[world, body],
                pull[world, body], start[world, body], time[world, body], time[world, body], h,
            )  # fmt: skip
            pose1[world, body] = at
            before[world, body] = v
            start1[world, body] = time[world, body]
        else:
            pose1[world, body] = pose[world, body]
            mean1[world, body] = mean[world, body]
            pull1[world, body] = pull[world, body]
            start1[world, body] = start[world, body]

    @wp.kernel(module="unique")
    def finish_kernel(
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33), taken: wp.array(dtype=int),
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=vec3),
        start: wp.array2d(dtype=dtype), h: dtype,
        # out
        body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if taken[world] == 0:
            return
        at, v = along(
            body_gyroscopic[body], body_inertia[world, body], pose[world, body], mean[world, body],
            pull[world, body], start[world, body], h, dtype(0.5) * h, h,
        )  # fmt: skip
        body_q1[world, body] = at
        body_v1[world, body] = v

    return SimpleNamespace(along=along, advance=advance_kernel, finish=finish_kernel)


def _advance_arrays(model: ModelArrays, rounds: Rounds, r: Round, h: float) -> tuple[list[Any], list[Any]]:
    p = rounds.path
    inputs = [
        model.body_gyroscopic, model.body_inertia, r.going, r.label, p.pose[0], p.mean[0], p.pull[0], p.start[0],
        r.time, h,
    ]  # fmt: skip
    return inputs, [p.pose[1], p.mean[1], p.pull[1], p.start[1], r.before]


def advance(dtype: Any, model: ModelArrays, rounds: Rounds, r: Round, *, h: float) -> None:
    """Move the bodies of a round to its time; write their velocities before the impact."""
    inputs, outputs = _advance_arrays(model, rounds, r, h)
    wp.launch(make(dtype).advance, dim=r.label.shape, inputs=inputs, outputs=outputs, device=r.label.device)


def advance_adjoint(
    dtype: Any, model: ModelArrays, rounds: Rounds, r: Round, adjoints: Any, g: Any, *, h: float
) -> None:
    """Add to the adjoints of a round's paths and times what those of its end imply."""
    inputs, outputs = _advance_arrays(model, rounds, r, h)
    kernel, a = make(dtype).advance, adjoints
    wp.launch(
        kernel, dim=r.label.shape, inputs=inputs, outputs=outputs, adjoint=True,
        adj_inputs=by_name(
            kernel, body_inertia=g.body_inertia, pose=a.path.pose[0], mean=a.path.mean[0], pull=a.path.pull[0],
            start=a.path.start[0], time=a.time, pose1=a.path.pose[1], mean1=a.path.mean[1],
            pull1=a.path.pull[1], start1=a.path.start[1], before=a.before,
        ),
        device=r.label.device,
    )  # fmt: skip


def _finish_arrays(model: ModelArrays, rounds: Rounds, q1: wp.array, v1: wp.array, h: float) -> tuple[list, list]:
    p = rounds.path
    return [model.body_gyroscopic, model.body_inertia, rounds.taken, p.pose[0], p.mean[0], p.pull[0], p.start[0], h], [
        q1,
        v1,
    ]


def finish(dtype: Any, model: ModelArrays, rounds: Rounds, q1: wp.array, v1: wp.array, *, h: float) -> None:
    """State [W, B] after a step, of the worlds that took rounds; all others are left alone."""
    inputs, outputs = _finish_arrays(model, rounds, q1, v1, h)
    wp.launch(make(dtype).finish, dim=q1.shape, inputs=inputs, outputs=outputs, device=q1.device)


def finish_adjoint(
    dtype: Any, model: ModelArrays, rounds: Rounds, q1: wp.array, v1: wp.array, adj_q1: wp.array, adj_v1: wp.array,
    adjoints: Any, g: Any, *, h: float,
) -> None:  # fmt: skip
    """Add to the adjoints of the last segments what those of the state after a step imply."""
    inputs, outputs = _finish_arrays(model, rounds, q1, v1, h)
    kernel, a = make(dtype).finish, adjoints.path
    wp.launch(
        kernel, dim=q1.shape, inputs=inputs, outputs=outputs, adjoint=True,
        adj_inputs=by_name(
            kernel, body_inertia=g.body_inertia, pose=a.pose[1], mean=a.mean[1], pull=a.pull[1], start=a.start[1],
            body_q1=adj_q1, body_v1=adj_v1,
        ),
        device=q1.device,
    )  # fmt: skip
