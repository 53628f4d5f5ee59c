"""Rows of the solves of an impact."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision.features import Features
from ..contact import hard, law
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contacts, impact_law
from .round_arrays import Round, Rounds

__all__ = ["impact_rows", "make"]


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law. Forward only."""
    p = precision(dtype)
    vec2, vec3, vec4, spatial, transform = p.vec2, p.vec3, p.vec4, p.spatial, p.transform
    geo, pair, contact_law = contacts.make(dtype), hard.make(dtype), law.make(dtype, resists)
    impact = impact_law.make(dtype, resists)
    FeatureTable, Coefficients = geo.FeatureTable, contact_law.Coefficients

    @wp.kernel(enable_backward=False, module="unique")
    def rows_kernel(
        shape_body: wp.array(dtype=int), shape_friction: wp.array2d(dtype=dtype), f: FeatureTable,
        count: wp.array(dtype=int), going: wp.array(dtype=int), label: wp.array2d(dtype=int),
        pose: wp.array2d(dtype=transform), before: wp.array2d(dtype=spatial), approach: wp.array2d(dtype=vec2),
        stiff: wp.array2d(dtype=dtype), load: wp.array2d(dtype=dtype), with_friction: int, tangential: dtype,
        eps: dtype, rolling: wp.array2d(dtype=dtype), torsional: wp.array2d(dtype=dtype), angular_eps: dtype,
        # rows out
        contact: wp.array2d(dtype=int), row_a: wp.array2d(dtype=int), row_b: wp.array2d(dtype=int),
        normal: wp.array2d(dtype=vec3), arm_a: wp.array2d(dtype=vec3), arm_b: wp.array2d(dtype=vec3),
        twist: wp.array2d(dtype=vec3), coefficients: wp.array2d(dtype=Coefficients), total: wp.array(dtype=int),
    ):  # fmt: skip
        """One thread a world, so that rows stand in the contacts' order."""
        world = wp.tid()
        if going[world] == 0:
            total[world] = -1
            return
        at = int(0)
        for c in range(count[world]):
            leader = label[world, c]
            if leader >= 0:
                sa = f.shape_a[world, c]
                sb = f.shape_b[world, c]
                a = shape_body[sa]
                b = shape_body[sb]
                n, ra, rb, u = impact.meeting(world, c, a, b, f, pose, before)
                goal = (tangential - impact.restitution_of(approach[world, leader])) * u
                k = stiff[world, c]
                mu = pair.friction(shape_friction[world, sa], shape_friction[world, sb])
                part = impact.row_share(with_friction, mu)
                own = load[world, c] * (dtype(1.0) - part)
                rows = int(1)
                if part > dtype(0.0) and load[world, c] > dtype(0.0):
                    rows = 2
                for i in range(rows):
                    contact[world, at] = c
                    row_a[world, at] = a
                    row_b[world, at] = b
                    normal[world, at] = n
                    arm_a[world, at] = ra
                    arm_b[world, at] = rb
                    twist[world, at] = vec3()
                    if i == 0:
                        coefficients[world, at] = contact_law.bare(vec4(k * goal + own, k, dtype(0.0), eps))
                    else:
                        coefficients[world, at] = impact.friction_row(
                            load[world, c], mu, eps, world, sa, sb, rolling, torsional, angular_eps
                        )
                    at += 1
        total[world] = at

    return SimpleNamespace(rows=rows_kernel)


def impact_rows(
    dtype: Any, model: ModelArrays, features: Features, rounds: Rounds, r: Round, solve: int, *, tangential: float,
    eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """Rows of a solve of an impact: of the normal impulses, and of the friction of those of the solve before."""
    m, o = model, rounds.rows
    wp.launch(
        make(dtype, o.resists).rows, dim=r.going.shape,
        inputs=[
            m.shape_body, m.shape_friction, features.struct, features.count, r.going, r.law,
            rounds.path.pose[1], r.before, r.approach, r.stiff, r.load[solve], int(solve > 0), tangential,
            eps, m.shape_rolling_resistance, m.shape_torsional_resistance, angular_eps,
        ],
        outputs=[
            rounds.contact, o.body_a, o.body_b, o.normal, o.arm_a, o.arm_b, o.twist, o.coefficients, rounds.total,
        ],
        device=r.going.device,
    )  # fmt: skip
