"""Adjoint of the further solves of a step in which slip changes (``slip.py``).

One kernel, the power of the impulses along given velocities, whose adjoint Warp generates; see ``solver/adjoint.py``.
Rows are made anew in it, so that what they take from the solves before flows back to those.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import features
from ..collision.features import Features
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import contact_rows, law, slip, slip_adjoint_lanes
from .plain_lanes import plain as is_plain
from .row_arrays import ContactRows
from .slip import FOURTH, SECOND, Slips

__all__ = ["SlipAdjoints", "contact_adjoint", "gather", "make", "split"]


@dataclass
class SlipAdjoints:
    """Adjoints of the velocities of the four solves, spatial [W, B], and what the pass writes."""

    body_va: wp.array
    body_vb: wp.array
    body_vc: wp.array
    body_v1: wp.array
    active: wp.array  # int32 [W, 2 C]: rows with an impulse

    @classmethod
    def allocate(cls, worlds: int, bodies: int, capacity: int, dtype: Any, device: Any) -> "SlipAdjoints":
        """Zeros."""
        spatial = precision(dtype).spatial
        per_body = [wp.zeros((worlds, bodies), dtype=spatial, device=device) for _ in range(4)]
        return cls(*per_body, wp.zeros((worlds, 2 * capacity), dtype=wp.int32, device=device))


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The kernels for one precision and contact law."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    FeatureTable = features.make(dtype)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces = model.Bodies, model.Shapes, model.Surfaces
    contact_law, slips = law.make(dtype, resists, softens), slip.make(dtype, resists, softens)
    Motion = contact_law.Motion
    row_ns = contact_rows.make(dtype, resists, softens) if softens else contact_rows.make(dtype)

    @wp.kernel(module="unique")
    def contact_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_va: wp.array2d(dtype=spatial),
        body_vb: wp.array2d(dtype=spatial), body_vc: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial),
        # contacts
        staged: wp.array(dtype=int), weights: wp.array2d(dtype=dtype), active: wp.array2d(dtype=int), f: FeatureTable,
        centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype), h: dtype, eps: dtype, angular_eps: dtype,
        solve: int, without_plain: int,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, c = wp.tid()
        if staged[world] == 0:
            return
        if c >= f.count[world]:
            return
        if without_plain != 0 and is_plain(f.kind[world, c], f.share[world, c], f.blend[world, c]):
            return
        if active[world, c] == 0 and (solve == FOURTH or weights[world, c] == dtype(0.0)):
            return
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        n, arm_a, arm_b, twist, coefficient, _gap, _part = row_ns.row(
            world, c, sa, sb, a, b, f, centre, pull, body_q, body_v0, bodies, surfaces, h, eps
        )
        if wp.static(softens):
            coefficient = contact_law.softened(coefficient, surfaces.softening[sa], surfaces.softening[sb])
        q = contact_law.full(
            coefficient, n, world, sa, sb, a, b, body_v0, surfaces.rolling_resistance, surfaces.torsional_resistance,
            angular_eps,
        )  # fmt: skip
        x0 = contact_law.relative_motion(body_v0, world, a, b, arm_a, arm_b, n, twist)
        xa = contact_law.relative_motion(body_va, world, a, b, arm_a, arm_b, n, twist)
        fall = slips.falls(bodies.gravity[world], bodies.mask, a, b)
        part, load = slips.apart(x0, xa, fall, slips.weight_of(bodies.gravity[world]), n, q, h, eps)
        u = contact_law.relative_motion(body_v1, world, a, b, arm_a, arm_b, n, twist)
        push = Motion()
        if solve == FOURTH:
            xc = contact_law.relative_motion(body_vc, world, a, b, arm_a, arm_b, n, twist)
            push += contact_law.impulse(u, n, contact_law.resumed(q, x0, xc, n, part, eps), eps)
        else:
            kept = contact_law.lessened(q, x0, n, dtype(1.0) - part)
            if solve != SECOND:
                load = slips.load_of(
                    contact_law.relative_motion(body_vb, world, a, b, arm_a, arm_b, n, twist), n, kept, eps
                )
            push += contact_law.impulse(u, n, kept, eps)
            friction = slips.friction_row(
                part * load, q[2], eps, world, sa, sb, surfaces.rolling_resistance, surfaces.torsional_resistance,
                angular_eps,
            )  # fmt: skip
            push += contact_law.impulse(u, n, friction, eps)
        power[world, c] = wp.dot(push, contact_law.relative_motion(z, world, a, b, arm_a, arm_b, n, twist))

    @wp.kernel(enable_backward=False, module="unique")
    def split_kernel(
        staged: wp.array(dtype=int),
        # in and out
        adj_v1: wp.array2d(dtype=spatial),
        # out
        own_v1: wp.array2d(dtype=spatial), own_va: wp.array2d(dtype=spatial), own_vb: wp.array2d(dtype=spatial),
        own_vc: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        own_v1[world, body] = spatial()
        own_va[world, body] = spatial()
        own_vb[world, body] = spatial()
        own_vc[world, body] = spatial()
        if staged[world] != 0:
            own_v1[world, body] = adj_v1[world, body]

    @wp.kernel(enable_backward=False, module="unique")
    def gather_kernel(
        staged: wp.array(dtype=int), own_va: wp.array2d(dtype=spatial), adj_v1: wp.array2d(dtype=spatial)
    ):
        world, body = wp.tid()
        if staged[world] != 0:
            adj_v1[world, body] = own_va[world, body]

    return SimpleNamespace(contact=contact_kernel, split=split_kernel, gather=gather_kernel)


def split(dtype: Any, slips: Slips, own: SlipAdjoints, adj_v1: wp.array) -> None:
    """Hand ``adj_v1`` to the last solve, where there is one; zero the adjoints of the others."""
    wp.launch(
        make(dtype).split, dim=adj_v1.shape, inputs=[slips.staged, adj_v1],
        outputs=[own.body_v1, own.body_va, own.body_vb, own.body_vc], device=adj_v1.device,
    )  # fmt: skip


def gather(dtype: Any, slips: Slips, own: SlipAdjoints, adj_v1: wp.array) -> None:
    """Make ``adj_v1`` that of the first solve's velocities."""
    wp.launch(
        make(dtype).gather, dim=adj_v1.shape, inputs=[slips.staged, own.body_va], outputs=[adj_v1], device=adj_v1.device
    )


def contact_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, features: Features,
    plain: ContactRows, slips: Slips, own: SlipAdjoints, adjoints: Adjoints,
    *, solve: int, h: float, eps: float, angular_eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint`` for a further ``solve``, whose solution is ``body_v1``.

    Adds to the adjoints of the velocities of the solves before it, too.
    """
    m, f, g = model, features, adjoints
    in_lanes = slip_adjoint_lanes.serves(m, plain)
    if in_lanes:
        slip_adjoint_lanes.add_plain_contacts(
            dtype, m, body_q, body_v0, body_v1, f, plain, slips, own, g, solve=solve, h=h, eps=eps
        )
        if m.plain_contacts:
            return
    kernel = make(dtype, plain.resists, plain.softens).contact
    wp.launch(
        kernel,
        dim=f.kind.shape,
        inputs=[
            g.bodies, m.shapes, g.surfaces, body_q, body_v0, slips.body_va, slips.body_vb, slips.body_vc, body_v1, g.z,
            slips.staged, slips.weight, own.active, f.struct, plain.centre, plain.pull, h, eps, angular_eps, solve,
            int(in_lanes),
        ],
        outputs=[g.contact_power],
        adjoint=True,
        adj_inputs=by_name(
            kernel, body_q=g.body_q, body_v0=g.body_v0, body_va=own.body_va, body_vb=own.body_vb, body_vc=own.body_vc,
            centre=g.centre, pull=g.pull, power=g.contact_seed,
        ),
        device=body_q.device,
    )  # fmt: skip
