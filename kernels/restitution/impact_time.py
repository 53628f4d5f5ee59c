"""Derivative of the time of an impact: that at which a gap closes on the paths of two bodies.

The gap g(tau, paths) stays zero, so d tau = -(dg/dpaths) dpaths / (dg/dtau). Both are adjoints of one kernel, the gap
at a given time. Where several close at one time, as the corners of a face that lands flat, that time has a kink: it is
that of the first. Its derivative is then the mean of theirs, by the impulses that they would need alone. Impacts that
take all contacts near each other at once have the time of one of their bodies.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, paths
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = ["make", "time_adjoint"]

TOGETHER, TOGETHER_UNITS = 1.0e-13, 4.0
"""Gap up to which contacts close at one time but for rounding: at least [m], and in units of the rounding of a gap."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    vec3, mat33, spatial, transform = p.vec3, p.mat33, p.spatial, p.transform
    geo, path = contacts.make(dtype), paths.make(dtype)
    dyn, FeatureTable = motion.make(dtype), geo.FeatureTable

    @wp.func
    def pose_at(
        world: int, body: int, t: dtype, body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=vec3),
        start: wp.array2d(dtype=dtype), h: dtype,
    ):  # fmt: skip
        x = wp.transform_identity(dtype=dtype)
        if body >= 0:
            at, _v = path.along(
                body_gyroscopic[body], body_inertia[world, body], pose[world, body], mean[world, body],
                pull[world, body], start[world, body], t, t, h,
            )  # fmt: skip
            x = at
        return x

    @wp.func(inline=True)
    def gap_then(
        world: int, c: int, shape_body: wp.array(dtype=int), body_gyroscopic: wp.array(dtype=int),
        body_inertia: wp.array2d(dtype=mat33), f: FeatureTable, label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=vec3),
        start: wp.array2d(dtype=dtype), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        gaps: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        t = time[world, label[world, c]]
        xa = pose_at(
            world, shape_body[f.shape_a[world, c]], t, body_gyroscopic, body_inertia, pose, mean, pull, start, h
        )
        xb = pose_at(
            world, shape_body[f.shape_b[world, c]], t, body_gyroscopic, body_inertia, pose, mean, pull, start, h
        )
        gap, _n, _point = geo.locate(world, c, xa, xb, f)
        gaps[world, c] = gap

    @wp.func_replay(gap_then)
    def gap_again(
        world: int, c: int, shape_body: wp.array(dtype=int), body_gyroscopic: wp.array(dtype=int),
        body_inertia: wp.array2d(dtype=mat33), f: FeatureTable, label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=vec3),
        start: wp.array2d(dtype=dtype), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        gaps: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs no gap."""
        return

    @wp.kernel(module="unique")
    def gap_kernel(
        shape_body: wp.array(dtype=int), body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        f: FeatureTable, going: wp.array(dtype=int), trigger: wp.array2d(dtype=int), label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), mean: wp.array2d(dtype=spatial), pull: wp.array2d(dtype=vec3),
        start: wp.array2d(dtype=dtype), time: wp.array2d(dtype=dtype), h: dtype, stride: int,
        # out
        gaps: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            leader = label[world, c]
            if leader >= 0:
                if trigger[world, leader] >= 0:
                    gap_then(
                        world, c, shape_body, body_gyroscopic, body_inertia, f, label, pose, mean, pull, start, time,
                        h, gaps,
                    )  # fmt: skip

    @wp.kernel(enable_backward=False, module="unique")
    def weigh_kernel(
        f: FeatureTable, shape_body: wp.array(dtype=int), going: wp.array(dtype=int),
        trigger: wp.array2d(dtype=int), label: wp.array2d(dtype=int), pose1: wp.array2d(dtype=transform),
        before: wp.array2d(dtype=spatial), load: wp.array2d(dtype=dtype), h: dtype,
        # out
        seed: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Share of each contact in the time of its cluster."""
        world = wp.tid()
        if going[world] == 0:
            return
        for c in range(f.count[world]):
            seed[world, c] = dtype(0.0)
            leader = label[world, c]
            if leader >= 0:
                first = trigger[world, leader]
                if first >= 0:
                    a = shape_body[f.shape_a[world, c]]
                    b = shape_body[f.shape_b[world, c]]
                    xa = geo.pose_of(pose1, world, a)
                    xb = geo.pose_of(pose1, world, b)
                    gap, _n, point = geo.locate(world, c, xa, xb, f)
                    ra = point - wp.transform_get_translation(xa)
                    rb = point - wp.transform_get_translation(xb)
                    unit = geo.rounding(point, ra, rb, dyn.relative_velocity(before, world, a, b, ra, rb), h)
                    if c == first:
                        seed[world, c] = wp.max(load[world, c], dtype(1.0e-30))
                    elif wp.abs(gap) <= wp.max(dtype(TOGETHER), dtype(TOGETHER_UNITS) * unit):
                        seed[world, c] = load[world, c]

    @wp.kernel(enable_backward=False, module="unique")
    def seed_kernel(
        number: wp.array(dtype=int), going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        law: wp.array2d(dtype=int), trigger: wp.array2d(dtype=int), adj_time: wp.array2d(dtype=dtype),
        slope: wp.array2d(dtype=dtype),
        # in and out
        seed: wp.array2d(dtype=dtype), adj_start: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world = wp.tid()
        if going[world] == 0:
            return
        for leader in range(label.shape[1]):
            source = trigger[world, leader]
            if source != -1:
                total = dtype(0.0)
                for body in range(label.shape[1]):
                    if label[world, body] == leader:
                        total += adj_time[world, body]
                if source < -1:
                    adj_start[world, -2 - source] = adj_start[world, -2 - source] + total
                else:
                    part = dtype(0.0)
                    if slope[world, leader] != dtype(0.0):
                        part = -total / slope[world, leader]
                    for c in range(number[world]):
                        if law[world, c] == leader:
                            seed[world, c] = seed[world, c] * part

    return SimpleNamespace(gap=gap_kernel, weigh=weigh_kernel, seed=seed_kernel)


def time_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any,
    *, h: float,
) -> None:  # fmt: skip
    """Add to the adjoints of the paths before a round what that of its times implies."""
    k, p, device = make(dtype), rounds.path, r.going.device
    n = 0
    inputs = [
        model.shape_body, model.body_gyroscopic, model.body_inertia, features.struct, r.going,
        r.trigger, r.law, p.pose[n], p.mean[n], p.pull[n], p.start[n], r.time, h,
        contacts.threads(features)[1],
    ]  # fmt: skip

    def launch(**adjoints: wp.array) -> None:
        wp.launch(
            k.gap, dim=contacts.threads(features), inputs=inputs, outputs=[own.gap], adjoint=True,
            adj_inputs=by_name(k.gap, **adjoints), device=device,
        )  # fmt: skip

    wp.launch(
        k.weigh, dim=r.going.shape,
        inputs=[features.struct, model.shape_body, r.going, r.trigger, r.law, p.pose[1], r.before, r.load[0], h],
        outputs=[own.seed], device=device,
    )  # fmt: skip
    launch(time=own.slope, gaps=own.seed)
    a = own.path
    wp.launch(
        k.seed, dim=r.going.shape,
        inputs=[features.count, r.going, r.label, r.law, r.trigger, own.time, own.slope],
        outputs=[own.seed, a.start[n]], device=device,
    )  # fmt: skip
    launch(body_inertia=g.body_inertia, pose=a.pose[n], mean=a.mean[n], pull=a.pull[n], start=a.start[n], gaps=own.seed)
