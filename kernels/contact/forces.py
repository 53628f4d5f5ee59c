"""Forces that acted during a step: force, point and gap of every listed contact, and the force of every actuator.

Forward only, and no part of a rollout: a recording asks for it afterwards, at the stored states.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..collision import contact_geometry, features
from ..collision.features import Features
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import law, row_arrays
from .row_arrays import ContactRows

__all__ = ["Forces", "forces", "make"]


@dataclass
class Forces:
    """Contacts [W, C] and actuators [W, A] of one step; entries beyond a world's number of contacts are stale."""

    gap: wp.array  # scalar, m
    point: wp.array  # vec3, m, world frame
    normal: wp.array  # vec3, from a to b
    force: wp.array  # vec3, N, on b
    torque: wp.array  # vec3, N m, on b about the point: of friction beside it, and resistance to rolling and torsion
    actuator: wp.array  # scalar, N or N m

    @classmethod
    def allocate(cls, worlds: int, capacity: int, actuators: int, dtype: Any, device: Any) -> "Forces":
        """Room for ``worlds`` worlds of at most ``capacity`` contacts."""
        p = precision(dtype)
        shape = (worlds, capacity)
        kinds = ((shape, p.scalar), *[(shape, p.vec3)] * 4, ((worlds, max(actuators, 1)), p.scalar))
        return cls(*(wp.zeros(s, dtype=t, device=device) for s, t in kinds))


@functools.cache
def make(dtype: Any, resists: bool = False, softens: bool = False) -> SimpleNamespace:
    """The kernels ``contacts`` and ``actuators`` for one precision and contact law."""
    p = precision(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    geo, contact_law, dyn = contact_geometry.make(dtype), law.make(dtype, resists, softens), motion.make(dtype)
    FeatureTable, Rows = features.make(dtype), row_arrays.make(dtype, resists, softens)
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators

    @wp.kernel(enable_backward=False, module="unique")
    def contacts_kernel(
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), f: FeatureTable, rows: Rows,
        h: dtype, eps: dtype,
        # out
        gap: wp.array2d(dtype=dtype), point: wp.array2d(dtype=vec3), direction: wp.array2d(dtype=vec3),
        force: wp.array2d(dtype=vec3), torque: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        world, c = wp.tid()
        if c >= f.count[world]:
            return
        a = rows.body_a[world, c]
        b = rows.body_b[world, c]
        distance, _n, place = geo.locate(
            f.kind[world, c], geo.body_pose(body_q, world, a), geo.body_pose(body_q, world, b), f.a0[world, c],
            f.a1[world, c], f.a2[world, c], f.b0[world, c], f.b1[world, c], f.radius_a[world, c], f.radius_b[world, c],
            f.sign[world, c],
        )  # fmt: skip
        gap[world, c] = distance
        point[world, c] = place
        direction[world, c] = rows.normal[world, c]
        u = contact_law.relative_motion(
            body_v1, world, a, b, rows.arm_a[world, c], rows.arm_b[world, c], rows.normal[world, c],
            rows.twist[world, c],
        )  # fmt: skip
        push = contact_law.impulse(u, rows.normal[world, c], rows.coefficients[world, c], eps) / h
        if wp.static(resists):
            force[world, c] = dyn.linear(push)
        else:
            force[world, c] = push
        torque[world, c] = contact_law.moment(push, rows.normal[world, c], rows.twist[world, c])

    @wp.kernel(enable_backward=False, module="unique")
    def actuators_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), control: wp.array2d(dtype=dtype),
        h: dtype,
        # out
        force: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, i = wp.tid()
        body = actuators.body[i]
        axis = actuators.axis[i]
        force[world, i] = (
            bodies.mask[body][axis]
            * dyn.actuator_impulse(
                actuators.kind[i], control[world, i], dyn.coordinate(body_q[world, body], axis),
                body_v1[world, body][axis], actuators.stiffness[world, i], actuators.damping[world, i], h,
            )
            / h
        )  # fmt: skip

    return SimpleNamespace(contacts=contacts_kernel, actuators=actuators_kernel)


def forces(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v1: wp.array, control: wp.array, features: Features,
    contact_rows: ContactRows, out: Forces, *, h: float, eps: float,
) -> None:  # fmt: skip
    """Fill ``out`` for a step that began at the poses ``body_q`` and ended at the velocities ``body_v1``.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        model: Arrays of the model.
        body_q: Poses at the start of the step, transform [W, B].
        body_v1: Velocities at its end (linear [m/s], angular [rad/s]), [W, B].
        control: Targets or forces of the actuators, [W, A].
        features: Contacts that detection listed at ``body_q``.
        contact_rows: Their rows.
        out: Output.
        h: Step [s].
        eps: Stiction tolerance [m/s].
    """
    m, f, r, kernels = model, features, contact_rows, make(dtype, contact_rows.resists, contact_rows.softens)
    wp.launch(
        kernels.contacts,
        dim=f.kind.shape,
        inputs=[body_q, body_v1, f.struct, r.struct, h, eps],
        outputs=[out.gap, out.point, out.normal, out.force, out.torque],
        device=body_q.device,
    )  # fmt: skip
    if m.actuator_body.shape[0]:
        wp.launch(
            kernels.actuators,
            dim=m.actuator_stiffness.shape,
            inputs=[m.bodies, m.actuators, body_q, body_v1, control, h],
            outputs=[out.actuator],
            device=body_q.device,
        )  # fmt: skip
