"""The adjoint of the plain contacts' power for worlds side by side; the rest goes to the kernel of ``adjoint.py``."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for
from ..collision import features
from ..collision.features import Features
from ..contact import row_arrays
from ..contact.plain_lanes import HEAD, INTS, SCALARS, plain, serves
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native.contact_adjoint import CODE
from ..native.lanes import WORLDS_AS_LANES, native

__all__ = ["add_plain_contacts", "make", "plain", "serves"]

_INTS = INTS | {"active": "active_"}
_SCALARS = SCALARS | {
    name: f"{name}_"
    for name in (
        "body_v0", "body_v1", "z", "bar_q", "bar_v0", "bar_mass", "bar_friction", "bar_stiffness", "bar_damping",
        "bar_centre", "bar_pull",
    )
}  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Rows = arrays.Bodies, arrays.Shapes, arrays.Surfaces, row_arrays.make(dtype)
    FeatureTable = features.make(dtype)

    @wp.func_native(native(dtype, lanes, HEAD, CODE, ints=_INTS, scalars=_SCALARS))
    def contacts_lanes(
        first: int, bodies_: Bodies, shapes_: Shapes, surfaces_: Surfaces, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), body_v1_: wp.array2d(dtype=spatial), z_: wp.array2d(dtype=spatial),
        active_: wp.array2d(dtype=int), f_: FeatureTable, rows_: Rows, h: dtype, eps: dtype,
        bar_q_: wp.array2d(dtype=transform), bar_v0_: wp.array2d(dtype=spatial), bar_mass_: wp.array2d(dtype=dtype),
        bar_friction_: wp.array2d(dtype=dtype), bar_stiffness_: wp.array2d(dtype=dtype),
        bar_damping_: wp.array2d(dtype=dtype), bar_centre_: wp.array2d(dtype=vec3), bar_pull_: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Add the derivatives of the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def contact_lanes_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial), active: wp.array2d(dtype=int), f: FeatureTable, rows: Rows, h: dtype, eps: dtype,
        # added to
        bar_q: wp.array2d(dtype=transform), bar_v0: wp.array2d(dtype=spatial), bar_mass: wp.array2d(dtype=dtype),
        bar_friction: wp.array2d(dtype=dtype), bar_stiffness: wp.array2d(dtype=dtype),
        bar_damping: wp.array2d(dtype=dtype), bar_centre: wp.array2d(dtype=vec3), bar_pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        contacts_lanes(
            wp.tid() * wp.static(lanes), bodies, shapes, surfaces, body_q, body_v0, body_v1, z, active, f, rows, h, eps,
            bar_q, bar_v0, bar_mass, bar_friction, bar_stiffness, bar_damping, bar_centre, bar_pull,
        )  # fmt: skip

    return SimpleNamespace(kernel=contact_lanes_kernel)


def add_plain_contacts(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, found: Features,
    contact_rows: ContactRows, adjoints: Adjoints, *, h: float, eps: float,
) -> None:  # fmt: skip
    """Add what plain contacts give to ``adjoints``; arguments as of ``adjoint.contact_adjoint``."""
    m, f, r, g = model, found, contact_rows, adjoints
    worlds = f.kind.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, body_v1, g.z, g.active, f.struct, r.struct, h, eps,
        ],
        outputs=[
            g.body_q, g.body_v0, g.body_mass, g.shape_friction, g.shape_stiffness, g.shape_damping, g.centre, g.pull,
        ],
        device=body_q.device,
    )  # fmt: skip
