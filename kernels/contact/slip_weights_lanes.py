"""The weights of ``slip.py`` with several worlds side by side in a register; hard contact without resistance."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for
from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native import slip_weights
from ..native.lanes import WORLDS_AS_LANES, native
from . import row_arrays
from .plain_lanes import serves
from .row_arrays import ContactRows
from .slip_numbers import FORMULAS

__all__ = ["make", "serves", "weigh"]

_HEAD = """
    const int worlds = bodies_.mass.shape[0], bodies = bodies_.mass.shape[1];
    const TYPE* mask = (TYPE*)bodies_.mask.data;
"""
_INTS = {"count": "count_", "row_a": "rows_.body_a", "row_b": "rows_.body_b", "staged": "staged_"}
_SCALARS = {
    "normal_in": "rows_.normal", "arm_a_in": "rows_.arm_a", "arm_b_in": "rows_.arm_b", "twist_in": "rows_.twist",
    "coefficients_in": "rows_.coefficients", "gravity": "bodies_.gravity", "weights": "weights_",
    "body_v0": "body_v0_", "body_va": "body_va_",
}  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernels for one precision and number of lanes; a thread takes as many worlds."""
    spatial = precision(dtype).spatial
    Bodies, Rows = model_arrays.make(dtype).Bodies, row_arrays.make(dtype)
    weigh_ints = _INTS | {"repeat": "repeat_", "taken": "taken_", "anywhere": "anywhere_"}

    @wp.func_native(native(dtype, lanes, _HEAD, slip_weights.weigh(FORMULAS), ints=weigh_ints, scalars=_SCALARS))
    def weigh_lanes(
        first: int, bodies_: Bodies, body_v0_: wp.array2d(dtype=spatial), body_va_: wp.array2d(dtype=spatial),
        count_: wp.array(dtype=int), rows_: Rows, h: dtype, eps: dtype, first_pass: int, repeat_: wp.array(dtype=int),
        weights_: wp.array2d(dtype=dtype), staged_: wp.array(dtype=int), anywhere_: wp.array(dtype=int),
        taken_: wp.array(dtype=int),
    ):  # fmt: skip
        """Find the weights in the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def weigh_kernel(
        bodies: Bodies, body_v0: wp.array2d(dtype=spatial), body_va: wp.array2d(dtype=spatial),
        count: wp.array(dtype=int), rows: Rows, h: dtype, eps: dtype, first_pass: int, repeat: wp.array(dtype=int),
        # out
        weights: wp.array2d(dtype=dtype), staged: wp.array(dtype=int), anywhere: wp.array(dtype=int),
        taken: wp.array(dtype=int),
    ):  # fmt: skip
        first = wp.tid() * wp.static(lanes)
        if first_pass == 0:
            some = int(0)
            for world in range(first, wp.min(first + wp.static(lanes), count.shape[0])):
                if repeat[world] != 0:
                    some = 1
            if some == 0:
                return
        weigh_lanes(
            first, bodies, body_v0, body_va, count, rows, h, eps, first_pass, repeat, weights, staged, anywhere, taken
        )

    return SimpleNamespace(weigh=weigh_kernel, weigh_worlds=weigh_lanes)


def weigh(
    dtype: Any, model: ModelArrays, body_v0: wp.array, body_va: wp.array, count: wp.array,
    plain: ContactRows, slips: Any, taken: wp.array, *, h: float, eps: float, repeat: wp.array | None,
) -> None:  # fmt: skip
    """As ``slip.weigh``."""
    s, worlds = slips, body_v0.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).weigh,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[model.bodies, body_v0, body_va, count, plain.struct, h, eps, int(repeat is None), repeat],
        outputs=[s.weight, s.staged, s.any, taken],
        device=body_v0.device,
    )
