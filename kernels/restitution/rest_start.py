"""The plain solve over what is left of a step after an impact: where bodies would go, and what actuators do.

Gravity and actuators act from the middle of what is left on, as velocities are those half a step earlier: the solve
gives the mean velocity. Pure and differentiated.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies import motion
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from .round_arrays import Round, RoundAdjoints

__all__ = ["drive", "drive_adjoint", "make", "start_rest", "start_rest_adjoint"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    dyn = motion.make(dtype)

    @wp.kernel(module="unique")
    def start_kernel(
        body_mask: wp.array(dtype=spatial), gravity: wp.array(dtype=vec3), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), after: wp.array2d(dtype=spatial), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        goal: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world, body = wp.tid()
        if going[world] == 0:
            return
        result = spatial()
        if label[world, body] >= 0:
            left = h - time[world, body]
            result = dyn.free_velocity(after[world, body], body_mask[body], gravity[world], dtype(0.5) * left)
        goal[world, body] = result

    @wp.kernel(module="unique")
    def drive_kernel(
        actuator_body: wp.array(dtype=int), actuator_stiffness: wp.array2d(dtype=dtype),
        actuator_damping: wp.array2d(dtype=dtype), actuator_kind: wp.array(dtype=int),
        control: wp.array2d(dtype=dtype), going: wp.array(dtype=int),
        label: wp.array2d(dtype=int), time: wp.array2d(dtype=dtype), h: dtype,
        # out
        control1: wp.array2d(dtype=dtype), stiffness1: wp.array2d(dtype=dtype), damping1: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Actuators whose impulse over a step is that of the given ones over half of what is left."""
        world, i = wp.tid()
        if going[world] == 0:
            return
        body = actuator_body[i]
        part = dtype(0.0)
        left = h
        if label[world, body] >= 0:
            left = h - time[world, body]
            part = dtype(0.5) * left / h
        stiffness1[world, i] = actuator_stiffness[world, i] * part
        damping1[world, i] = (actuator_damping[world, i] + (left - h) * actuator_stiffness[world, i]) * part
        target = control[world, i]
        if actuator_kind[i] == motion.ACTUATOR_FORCE:
            target = target * part
        control1[world, i] = target

    return SimpleNamespace(start=start_kernel, drive=drive_kernel)


def _start_inputs(model: ModelArrays, r: Round, h: float) -> list[Any]:
    return [model.body_mask, model.gravity, r.going, r.label, r.after, r.time, h]


def start_rest(dtype: Any, model: ModelArrays, r: Round, *, h: float) -> None:
    """Mean velocities ``r.goal`` over what is left, of gravity alone."""
    wp.launch(
        make(dtype).start, dim=r.label.shape, inputs=_start_inputs(model, r, h), outputs=[r.goal],
        device=r.going.device,
    )  # fmt: skip


def start_rest_adjoint(dtype: Any, model: ModelArrays, r: Round, own: RoundAdjoints, g: Any, *, h: float) -> None:
    """Add to the adjoints of velocities, times and gravity what that of ``r.goal`` implies."""
    kernel = make(dtype).start
    wp.launch(
        kernel, dim=r.label.shape, inputs=_start_inputs(model, r, h), outputs=[r.goal], adjoint=True,
        adj_inputs=by_name(kernel, gravity=g.gravity, after=own.after, time=own.time, goal=own.goal),
        device=r.going.device,
    )  # fmt: skip


def _drive_inputs(model: ModelArrays, control: wp.array, r: Round, h: float) -> list[Any]:
    m = model
    return [
        m.actuator_body, m.actuator_stiffness, m.actuator_damping, m.actuator_kind, control, r.going, r.label, r.time, h
    ]  # fmt: skip


def drive(dtype: Any, model: ModelArrays, control: wp.array, r: Round, *, h: float) -> None:
    """Actuators ``r.drive`` for what is left."""
    if model.actuator_body.shape[0] > 0:
        wp.launch(
            make(dtype).drive, dim=control.shape, inputs=_drive_inputs(model, control, r, h), outputs=list(r.drive),
            device=r.going.device,
        )  # fmt: skip


def drive_adjoint(
    dtype: Any, model: ModelArrays, control: wp.array, r: Round, own: RoundAdjoints, g: Any, *, h: float
) -> None:
    """Add to the adjoints of controls, gains and times what those of ``r.drive`` imply."""
    if model.actuator_body.shape[0] > 0:
        kernel = make(dtype).drive
        wp.launch(
            kernel, dim=control.shape, inputs=_drive_inputs(model, control, r, h), outputs=list(r.drive), adjoint=True,
            adj_inputs=by_name(
                kernel, actuator_stiffness=g.actuator_stiffness, actuator_damping=g.actuator_damping,
                control=g.control, time=own.time, control1=own.drive[0], stiffness1=own.drive[1],
                damping1=own.drive[2],
            ),
            device=r.going.device,
        )  # fmt: skip
