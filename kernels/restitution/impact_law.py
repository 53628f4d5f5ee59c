"""The law of an impact: Moreau's, in the velocity z = u(after) + e_t u(before) of a cluster of contacts.

With e the restitution of the cluster and e_t the tangential one, normal impulses are at least zero, z_n is at least
(e_t - e) u_n(before), and one of the two holds with equality; friction is at most mu times the normal impulse, along
-z_t. One e goes for a cluster: the mean over the contacts that approach, by the energies of their approach. It keeps
energy, which one of its own for each contact would not.

A row of an impact is a stiff contact about a guess of its normal impulse, so that the first solve is right where a
contact stands alone, and each further one, from the impulses of that before, a thousand times nearer. Pure and
differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision.features import Features
from ..contact import contact_rows, hard, law
from ..core import model_arrays
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, struck
from .round_arrays import Round, RoundAdjoints, Rounds

__all__ = [
    "aim", "aim_adjoint", "approach_adjoint", "find_approach", "law_adjoint", "load_adjoint", "make", "measure",
]  # fmt: skip

FRICTION_SCALE = 1000.0
"""Factor by which the friction row of an impact raises the coefficient of friction and lowers the normal impulse."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """Functions ``meeting``, ``restitution_of``, ``friction_row`` and the kernels, for one precision and law."""
    p = precision(dtype)
    vec2, vec3, vec4, spatial, transform = p.vec2, p.vec3, p.vec4, p.spatial, p.transform
    geo, pair, dyn = contacts.make(dtype), hard.make(dtype), motion.make(dtype)
    plain, close, contact_law = contact_rows.make(dtype), struck.make(dtype), law.make(dtype, resists)
    FeatureTable, arrays = geo.FeatureTable, model_arrays.make(dtype)
    Shapes, Surfaces = arrays.Shapes, arrays.Surfaces
    scale = FRICTION_SCALE
    resists_any = wp.constant(resists)

    @wp.func
    def meeting(
        world: int, c: int, a: int, b: int, f: FeatureTable, pose: wp.array2d(dtype=transform),
        before: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Normal, arms [m], and rate of the gap before the impact [m/s]."""
        xa = geo.pose_of(pose, world, a)
        xb = geo.pose_of(pose, world, b)
        _gap, n, point = geo.locate(world, c, xa, xb, f)
        ra = point - wp.transform_get_translation(xa)
        rb = point - wp.transform_get_translation(xb)
        return n, ra, rb, wp.dot(n, dyn.relative_velocity(before, world, a, b, ra, rb))

    @wp.func
    def restitution_of(approach: vec2):
        """Restitution of a cluster."""
        e = dtype(0.0)
        if approach[0] > dtype(0.0):
            e = approach[1] / approach[0]
        return e

    @wp.func
    def friction_row(
        load: dtype, mu: dtype, eps: dtype, world: int, sa: int, sb: int, surfaces: Surfaces, angular_eps: dtype
    ):  # fmt: skip
        """Row with the friction and resistance of a normal impulse held fixed, of which it bears ``row_share``."""
        friction = vec4(load / dtype(scale), dtype(0.0), mu * dtype(scale), eps)
        return contact_law.held(
            friction, world, sa, sb, surfaces.rolling_resistance, surfaces.torsional_resistance, angular_eps,
            dtype(scale),
        )  # fmt: skip

    @wp.func
    def row_share(with_friction: int, mu: dtype):
        """Part of the normal impulse that the friction row of a contact bears [1]; 0 where there is no such row."""
        part = dtype(0.0)
        if with_friction != 0 and (resists_any or mu > dtype(0.0)):
            part = dtype(1.0 / scale)
        return part

    @wp.kernel(module="unique")
    def approach_kernel(
        shape_body: wp.array(dtype=int), body_mass: wp.array2d(dtype=dtype), shape_restitution: wp.array2d(dtype=dtype),
        gravity: wp.array(dtype=vec3), f: FeatureTable, count: wp.array(dtype=int), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial),
        option: dtype, round_number: wp.array(dtype=int), most: int, h: dtype,
        # out
        approach: wp.array2d(dtype=vec2),
    ):  # fmt: skip
        """One thread a world, so that sums have one order."""
        world = wp.tid()
        if going[world] == 0:
            return
        elastic = dtype(1.0)
        if round_number[0] + 1 >= most:
            elastic = dtype(0.0)
        for c in range(count[world]):
            leader = label[world, c]
            if leader >= 0:
                sa = f.shape_a[world, c]
                sb = f.shape_b[world, c]
                a = shape_body[sa]
                b = shape_body[sb]
                _n, _ra, _rb, u = meeting(world, c, a, b, f, pose, before)
                if u < dtype(0.0):
                    mass = pair.effective_mass(plain.mass_of(body_mass, world, a), plain.mass_of(body_mass, world, b))
                    e = pair.friction(shape_restitution[world, sa], shape_restitution[world, sb])
                    threshold = close.threshold_of(gravity[world], option, h)
                    kept = elastic * e * wp.clamp((-u - threshold) / threshold, dtype(0.0), dtype(1.0))
                    energy = mass * u * u
                    wp.atomic_add(approach, world, leader, vec2(energy, energy * kept))

    @wp.kernel(module="unique")
    def aim_kernel(
        going: wp.array(dtype=int), struck_bodies: wp.array2d(dtype=int), before: wp.array2d(dtype=spatial),
        tangential: dtype,
        # out
        target: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        result = spatial()
        if struck_bodies[world, body] != 0:
            result = before[world, body] * (dtype(1.0) + tangential)
        target[world, body] = result

    @wp.func(inline=True)
    def law_of(
        world: int, c: int, shapes: Shapes, surfaces: Surfaces, f: FeatureTable, label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2),
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype), solved: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial), with_friction: int, tangential: dtype, eps: dtype, angular_eps: dtype,
        # out
        load1: wp.array2d(dtype=dtype), power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Normal impulse of a contact, and the power of its impulses at ``z``."""
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        n, ra, rb, u0 = meeting(world, c, a, b, f, pose, before)
        goal = (tangential - restitution_of(approach[world, label[world, c]])) * u0
        none = vec3(dtype(0.0), dtype(0.0), dtype(0.0))
        u = contact_law.relative_motion(solved, world, a, b, ra, rb, n, none)
        uz = contact_law.relative_motion(z, world, a, b, ra, rb, n, none)
        mu = pair.friction(surfaces.friction[world, sa], surfaces.friction[world, sb])
        beside = load[world, c] * row_share(with_friction, mu)
        pushes = load[world, c] - beside + stiff[world, c] * (goal - contact_law.normal_part(u, n))
        result = dtype(0.0)
        if pushes > dtype(0.0):
            load1[world, c] = pushes + beside
            result = pushes * contact_law.normal_part(uz, n)
        else:
            load1[world, c] = beside
        if row_share(with_friction, mu) > dtype(0.0):
            q = friction_row(load[world, c], mu, eps, world, sa, sb, surfaces, angular_eps)
            result += wp.dot(contact_law.impulse(u, n, q, eps), uz)
        power[world, c] = result

    @wp.func_replay(law_of)
    def law_again(
        world: int, c: int, shapes: Shapes, surfaces: Surfaces, f: FeatureTable, label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2),
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype), solved: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial), with_friction: int, tangential: dtype, eps: dtype, angular_eps: dtype,
        # out
        load1: wp.array2d(dtype=dtype), power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs neither."""
        return

    @wp.kernel(module="unique")
    def law_kernel(
        # model
        shapes: Shapes, surfaces: Surfaces, f: FeatureTable,
        # round in
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform),
        before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2), stiff: wp.array2d(dtype=dtype),
        load: wp.array2d(dtype=dtype), solved: wp.array2d(dtype=spatial), z: wp.array2d(dtype=spatial),
        with_friction: int, tangential: dtype, eps: dtype, angular_eps: dtype, stride: int,
        # out
        load1: wp.array2d(dtype=dtype), power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        if going[world] == 0:
            return
        for k in range((f.count[world] - thread + stride - 1) / stride):
            c = thread + k * stride
            if label[world, c] >= 0:
                law_of(
                    world, c, shapes, surfaces, f, label, pose, before, approach, stiff, load, solved, z,
                    with_friction, tangential, eps, angular_eps, load1, power,
                )  # fmt: skip

    return SimpleNamespace(
        meeting=meeting, restitution_of=restitution_of, friction_row=friction_row, row_share=row_share,
        approach=approach_kernel,
        aim=aim_kernel, law=law_kernel,
    )  # fmt: skip


def _approach_inputs(
    model: ModelArrays, features: Features, rounds: Rounds, r: Round, threshold: float, h: float
) -> list[Any]:  # fmt: skip
    return [
        model.shape_body, model.body_mass, model.shape_restitution, model.gravity,
        features.struct, features.count, r.going, r.law, rounds.path.pose[1],
        r.before, threshold, rounds.number, rounds.most, h,
    ]  # fmt: skip


def find_approach(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, *, threshold: float, h: float
) -> None:  # fmt: skip
    """Energies of approach of the clusters of a round; in the last one, restitution is zero."""
    r.approach.zero_()
    wp.launch(
        make(dtype).approach, dim=r.going.shape,
        inputs=_approach_inputs(model, features, rounds, r, threshold, h), outputs=[r.approach],
        device=r.going.device,
    )  # fmt: skip


def approach_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, own: RoundAdjoints, g: Any,
    *, threshold: float, h: float,
) -> None:  # fmt: skip
    """Add to the adjoints of poses, velocities and parameters what that of ``r.approach`` implies."""
    kernel = make(dtype).approach
    wp.launch(
        kernel, dim=r.going.shape,
        inputs=_approach_inputs(model, features, rounds, r, threshold, h), outputs=[r.approach],
        adjoint=True,
        adj_inputs=by_name(
            kernel, body_mass=g.body_mass, shape_restitution=g.shape_restitution, gravity=g.gravity,
            pose=own.path.pose[1], before=own.before, approach=own.approach,
        ),
        device=r.going.device,
    )  # fmt: skip


def aim(dtype: Any, r: Round, *, tangential: float) -> None:
    """Velocities from which the solves of an impact set out."""
    wp.launch(
        make(dtype).aim, dim=r.label.shape, inputs=[r.going, r.struck, r.before, tangential], outputs=[r.aim],
        device=r.going.device,
    )  # fmt: skip


def aim_adjoint(dtype: Any, r: Round, own: RoundAdjoints, *, tangential: float) -> None:
    """Add to the adjoint of the velocities before the impact what that of ``r.aim`` implies."""
    kernel = make(dtype).aim
    wp.launch(
        kernel, dim=r.label.shape, inputs=[r.going, r.struck, r.before, tangential], outputs=[r.aim], adjoint=True,
        adj_inputs=by_name(kernel, before=own.before, target=own.aim), device=r.going.device,
    )  # fmt: skip


def _law_inputs(
    model: ModelArrays, surfaces: Any, features: Features, rounds: Rounds, r: Round, solve: int, z: wp.array,
    step: dict[str, float],
) -> list[Any]:  # fmt: skip
    return [
        model.shapes, surfaces, features.struct, r.going, r.law, rounds.path.pose[1], r.before, r.approach, r.stiff,
        r.load[solve], r.solved[solve], z, int(solve > 0), step["tangential"], step["eps"], step["angular_eps"],
        contacts.threads(features)[1],
    ]  # fmt: skip


def measure(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, power: wp.array,
    **step: float,
) -> None:  # fmt: skip
    """Normal impulses of all contacts of a round after a solve."""
    wp.launch(
        make(dtype, rounds.rows.resists).law, dim=contacts.threads(features),
        inputs=_law_inputs(model, model.surfaces, features, rounds, r, solve, r.solved[solve], step),
        outputs=[r.load[solve + 1], power], device=r.going.device,
    )  # fmt: skip


def law_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, own: RoundAdjoints,
    g: Any, **step: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint`` for a solve of an impact, and what the adjoint of its normal impulses implies.

    Two launches: the power's adjoint holds the solution fixed, that of the impulses does not. See ``load_adjoint``.
    """
    kernel = make(dtype, rounds.rows.resists).law
    wp.launch(
        kernel, dim=contacts.threads(features),
        inputs=_law_inputs(model, g.surfaces, features, rounds, r, solve, g.z, step),
        outputs=[r.load[solve + 1], g.contact_power], adjoint=True,
        adj_inputs=by_name(
            kernel, pose=own.path.pose[1], before=own.before, approach=own.approach, stiff=own.stiff,
            load=own.load[solve], power=g.contact_seed,
        ),
        device=r.going.device,
    )  # fmt: skip


def load_adjoint(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, own: RoundAdjoints,
    g: Any, **step: float,
) -> None:  # fmt: skip
    """Add what the adjoint of the normal impulses after a solve implies, to that of its solution, too."""
    kernel = make(dtype, rounds.rows.resists).law
    wp.launch(
        kernel, dim=contacts.threads(features),
        inputs=_law_inputs(model, model.surfaces, features, rounds, r, solve, g.z, step),
        outputs=[r.load[solve + 1], g.contact_power], adjoint=True,
        adj_inputs=by_name(
            kernel, pose=own.path.pose[1], before=own.before, approach=own.approach, stiff=own.stiff,
            load=own.load[solve], solved=own.solved[solve], load1=own.load[solve + 1],
        ),
        device=r.going.device,
    )  # fmt: skip
