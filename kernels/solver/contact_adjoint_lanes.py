"""The adjoint of the contacts' power for worlds side by side, by hand; see ``native/contact_adjoint.py``.

It takes plain contacts, the rest goes to the kernel of ``adjoint.py``, contact by contact: so a world's derivatives do
not depend on those beside it.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import features
from ..collision.features import FLAT, LINE, POINT, SHARE_FIXED, Features
from ..contact import hard, row_arrays
from ..contact.row_arrays import ContactRows
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..native.contact_adjoint import CODE
from ..native.lanes import WORLDS_AS_LANES, native
from .dense_algebra import SMALL

__all__ = ["add_plain_contacts", "make", "plain", "serves"]

MOST_BODIES = 64
"""Up to which a group's bodies find room on the stack."""

_INTS = {"shape_body": "shapes_.body", "active": "active_"} | {
    name: f"f_.{name}"
    for name in ("count", "shape_a", "shape_b", "kind", "share", "patch_start", "patch_count", "blend")
}
_SCALARS = {
    "body_mass": "bodies_.mass", "shape_friction": "surfaces_.friction", "shape_stiffness": "surfaces_.stiffness",
    "shape_damping": "surfaces_.damping", "centre": "rows_.centre", "pull": "rows_.pull",
}  # fmt: skip
_SCALARS |= {name: f"f_.{name}" for name in ("a0", "a1", "b0", "radius_a", "radius_b", "sign", "weight")}
_SCALARS |= {
    name: f"{name}_"
    for name in (
        "body_q", "body_v0", "body_v1", "z", "bar_q", "bar_v0", "bar_mass", "bar_friction", "bar_stiffness",
        "bar_damping", "bar_centre", "bar_pull",
    )
}  # fmt: skip


@wp.func
def plain(kind: int, share: int, blend: int):
    """Whether a contact is one that ``add_plain_contacts`` takes."""
    return share == SHARE_FIXED and blend < 0 and (kind == FLAT or kind == POINT or kind == LINE)


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Rows = arrays.Bodies, arrays.Shapes, arrays.Surfaces, row_arrays.make(dtype)
    FeatureTable = features.make(dtype)
    head = f"""
    constexpr int FLAT = {int(FLAT)}, POINT = {int(POINT)}, LINE = {int(LINE)}, SHARE_FIXED = {int(SHARE_FIXED)};
    constexpr double FREQUENCY = {hard.FREQUENCY!r};
    const int worlds = bodies_.mass.shape[0], bodies = bodies_.mass.shape[1];
"""

    @wp.func_native(native(dtype, lanes, head, CODE, ints=_INTS, scalars=_SCALARS))
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


def serves(model: ModelArrays, contact_rows: ContactRows) -> bool:
    """Whether small worlds of hard contacts without resistance may go through ``add_plain_contacts``."""
    hard_alone = not contact_rows.resists and not contact_rows.softens
    small = model.dofs <= SMALL and model.body_mass.shape[1] <= MOST_BODIES
    return hard_alone and small and not model.body_mass.device.is_cuda


def add_plain_contacts(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, found: Features,
    contact_rows: ContactRows, adjoints: Adjoints, *, h: float, eps: float,
) -> None:  # fmt: skip
    """Add what plain contacts give to ``adjoints``; arguments as of ``adjoint.contact_adjoint``."""
    m, f, r, g = model, found, contact_rows, adjoints
    worlds = f.kind.shape[0]
    lanes = 1 if worlds == 1 else LANES
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
