"""Adjoint of a step with impacts: of the mean velocities that move the poses, of the contacts in its last two solves.

All are one kernel, the power of the impulses along given velocities, whose adjoint Warp generates, as in
``solver/adjoint.py``.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import features
from ..collision.features import Features
from ..contact import law
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import step as impact
from .step import Impacts

__all__ = ["SECOND", "THIRD", "ImpactAdjoints", "contact_adjoint", "make", "select_adjoint", "velocity_adjoint"]

POSE = wp.constant(0)
SECOND = wp.constant(1)
THIRD = wp.constant(2)
"""Whose adjoint: that of the mean velocity, of the second solve, of the third."""


@dataclass
class ImpactAdjoints:
    """Adjoints of what ``Impacts`` holds, by body [W, B]; zeros of their shapes; and what the pass writes."""

    body_vm: wp.array
    body_vi: wp.array
    body_vn: wp.array
    load: wp.array
    moment: wp.array
    no_scalar: wp.array
    active: wp.array  # int32 [W, 2 C]: rows with an impulse

    @classmethod
    def allocate(cls, worlds: int, bodies: int, capacity: int, dtype: Any, device: Any) -> "ImpactAdjoints":
        """Zeros."""
        s, v = dtype, precision(dtype).spatial
        per_body = [wp.zeros((worlds, bodies), dtype=t, device=device) for t in (v, v, v, s, s, s)]
        return cls(*per_body, wp.zeros((worlds, 2 * capacity), dtype=wp.int32, device=device))

    def clear(self) -> None:
        """Zero all adjoints."""
        for array in (self.body_vm, self.body_vi, self.body_vn, self.load, self.moment):
            array.zero_()


@functools.cache
def make(dtype: Any, resists: bool = False) -> SimpleNamespace:
    """The kernel for one precision and contact law."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    FeatureTable = features.make(dtype)
    model = model_arrays.make(dtype)
    Bodies, Shapes, Surfaces = model.Bodies, model.Shapes, model.Surfaces
    contact_law, struck = law.make(dtype, resists), impact.make(dtype, resists)

    @wp.func
    def value_of(values: wp.array2d(dtype=dtype), world: int, body: int):
        result = dtype(0.0)
        if body >= 0:
            result = values[world, body]
        return result

    @wp.kernel(module="unique")
    def contact_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_vi: wp.array2d(dtype=spatial),
        body_vn: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        # weights of a contact's impulse; of its shares in the load and moment of its bodies
        by_impulse: wp.array2d(dtype=spatial), by_load: wp.array2d(dtype=dtype), by_moment: wp.array2d(dtype=dtype),
        # contacts
        solve: int, delays: wp.array2d(dtype=dtype), active: wp.array2d(dtype=int), count: wp.array(dtype=int),
        f: FeatureTable, centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype),
        h: dtype, eps: dtype, threshold: dtype, angular_eps: dtype,
        # out
        power: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, c = wp.tid()
        if c >= count[world]:
            return
        if solve != POSE and active[world, c] == 0 and (solve == SECOND or delays[world, c] < dtype(0.0)):
            return
        if solve == POSE and delays[world, c] < dtype(0.0):
            return
        sa = f.shape_a[world, c]
        sb = f.shape_b[world, c]
        a = shapes.body[sa]
        b = shapes.body[sb]
        n, arm_a, arm_b, twist, q, mu, delay = struck.row(
            world, c, sa, sb, a, b, f, centre, pull, body_q, body_v0, body_vi, bodies, surfaces, h, eps, threshold,
            angular_eps,
        )  # fmt: skip
        if solve == POSE:
            scale = value_of(by_load, world, a) + value_of(by_load, world, b)
            scale += (value_of(by_moment, world, a) + value_of(by_moment, world, b)) * delay
            power[world, c] = struck.share(q[1], delay, h) * scale
        else:
            u = contact_law.relative_motion(body_v1, world, a, b, arm_a, arm_b, n, twist)
            push = contact_law.impulse(u, n, q, eps)
            if solve == THIRD and delay >= dtype(0.0):
                un = contact_law.relative_motion(body_vn, world, a, b, arm_a, arm_b, n, twist)
                friction = struck.friction_row(
                    q, n, un, mu, eps, world, sa, sb, surfaces.rolling_resistance, surfaces.torsional_resistance,
                    angular_eps,
                )  # fmt: skip
                push += contact_law.impulse(u, n, friction, eps)
            weight_of = contact_law.relative_motion(by_impulse, world, a, b, arm_a, arm_b, n, twist)
            power[world, c] = wp.dot(push, weight_of)

    return SimpleNamespace(contact=contact_kernel)


def _power_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, features: Features,
    plain: ContactRows, impacts: Impacts, own: ImpactAdjoints, weights: list[wp.array], solve: Any,
    adj_v1: wp.array | None, adjoints: Adjoints, *, h: float, eps: float, angular_eps: float, threshold: float,
) -> None:  # fmt: skip
    m, f, g = model, features, adjoints
    kernel = make(dtype, impacts.rows.resists).contact
    wp.launch(
        kernel,
        dim=f.kind.shape,
        inputs=[
            g.bodies, m.shapes, g.surfaces, body_q, body_v0, impacts.body_vi, impacts.body_vn, body_v1, *weights,
            int(solve), impacts.delay, own.active, impacts.count, f.struct, plain.centre, plain.pull, h, eps, threshold,
            angular_eps,
        ],
        outputs=[g.contact_power],
        adjoint=True,
        adj_inputs=by_name(
            kernel, body_q=g.body_q, body_v0=g.body_v0, body_vi=own.body_vi, body_vn=own.body_vn, body_v1=adj_v1,
            centre=g.centre, pull=g.pull, power=g.contact_seed,
        ),
        device=body_q.device,
    )  # fmt: skip


def velocity_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, features: Features,
    plain: ContactRows, impacts: Impacts, own: ImpactAdjoints, adj_v1: wp.array, adjoints: Adjoints,
    *, h: float, eps: float, angular_eps: float, threshold: float,
) -> None:  # fmt: skip
    """Add to the adjoints of a step's inputs, of ``body_v1`` and of ``own.body_vi`` what ``own.body_vm`` implies."""
    i, mean = impacts, impact.make(dtype).mean
    wp.launch(
        mean,
        dim=body_q.shape,
        inputs=[i.body_vi, body_v1, i.load, i.moment, h],
        outputs=[i.body_vm],
        adjoint=True,
        adj_inputs=by_name(
            mean, body_vi=own.body_vi, body_v1=adj_v1, load=own.load, moment=own.moment, body_vm=own.body_vm
        ),
        device=body_q.device,
    )
    weights = [adjoints.z, own.load, own.moment]
    _power_adjoint(
        dtype, model, body_q, body_v0, body_v1, features, plain, impacts, own, weights, POSE, adj_v1, adjoints,
        h=h, eps=eps, angular_eps=angular_eps, threshold=threshold,
    )  # fmt: skip


def contact_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, features: Features,
    plain: ContactRows, impacts: Impacts, own: ImpactAdjoints, solve: Any, adjoints: Adjoints,
    *, h: float, eps: float, angular_eps: float, threshold: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint`` for the ``SECOND`` or ``THIRD`` solve, whose solution is ``body_v1``.

    Adds to the adjoints of the velocities of the solves before it, too.
    """
    weights = [adjoints.z, own.no_scalar, own.no_scalar]
    _power_adjoint(
        dtype, model, body_q, body_v0, body_v1, features, plain, impacts, own, weights, solve, None, adjoints,
        h=h, eps=eps, angular_eps=angular_eps, threshold=threshold,
    )  # fmt: skip


def select_adjoint(dtype: Any, impacts: Impacts, own: ImpactAdjoints, adj_v1: wp.array) -> None:
    """Hand ``adj_v1`` to the first solve where nothing is struck."""
    wp.launch(
        impact.make(dtype).select_adjoint, dim=adj_v1.shape, inputs=[impacts.struck],
        outputs=[own.body_vi, adj_v1], device=adj_v1.device,
    )  # fmt: skip
