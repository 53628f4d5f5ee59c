"""The linear solve of ``adjoint.py`` with several worlds side by side; hard contact without resistance."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..contact import row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native.dense_adjoint import CODE
from ..native.lanes import WORLDS_AS_LANES, native
from .dense_lanes import lanes_for
from .scratch import Scratch
from .small_world_inputs import HEAD, INTS, SCALARS

__all__ = ["make", "solve_adjoint"]


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    spatial, transform = p.spatial, p.transform
    Bodies, Actuators = model_arrays.make(dtype).Bodies, model_arrays.make(dtype).Actuators
    Rows = row_arrays.make(dtype)
    ints, scalars = INTS | {"active": "active_"}, SCALARS | {"bar_v1": "bar_v1_", "z": "z_"}

    @wp.func_native(native(dtype, lanes, HEAD, *CODE, ints=ints, scalars=scalars))
    def adjoint_lanes(
        first: int, bodies_: Bodies, actuators_: Actuators, body_q_: wp.array2d(dtype=transform),
        body_v1_: wp.array2d(dtype=spatial), count_: wp.array(dtype=int), rows_: Rows, h: dtype, eps: dtype,
        bar_v1_: wp.array2d(dtype=spatial), z_: wp.array2d(dtype=spatial), active_: wp.array2d(dtype=int),
    ):  # fmt: skip
        """Solve the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def linear_kernel(
        # model
        bodies: Bodies, actuators: Actuators,
        # state in
        body_q: wp.array2d(dtype=transform), body_v1: wp.array2d(dtype=spatial), count: wp.array(dtype=int),
        rows: Rows, h: dtype, eps: dtype, bar_v1: wp.array2d(dtype=spatial),
        # out
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int),
    ):  # fmt: skip
        adjoint_lanes(
            wp.tid() * wp.static(lanes), bodies, actuators, body_q, body_v1, count, rows, h, eps, bar_v1, z, active
        )

    return SimpleNamespace(kernel=linear_kernel)


def solve_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, count: wp.array,
    contact_rows: ContactRows, scratch: Scratch, adj_v1: wp.array, adjoints: Adjoints, *, h: float,
    eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.solve_adjoint``, with the same arguments, of which ``body_v0`` and ``scratch`` are not needed."""
    m, r = model, contact_rows
    lanes = lanes_for(r)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(body_q.shape[0] + lanes - 1) // lanes,
        inputs=[m.bodies, m.actuators, body_q, body_v1, count, r.struct, h, eps, adj_v1],
        outputs=[adjoints.z, adjoints.active],
        device=body_q.device,
    )  # fmt: skip
