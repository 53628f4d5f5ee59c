"""First guess of the normal impulses of an impact, and the velocities that they give.

The guess of a contact is what it would need alone: it is right where it is. Contacts of one pair of shapes share it, by
their parts in the stiffness of the pair. All of it is differentiated: the friction of each solve is that of the
impulses of the one before, which depend on guess and stiffness by one part in the stiffness, and a contact that hardly
has a part, as one that is being blended away, is soft.
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
from . import contacts, impact_law
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = ["IMPACT_STIFFNESS", "guess", "guess_adjoint", "make"]

IMPACT_STIFFNESS = 1.0e3
"""Coefficient b of an impact in units of the mass that it feels: the same in both precisions, so that they agree."""

SOFT = 0.003
"""Share of a pair [1] at which a contact has half the stiffness of one that has all."""

LEAST = 1.0e-12
"""Sum of parts below which contacts have no whole [1]."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The function ``free_inverse`` and the kernels for one precision."""
    p = precision(dtype)
    vec2, vec3, mat33, spatial, transform = p.vec2, p.vec3, p.mat33, p.spatial, p.transform
    geo, dyn, impact = contacts.make(dtype), motion.make(dtype), impact_law.make(dtype)
    FeatureTable = geo.FeatureTable
    soft, whole = SOFT, IMPACT_STIFFNESS * (1.0 + SOFT)

    @wp.func
    def free_inverse(rotation: p.quat, inertia: mat33, m: vec3):
        """Inverse of the world inertia for turns about the free axes.

        It is taken in parts of the trace, so that no size of a body leaves the range of single precision.
        """
        j = dyn.world_inertia(rotation, inertia)
        one = dtype(1.0)
        size = wp.where(wp.trace(inertia) > dtype(0.0), wp.trace(inertia), one)  # none of its axes may turn
        k = j / size
        inverse = wp.inverse(mat33(
            k[0, 0] * m[0] + (one - m[0]), k[0, 1] * m[0] * m[1], k[0, 2] * m[0] * m[2],
            k[1, 0] * m[1] * m[0], k[1, 1] * m[1] + (one - m[1]), k[1, 2] * m[1] * m[2],
            k[2, 0] * m[2] * m[0], k[2, 1] * m[2] * m[1], k[2, 2] * m[2] + (one - m[2]),
        ))  # fmt: skip
        return inverse / size

    @wp.func
    def lightness(
        world: int, body: int, arm: vec3, n: vec3, body_mask: wp.array(dtype=spatial),
        body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33), pose: wp.array2d(dtype=transform),
    ):  # fmt: skip
        """Velocity that a unit impulse along ``n`` gives its point [1/kg]; zero on static geometry."""
        result = dtype(0.0)
        if body >= 0:
            along = dyn.linear(body_mask[body])
            about = dyn.angular(body_mask[body])
            turn = wp.cw_mul(wp.cross(arm, n), about)
            j = free_inverse(wp.transform_get_rotation(pose[world, body]), body_inertia[world, body], about)
            result = wp.dot(wp.cw_mul(n, along), n) / body_mass[world, body] + wp.dot(turn, j * turn)
        return result

    @wp.func(inline=True)
    def part_at(
        world: int, c: int, shape_body: wp.array(dtype=int), f: FeatureTable, pose: wp.array2d(dtype=transform),
        # out
        part: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        xa = geo.pose_of(pose, world, shape_body[f.shape_a[world, c]])
        xb = geo.pose_of(pose, world, shape_body[f.shape_b[world, c]])
        part[world, c] = geo.part_of(world, c, xa, xb, f)

    @wp.func_replay(part_at)
    def part_again(
        world: int, c: int, shape_body: wp.array(dtype=int), f: FeatureTable, pose: wp.array2d(dtype=transform),
        # out
        part: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs no part."""
        return

    @wp.kernel(module="unique")
    def part_kernel(
        shape_body: wp.array(dtype=int), f: FeatureTable, going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), stride: int,
        # out
        part: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if label[world, c] >= 0:
                part_at(world, c, shape_body, f, pose, part)

    @wp.func
    def together(world: int, c: int, i: int, f: FeatureTable, label: wp.array2d(dtype=int)):
        """Whether two contacts belong to one pair in one impact."""
        same = f.shape_a[world, i] == f.shape_a[world, c] and f.shape_b[world, i] == f.shape_b[world, c]
        return same and label[world, i] == label[world, c]

    @wp.kernel(enable_backward=False, module="unique")
    def share_kernel(
        f: FeatureTable, going: wp.array(dtype=int), label: wp.array2d(dtype=int), part: wp.array2d(dtype=dtype),
        stride: int,
        # out
        share: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """A corner that lands alone bears all of its pair."""
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if label[world, c] >= 0:
                whole = dtype(0.0)
                for i in range(f.count[world]):
                    if together(world, c, i, f, label):
                        whole += part[world, i]
                share[world, c] = part[world, c] / wp.max(whole, dtype(LEAST))

    @wp.kernel(enable_backward=False, module="unique")
    def share_adjoint_kernel(
        f: FeatureTable, going: wp.array(dtype=int), label: wp.array2d(dtype=int), part: wp.array2d(dtype=dtype),
        adj_share: wp.array2d(dtype=dtype), stride: int,
        # in and out
        adj_part: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """By hand: that which Warp makes of the sum in the loop came out wrong."""
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if label[world, c] >= 0:
                whole = dtype(0.0)
                wanted = dtype(0.0)
                for i in range(f.count[world]):
                    if together(world, c, i, f, label):
                        whole += part[world, i]
                        wanted += part[world, i] * adj_share[world, i]
                if whole > dtype(LEAST):
                    adj_part[world, c] = adj_part[world, c] + (adj_share[world, c] - wanted / whole) / whole
                else:
                    adj_part[world, c] = adj_part[world, c] + adj_share[world, c] / dtype(LEAST)

    @wp.func(inline=True)
    def guess_of(
        world: int, c: int, shape_body: wp.array(dtype=int), body_mask: wp.array(dtype=spatial),
        body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33), f: FeatureTable,
        label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2),
        share: wp.array2d(dtype=dtype),
        # out
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        a = shape_body[f.shape_a[world, c]]
        b = shape_body[f.shape_b[world, c]]
        n, ra, rb, u = impact.meeting(world, c, a, b, f, pose, before)
        light = lightness(world, a, ra, n, body_mask, body_mass, body_inertia, pose) + lightness(
            world, b, rb, n, body_mask, body_mass, body_inertia, pose
        )
        mass = dtype(0.0)
        if light > dtype(0.0):
            mass = share[world, c] / light
        stiff[world, c] = dtype(whole) * mass / (share[world, c] + dtype(soft))
        push = dtype(0.0)
        if u < dtype(0.0):
            push = -mass * (dtype(1.0) + impact.restitution_of(approach[world, label[world, c]])) * u
        load[world, c] = push

    @wp.func_replay(guess_of)
    def guess_again(
        world: int, c: int, shape_body: wp.array(dtype=int), body_mask: wp.array(dtype=spatial),
        body_mass: wp.array2d(dtype=dtype), body_inertia: wp.array2d(dtype=mat33), f: FeatureTable,
        label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2),
        share: wp.array2d(dtype=dtype),
        # out
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs no guess."""
        return

    @wp.kernel(module="unique")
    def guess_kernel(
        shape_body: wp.array(dtype=int), body_mask: wp.array(dtype=spatial), body_mass: wp.array2d(dtype=dtype),
        body_inertia: wp.array2d(dtype=mat33), f: FeatureTable, going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial),
        approach: wp.array2d(dtype=vec2), share: wp.array2d(dtype=dtype), stride: int,
        # out
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if label[world, c] >= 0:
                guess_of(
                    world, c, shape_body, body_mask, body_mass, body_inertia, f, label, pose, before, approach, share,
                    stiff, load,
                )  # fmt: skip

    @wp.kernel(enable_backward=False, module="unique")
    def start_kernel(
        shape_body: wp.array(dtype=int), body_mask: wp.array(dtype=spatial), body_mass: wp.array2d(dtype=dtype),
        body_inertia: wp.array2d(dtype=mat33), f: FeatureTable, going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial),
        target: wp.array2d(dtype=spatial), load: wp.array2d(dtype=dtype),
        # out
        start: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world = wp.tid()
        if going[world] == 0:
            return
        for body in range(pose.shape[1]):
            start[world, body] = wp.cw_mul(target[world, body], body_mask[body])
        for c in range(f.count[world]):
            if label[world, c] >= 0:
                a = shape_body[f.shape_a[world, c]]
                b = shape_body[f.shape_b[world, c]]
                n, ra, rb, _u = impact.meeting(world, c, a, b, f, pose, before)
                for side in range(2):
                    body = b
                    arm = rb
                    push = n * load[world, c]
                    if side == 1:
                        body = a
                        arm = ra
                        push = -push
                    if body >= 0:
                        about = dyn.angular(body_mask[body])
                        j = free_inverse(wp.transform_get_rotation(pose[world, body]), body_inertia[world, body], about)
                        turn = wp.cw_mul(j * wp.cw_mul(wp.cross(arm, push), about), about)
                        along = wp.cw_mul(push, dyn.linear(body_mask[body])) / body_mass[world, body]
                        start[world, body] = start[world, body] + dyn.join(along, turn)

    return SimpleNamespace(
        free_inverse=free_inverse, part=part_kernel, share=share_kernel, share_adjoint=share_adjoint_kernel,
        guess=guess_kernel, start=start_kernel,
    )  # fmt: skip


def _inputs(model: ModelArrays, features: Features, rounds: Rounds, r: Round) -> list[Any]:
    m = model
    return [
        m.shape_body, m.body_mask, m.body_mass, m.body_inertia, features.struct,
        r.going, r.law, rounds.path.pose[1], r.before,
    ]  # fmt: skip


def _part_inputs(model: ModelArrays, features: Features, rounds: Rounds, r: Round) -> list[Any]:
    return [
        model.shape_body, features.struct, r.going, r.law, rounds.path.pose[1], contacts.threads(features)[1]
    ]  # fmt: skip


def guess(dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round) -> None:
    """Stiffness and first guess of the normal impulses, and the velocities that these give."""
    k, device = make(dtype), r.going.device
    places = contacts.threads(features)
    wp.launch(
        k.part, dim=places, inputs=_part_inputs(model, features, rounds, r), outputs=[r.part], device=device
    )  # fmt: skip
    wp.launch(
        k.share,
        dim=places,
        inputs=[features.struct, r.going, r.law, r.part, places[1]],
        outputs=[r.share],
        device=device,
    )
    inputs = _inputs(model, features, rounds, r)
    wp.launch(
        k.guess, dim=places, inputs=[*inputs, r.approach, r.share, places[1]], outputs=[r.stiff, r.load[0]],
        device=device,
    )  # fmt: skip
    wp.launch(k.start, dim=r.going.shape, inputs=[*inputs, r.aim, r.load[0]], outputs=[r.solved[0]], device=device)


def guess_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any
) -> None:
    """Add to the adjoints of poses, velocities and parameters what that of the guess implies."""
    kernel, places = make(dtype).guess, contacts.threads(features)
    wp.launch(
        kernel, dim=places,
        inputs=[*_inputs(model, features, rounds, r), r.approach, r.share, places[1]],
        outputs=[r.stiff, r.load[0]], adjoint=True,
        adj_inputs=by_name(
            kernel, body_mass=g.body_mass, body_inertia=g.body_inertia, pose=own.path.pose[1], before=own.before,
            approach=own.approach, share=own.share, stiff=own.stiff, load=own.load[0],
        ),
        device=r.going.device,
    )  # fmt: skip
    wp.launch(
        make(dtype).share_adjoint, dim=places,
        inputs=[features.struct, r.going, r.law, r.part, own.share, places[1]], outputs=[own.part],
        device=r.going.device,
    )  # fmt: skip
    kernel = make(dtype).part
    wp.launch(
        kernel, dim=places, inputs=_part_inputs(model, features, rounds, r), outputs=[r.part],
        adjoint=True, adj_inputs=by_name(kernel, pose=own.path.pose[1], part=own.part), device=r.going.device,
    )  # fmt: skip
