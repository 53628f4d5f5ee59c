"""Rows of the solves of an impact."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision.features import Features
from ..contact import hard, law, row_arrays
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, impact_law
from .round_arrays import Round, Rounds

__all__ = ["impact_rows", "make"]

SETTLED = {wp.float64: 1.0e-10, wp.float32: 1.0e-3}
"""Change of a normal impulse, in parts of it, below which no further solve is needed: velocities are nearer by 1e3."""


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec2, vec3, vec4, spatial, transform = p.vec2, p.vec3, p.vec4, p.spatial, p.transform
    geo, pair, contact_law = contacts.make(dtype), hard.make(dtype), law.make(dtype, resists)
    impact = impact_law.make(dtype, resists)
    FeatureTable, Rows, arrays = geo.FeatureTable, row_arrays.make(dtype, resists), model_arrays.make(dtype)
    Shapes, Surfaces = arrays.Shapes, arrays.Surfaces
    settled = SETTLED[dtype]

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        # model
        shapes: Shapes, surfaces: Surfaces, f: FeatureTable,
        # round in
        going: wp.array(dtype=int), label: wp.array2d(dtype=int), pose: wp.array2d(dtype=transform),
        before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2), stiff: wp.array2d(dtype=dtype),
        load: wp.array2d(dtype=dtype), load0: wp.array2d(dtype=dtype), with_friction: int, tangential: dtype,
        eps: dtype, angular_eps: dtype,
        # out
        contact: wp.array2d(dtype=int), out: Rows, total: wp.array(dtype=int), solves: wp.array(dtype=int),
    ):  # fmt: skip
        """One thread a world, so that rows stand in the contacts' order."""
        world = wp.tid()
        solves[world] = 0
        if going[world] == 0:
            total[world] = -1
            return
        solve = int(1)
        if with_friction != 0:
            solve = 0
        at = int(0)
        for c in range(f.count[world]):
            leader = label[world, c]
            if leader >= 0:
                sa = f.shape_a[world, c]
                sb = f.shape_b[world, c]
                a = shapes.body[sa]
                b = shapes.body[sb]
                n, ra, rb, u = impact.meeting(world, c, a, b, f, pose, before)
                goal = (tangential - impact.restitution_of(approach[world, leader])) * u
                k = stiff[world, c]
                mu = pair.friction(surfaces.friction[world, sa], surfaces.friction[world, sb])
                part = impact.row_share(with_friction, mu)
                own = load[world, c] * (dtype(1.0) - part)
                rows = int(1)
                if part > dtype(0.0) and load[world, c] > dtype(0.0):
                    rows = 2
                    solve = 1
                if wp.abs(load[world, c] - load0[world, c]) > dtype(settled) * load[world, c]:
                    solve = 1
                for i in range(rows):
                    contact[world, at] = c
                    out.body_a[world, at] = a
                    out.body_b[world, at] = b
                    out.normal[world, at] = n
                    out.arm_a[world, at] = ra
                    out.arm_b[world, at] = rb
                    out.twist[world, at] = vec3()
                    if i == 0:
                        out.coefficients[world, at] = contact_law.bare(vec4(k * goal + own, k, dtype(0.0), eps))
                    else:
                        out.coefficients[world, at] = impact.friction_row(
                            load[world, c], mu, eps, world, sa, sb, surfaces, angular_eps
                        )
                    at += 1
        total[world] = at
        solves[world] = solve

    return SimpleNamespace(rows=rows_kernel)


def impact_rows(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, *, tangential: float,
    eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """Rows of a solve of an impact: of the normal impulses, and of the friction of those of the solve before.

    Marks the worlds that need it in ``rounds.solves``: all for the first one, then those where something rubs or normal
    impulses still change.
    """
    m, o = model, rounds.rows
    wp.launch(
        make(dtype, o.resists).rows, dim=r.going.shape,
        inputs=[
            m.shapes, m.surfaces, features.struct, r.going, r.law, rounds.path.pose[1], r.before, r.approach, r.stiff,
            r.load[solve], r.load[max(solve - 1, 0)], int(solve > 0), tangential, eps, angular_eps,
        ],
        outputs=[rounds.contact, o.struct, rounds.total, rounds.solves],
        device=r.going.device,
    )  # fmt: skip
