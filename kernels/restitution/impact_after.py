"""Velocities after an impact, with a guard: friction between directions that couple must not gain energy.

The change of velocity of a cluster is scaled back by theta = min(1, -2 v.M dv / dv.M dv), v the velocities before,
where it would gain more than rounding does. All impulses shrink alike, so momentum is kept. Pure and differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = ["leave", "leave_adjoint", "make"]

GAIN = {wp.float64: 1.0e-11, wp.float32: 1.0e-4}
"""Part [1] by which the change of velocity may be too great before it is scaled back."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The function ``share`` and the kernels for one precision."""
    p = precision(dtype)
    vec2, mat33, spatial, transform = p.vec2, p.mat33, p.spatial, p.transform
    dyn = motion.make(dtype)
    gain = GAIN[dtype]

    @wp.func
    def share(work: vec2):
        """Part theta of the change of velocity that stays."""
        theta = dtype(1.0)
        if work[1] > dtype(0.0):
            least = -dtype(2.0) * work[0] / work[1]
            if least < dtype(1.0 - gain):
                theta = wp.max(least, dtype(0.0))
        return theta

    @wp.kernel(module="unique")
    def work_kernel(
        body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), struck: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform),
        before: wp.array2d(dtype=spatial), target: wp.array2d(dtype=spatial), solved: wp.array2d(dtype=spatial),
        # out
        work: wp.array2d(dtype=vec2),
    ):  # fmt: skip
        """One thread a world, so that sums have one order."""
        world = wp.tid()
        if going[world] == 0:
            return
        for body in range(pose.shape[1]):
            if struck[world, body] != 0:
                dv = solved[world, body] - target[world, body]
                v = before[world, body]
                j = dyn.world_inertia(wp.transform_get_rotation(pose[world, body]), body_inertia[world, body])
                m = body_mass[world, body]
                turned = j * dyn.angular(dv)
                first = m * wp.dot(dyn.linear(dv), dyn.linear(v)) + wp.dot(turned, dyn.angular(v))
                second = m * wp.dot(dyn.linear(dv), dyn.linear(dv)) + wp.dot(turned, dyn.angular(dv))
                wp.atomic_add(work, world, label[world, body], vec2(first, second))

    @wp.kernel(module="unique")
    def after_kernel(
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), struck: wp.array2d(dtype=int),
        before: wp.array2d(dtype=spatial), target: wp.array2d(dtype=spatial), solved: wp.array2d(dtype=spatial),
        work: wp.array2d(dtype=vec2),
        # out
        after: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        if label[world, body] < 0:
            return
        v = before[world, body]
        if struck[world, body] != 0:
            v = v + (solved[world, body] - target[world, body]) * share(work[world, label[world, body]])
        after[world, body] = v

    return SimpleNamespace(share=share, work=work_kernel, after=after_kernel)


def _work_inputs(model: ModelArrays, rounds: Rounds, r: Round) -> list[Any]:
    return [
        model.body_mass, model.body_inertia, r.going, r.label, r.struck, rounds.path.pose[1], r.before,
        r.aim, r.solved[-1],
    ]  # fmt: skip


def leave(dtype: Any, model: ModelArrays, rounds: Rounds, r: Round) -> None:
    """Velocities ``r.after`` after the impacts of a round."""
    r.work.zero_()
    k, device = make(dtype), r.going.device
    wp.launch(k.work, dim=r.going.shape, inputs=_work_inputs(model, rounds, r), outputs=[r.work], device=device)
    wp.launch(
        k.after, dim=r.label.shape, inputs=[r.going, r.label, r.struck, r.before, r.aim, r.solved[-1], r.work],
        outputs=[r.after], device=device,
    )  # fmt: skip


def leave_adjoint(dtype: Any, model: ModelArrays, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any) -> None:
    """Add to the adjoints of velocities, poses and parameters what that of ``r.after`` implies."""
    k, device = make(dtype), r.going.device
    wp.launch(
        k.after, dim=r.label.shape, inputs=[r.going, r.label, r.struck, r.before, r.aim, r.solved[-1], r.work],
        outputs=[r.after], adjoint=True,
        adj_inputs=by_name(
            k.after, before=own.before, target=own.aim, solved=own.solved[-1], work=own.work, after=own.after
        ),
        device=device,
    )  # fmt: skip
    wp.launch(
        k.work, dim=r.going.shape, inputs=_work_inputs(model, rounds, r), outputs=[r.work], adjoint=True,
        adj_inputs=by_name(
            k.work, body_mass=g.body_mass, body_inertia=g.body_inertia, pose=own.path.pose[1],
            before=own.before, target=own.aim, solved=own.solved[-1], work=own.work,
        ),
        device=device,
    )  # fmt: skip
