"""The kernels of ``integrate.py`` with several worlds side by side in a register, and their adjoint."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..native import free_motion
from ..native.lanes import WORLDS_AS_LANES, native
from . import motion

__all__ = ["integrate", "integrate_adjoint", "lanes_for", "make", "serves", "solved_velocity"]

FEW_WORLDS = 1
"""Up to which worlds go one by one."""

MOST_AXES = 8
"""Free axes of a world up to which it goes this way."""

_HEAD = """
    const int worlds = body_q_.shape[0], bodies = body_q_.shape[1];
"""
_INTS = {"body_gyroscopic": "body_gyroscopic_"}


def _scalars(*names: str) -> dict[str, str]:
    return {name: f"{name}_" for name in names}


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernels for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    mat33, spatial, transform = p.mat33, p.spatial, p.transform
    formulas = free_motion.FreeMotion(
        gain=motion.GAIN, change=motion.CHANGE, wobble=max(motion.WOBBLE, motion.WOBBLE_ROUNDING * p.epsilon)
    )
    step = ("body_inertia", "body_q", "body_vm", "body_vs")

    @wp.func_native(
        native(
            dtype,
            lanes,
            _HEAD,
            free_motion.integrate(formulas),
            ints=_INTS,
            scalars=_scalars(*step, "body_q1", "body_v1"),
        )
    )
    def integrate_lanes(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_vm_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
        h: dtype, body_q1_: wp.array2d(dtype=transform), body_v1_: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Move the bodies of the worlds from ``first`` on."""
        ...

    @wp.func_native(
        native(
            dtype, lanes, _HEAD, free_motion.integrate_adjoint(formulas), ints=_INTS,
            scalars=_scalars(*step, "bar_q1", "bar_v1", "bar_q", "bar_vm", "bar_vs", "bar_inertia"),
        )
    )  # fmt: skip
    def adjoint_lanes(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_vm_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
        h: dtype, bar_q1_: wp.array2d(dtype=transform), bar_v1_: wp.array2d(dtype=spatial),
        bar_q_: wp.array2d(dtype=transform), bar_vm_: wp.array2d(dtype=spatial), bar_vs_: wp.array2d(dtype=spatial),
        bar_inertia_: wp.array2d(dtype=mat33),
    ):  # fmt: skip
        """Add the derivatives of the worlds from ``first`` on."""
        ...

    @wp.func_native(
        native(
            dtype, lanes, _HEAD, free_motion.solved(formulas), ints=_INTS,
            scalars=_scalars("body_inertia", "body_q", "body_q1", "body_v1", "body_vs"),
        )
    )  # fmt: skip
    def solved_lanes(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_q1_: wp.array2d(dtype=transform),
        body_v1_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Find the velocities in the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def integrate_kernel(
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_vm: wp.array2d(dtype=spatial), body_vs: wp.array2d(dtype=spatial),
        h: dtype,
        # state out
        body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        first = wp.tid() * wp.static(lanes)
        integrate_lanes(first, body_gyroscopic, body_inertia, body_q, body_vm, body_vs, h, body_q1, body_v1)

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def adjoint_kernel(
        # model
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        # state in
        body_q: wp.array2d(dtype=transform), body_vm: wp.array2d(dtype=spatial), body_vs: wp.array2d(dtype=spatial),
        h: dtype, bar_q1: wp.array2d(dtype=transform), bar_v1: wp.array2d(dtype=spatial),
        # added to
        bar_q: wp.array2d(dtype=transform), bar_vm: wp.array2d(dtype=spatial), bar_vs: wp.array2d(dtype=spatial),
        bar_inertia: wp.array2d(dtype=mat33),
    ):  # fmt: skip
        adjoint_lanes(
            wp.tid() * wp.static(lanes), body_gyroscopic, body_inertia, body_q, body_vm, body_vs, h, bar_q1, bar_v1,
            bar_q, bar_vm, bar_vs, bar_inertia,
        )  # fmt: skip

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def solved_kernel(
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        body_q: wp.array2d(dtype=transform), body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
        # out
        body_vs: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        solved_lanes(wp.tid() * wp.static(lanes), body_gyroscopic, body_inertia, body_q, body_q1, body_v1, body_vs)

    return SimpleNamespace(
        kernel=integrate_kernel, adjoint=adjoint_kernel, solved=solved_kernel, move_worlds=integrate_lanes
    )  # fmt: skip


def serves(model: ModelArrays) -> bool:
    """Whether bodies of small worlds may move this way: on a CPU."""
    return model.dofs <= MOST_AXES and not model.body_mass.device.is_cuda


def lanes_for(worlds: int) -> int:
    """Worlds a thread takes."""
    return 1 if worlds <= FEW_WORLDS else LANES


def _launch(kernel: str, dtype: Any, worlds: int, inputs: list[Any], outputs: list[Any], device: Any) -> None:
    lanes = lanes_for(worlds)
    wp.launch(
        getattr(make(dtype, lanes), kernel), dim=(worlds + lanes - 1) // lanes, inputs=inputs, outputs=outputs,
        device=device,
    )  # fmt: skip


def integrate(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, body_q1: wp.array,
    body_v1: wp.array, *, h: float,
) -> None:  # fmt: skip
    """As ``integrate.integrate``."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h]
    _launch("kernel", dtype, body_q.shape[0], inputs, [body_q1, body_v1], body_q.device)


def integrate_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, adj_q1: wp.array,
    adj_v1: wp.array, adj_q: wp.array, adj_vm: wp.array, adj_vs: wp.array, adj_inertia: wp.array, *, h: float,
) -> None:  # fmt: skip
    """As ``integrate.integrate_adjoint``, without the states after the step."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h, adj_q1, adj_v1]
    outputs = [adj_q, adj_vm, adj_vs, adj_inertia]
    _launch("adjoint", dtype, body_q.shape[0], inputs, outputs, body_q.device)


def solved_velocity(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_q1: wp.array, body_v1: wp.array, body_vs: wp.array
) -> None:
    """As ``integrate.solved_velocity``."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_q1, body_v1]
    _launch("solved", dtype, body_q.shape[0], inputs, [body_vs], body_q.device)
