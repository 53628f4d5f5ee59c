"""The kernels of ``integrate.py`` with eight bodies side by side in a register: larger worlds on a CPU."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..native import free_motion, many_bodies
from ..native.lanes import WORLDS_AS_LANES, native
from . import motion

__all__ = ["integrate", "integrate_adjoint", "make", "serves", "solved_velocity"]

_HEAD = """
    const int worlds = body_q_.shape[0] * body_q_.shape[1], bodies = body_q_.shape[1];
"""


def _native(dtype: Any, code: str, *names: str) -> str:
    scalars = {name: f"{name}_" for name in names}
    return native(dtype, LANES, _HEAD, code, ints={"body_gyroscopic": "body_gyroscopic_"}, scalars=scalars)


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision; a thread takes eight bodies."""
    p = precision(dtype)
    mat33, spatial, transform = p.mat33, p.spatial, p.transform
    formulas = free_motion.FreeMotion(
        gain=motion.GAIN, change=motion.CHANGE, wobble=max(motion.WOBBLE, motion.WOBBLE_ROUNDING * p.epsilon)
    )
    step = ("body_inertia", "body_q", "body_vm", "body_vs")

    @wp.func_native(_native(dtype, many_bodies.integrate(formulas), *step, "body_q1", "body_v1"))
    def integrate_many(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_vm_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
        h: dtype, body_q1_: wp.array2d(dtype=transform), body_v1_: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Move the bodies from number ``first`` on."""
        ...

    @wp.func_native(
        _native(
            dtype, many_bodies.integrate_adjoint(formulas), *step, "bar_q1", "bar_v1", "bar_q", "bar_vm", "bar_vs",
            "bar_inertia",
        )
    )  # fmt: skip
    def adjoint_many(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_vm_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
        h: dtype, bar_q1_: wp.array2d(dtype=transform), bar_v1_: wp.array2d(dtype=spatial),
        bar_q_: wp.array2d(dtype=transform), bar_vm_: wp.array2d(dtype=spatial), bar_vs_: wp.array2d(dtype=spatial),
        bar_inertia_: wp.array2d(dtype=mat33),
    ):  # fmt: skip
        """Add the derivatives of the bodies from number ``first`` on."""
        ...

    @wp.func_native(
        _native(dtype, many_bodies.solved(formulas), "body_inertia", "body_q", "body_q1", "body_v1", "body_vs")
    )
    def solved_many(
        first: int, body_gyroscopic_: wp.array(dtype=int), body_inertia_: wp.array2d(dtype=mat33),
        body_q_: wp.array2d(dtype=transform), body_q1_: wp.array2d(dtype=transform),
        body_v1_: wp.array2d(dtype=spatial), body_vs_: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        """Find the velocities of the bodies from number ``first`` on."""
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
        first = wp.tid() * wp.static(LANES)
        integrate_many(first, body_gyroscopic, body_inertia, body_q, body_vm, body_vs, h, body_q1, body_v1)

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
        adjoint_many(
            wp.tid() * wp.static(LANES), body_gyroscopic, body_inertia, body_q, body_vm, body_vs, h, bar_q1, bar_v1,
            bar_q, bar_vm, bar_vs, bar_inertia,
        )  # fmt: skip

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def solved_kernel(
        body_gyroscopic: wp.array(dtype=int), body_inertia: wp.array2d(dtype=mat33),
        body_q: wp.array2d(dtype=transform), body_q1: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial),
        # out
        body_vs: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        solved_many(wp.tid() * wp.static(LANES), body_gyroscopic, body_inertia, body_q, body_q1, body_v1, body_vs)

    return SimpleNamespace(kernel=integrate_kernel, adjoint=adjoint_kernel, solved=solved_kernel)


def serves(model: ModelArrays, *arrays: wp.array) -> bool:
    """Whether bodies may move this way: on a CPU, where those of a world stand one behind the other, as the worlds."""
    return not model.body_mass.device.is_cuda and all(x.is_contiguous for x in arrays)


def _launch(kernel: str, dtype: Any, inputs: list[Any], outputs: list[Any]) -> None:
    worlds, bodies = outputs[0].shape
    wp.launch(
        getattr(make(dtype), kernel), dim=(worlds * bodies + LANES - 1) // LANES, inputs=inputs, outputs=outputs,
        device=outputs[0].device,
    )  # fmt: skip


def integrate(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, body_q1: wp.array,
    body_v1: wp.array, *, h: float,
) -> None:  # fmt: skip
    """As ``integrate.integrate``."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h]
    _launch("kernel", dtype, inputs, [body_q1, body_v1])


def integrate_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_vm: wp.array, body_vs: wp.array, adj_q1: wp.array,
    adj_v1: wp.array, adj_q: wp.array, adj_vm: wp.array, adj_vs: wp.array, adj_inertia: wp.array, *, h: float,
) -> None:  # fmt: skip
    """As ``integrate.integrate_adjoint``, without the states after the step."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_vm, body_vs, h, adj_q1, adj_v1]
    _launch("adjoint", dtype, inputs, [adj_q, adj_vm, adj_vs, adj_inertia])


def solved_velocity(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_q1: wp.array, body_v1: wp.array, body_vs: wp.array
) -> None:
    """As ``integrate.solved_velocity``."""
    inputs = [model.body_gyroscopic, model.body_inertia, body_q, body_q1, body_v1]
    _launch("solved", dtype, inputs, [body_vs])
