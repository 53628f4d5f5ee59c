"""Integration of poses, and of velocities as bodies turn: one kernel, forward and, through Warp's adjoint, backward.

The solve gives velocities in the attitude at the start of a step, where its impulses act. From there a body moves
freely with constant momentum, so the velocity of a turning body at the end of the step differs from that of the solve.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import integrate_lanes, integrate_many, motion

__all__ = ["integrate", "integrate_adjoint", "make", "solved_velocity"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    mat33, spatial, transform = p.mat33, p.spatial, p.transform
    dyn = motion.make(dtype)

    @wp.func
    def move(
        world: int, body: int,
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_vm: wp.array2d(dtype=spatial), body_vs: wp.array2d(dtype=spatial),
        h: dtype,
        # state out
        body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        before = body_q[world, body]
        rotation = wp.transform_get_rotation(before)
        vm = body_vm[world, body]
        vs = body_vs[world, body]
        # as ``turned_velocity`` and ``solved_kernel``; an adjoint goes through nested functions anew
        after = rotation
        w = dyn.angular(vs)
        if body_gyroscopic[body] != 0:
            inertia = body_inertia[world, body]
            turn = dyn.free_turn(wp.quat_rotate_inv(rotation, dyn.angular(vm)), inertia, h)
            after = wp.normalize(rotation * turn)
            w = dyn.carried(rotation, after, dyn.angular(vs), inertia)
        else:
            after = wp.normalize(dyn.quat_exp(dyn.angular(vm) * h) * rotation)
        position = wp.transform_get_translation(before) + dyn.linear(vm) * h
        body_q1[world, body] = wp.transformation(position, after, dtype=dtype)
        body_v1[world, body] = dyn.join(dyn.linear(vs), w)

    @wp.func_replay(move)
    def move_again(
        world: int, body: int,
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_vm: wp.array2d(dtype=spatial), body_vs: wp.array2d(dtype=spatial),
        h: dtype,
        # state out
        body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Do nothing: before the adjoint the states after the step are known."""
        return

    @wp.kernel(module="unique")
    def integrate_kernel(
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_vm: wp.array2d(dtype=spatial), body_vs: wp.array2d(dtype=spatial),
        h: dtype,
        # state out
        body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        move(world, body, body_gyroscopic, body_inertia, body_q, body_vm, body_vs, h, body_q1, body_v1)

    @wp.kernel(enable_backward=False, module="unique")
    def solved_kernel(
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        body_q: wp.array2d(dtype=transform), body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
        # out
        body_vs: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        body_vs[world, body] = dyn.turned_velocity(
            body_gyroscopic[body], body_q1[world, body], body_q[world, body], body_v1[world, body],
            body_inertia[world, body],
        )  # fmt: skip

    return SimpleNamespace(kernel=integrate_kernel, solved=solved_kernel)


def integrate(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, body_q1: wp.array,
    body_v1: wp.array, *, h: float,
) -> None:  # fmt: skip
    """Poses ``body_q1`` and velocities ``body_v1`` after a step of ``h`` [s]; all arrays are [worlds, bodies].

    ``body_vs`` are the velocities that the solve gave, ``body_vm`` those that move the poses: the same without impacts.
    """
    if integrate_lanes.serves(model):
        integrate_lanes.integrate(dtype, model, body_q, body_vm, body_vs, body_q1, body_v1, h=h)
        return
    if integrate_many.serves(model, body_q, body_vm, body_vs, body_q1, body_v1):
        integrate_many.integrate(dtype, model, body_q, body_vm, body_vs, body_q1, body_v1, h=h)
        return
    wp.launch(
        make(dtype).kernel,
        dim=body_q.shape,
        inputs=[model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h],
        outputs=[body_q1, body_v1],
        device=body_q.device,
    )


def integrate_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, body_q1: wp.array,
    body_v1: wp.array, adj_q1: wp.array, adj_v1: wp.array, adj_q: wp.array, adj_vm: wp.array, adj_vs: wp.array,
    adj_inertia: wp.array, *, h: float,
) -> None:  # fmt: skip
    """Add the adjoints of the inputs to ``adj_q``, ``adj_vm``, ``adj_vs`` (may be one array) and ``adj_inertia``."""
    if integrate_lanes.serves(model):
        integrate_lanes.integrate_adjoint(
            dtype, model, body_q, body_vm, body_vs, adj_q1, adj_v1, adj_q, adj_vm, adj_vs, adj_inertia, h=h
        )
        return
    adjoints = (adj_q1, adj_v1, adj_q, adj_vm, adj_vs, adj_inertia)
    if integrate_many.serves(model, body_q, body_vm, body_vs, *adjoints):
        integrate_many.integrate_adjoint(dtype, model, body_q, body_vm, body_vs, *adjoints, h=h)
        return
    kernel = make(dtype).kernel
    wp.launch(
        kernel,
        dim=body_q.shape,
        inputs=[model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h],
        outputs=[body_q1, body_v1],
        adjoint=True,
        adj_inputs=by_name(
            kernel,
            body_inertia=adj_inertia,
            body_q=adj_q,
            body_vm=adj_vm,
            body_vs=adj_vs,
            body_q1=adj_q1,
            body_v1=adj_v1,
        ),
        device=body_q.device,
    )


def solved_velocity(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_q1: wp.array, body_v1: wp.array, body_vs: wp.array
) -> None:
    """Velocities ``body_vs`` that the solve of a step gave, from the poses before it and the state after it."""
    if integrate_lanes.serves(model):
        integrate_lanes.solved_velocity(dtype, model, body_q, body_q1, body_v1, body_vs)
        return
    if integrate_many.serves(model, body_q, body_q1, body_v1, body_vs):
        integrate_many.solved_velocity(dtype, model, body_q, body_q1, body_v1, body_vs)
        return
    wp.launch(
        make(dtype).solved,
        dim=body_q.shape,
        inputs=[model.body_gyroscopic, model.body_inertia, body_q, body_q1, body_v1],
        outputs=[body_vs],
        device=body_q.device,
    )
