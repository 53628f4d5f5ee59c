"""The kernel of ``slip_adjoint.py`` with several worlds side by side in a register, for plain contacts."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for
from ..collision import features
from ..collision.features import Features
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native import slip_adjoint
from ..native.lanes import WORLDS_AS_LANES, native
from . import row_arrays, slip
from .plain_lanes import HEAD, INTS, SCALARS, serves
from .row_arrays import ContactRows
from .slip import Slips
from .slip_numbers import FORMULAS

__all__ = ["add_plain_contacts", "make", "serves"]

_INTS = INTS | {"staged": "staged_", "active": "active_"}
_SCALARS = SCALARS | {"gravity": "bodies_.gravity", "weights": "weights_"}
_SCALARS |= {
    name: f"{name}_"
    for name in (
        "body_v0", "body_va", "body_vb", "body_vc", "body_v1", "z", "bar_q", "bar_v0", "bar_va", "bar_vb", "bar_vc",
        "bar_mass", "bar_gravity", "bar_friction", "bar_stiffness", "bar_damping", "bar_centre", "bar_pull",
    )
}  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1, solve: int = int(slip.SECOND)) -> SimpleNamespace:
    """The kernel for one precision, number of lanes and further solve; a thread takes as many worlds."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Rows = arrays.Bodies, arrays.Shapes, arrays.Surfaces, row_arrays.make(dtype)
    FeatureTable = features.make(dtype)
    head = HEAD + "    const TYPE* mask = (TYPE*)bodies_.mask.data;\n"
    code = slip_adjoint.adjoint(FORMULAS, solve)

    @wp.func_native(native(dtype, lanes, head, code, ints=_INTS, scalars=_SCALARS))
    def contacts_lanes(
        first: int, bodies_: Bodies, shapes_: Shapes, surfaces_: Surfaces, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), body_va_: wp.array2d(dtype=spatial), body_vb_: wp.array2d(dtype=spatial),
        body_vc_: wp.array2d(dtype=spatial), body_v1_: wp.array2d(dtype=spatial), z_: wp.array2d(dtype=spatial),
        staged_: wp.array(dtype=int), weights_: wp.array2d(dtype=dtype), active_: wp.array2d(dtype=int),
        f_: FeatureTable, rows_: Rows, h: dtype, eps: dtype,
        bar_q_: wp.array2d(dtype=transform), bar_v0_: wp.array2d(dtype=spatial), bar_va_: wp.array2d(dtype=spatial),
        bar_vb_: wp.array2d(dtype=spatial), bar_vc_: wp.array2d(dtype=spatial), bar_mass_: wp.array2d(dtype=dtype),
        bar_gravity_: wp.array(dtype=vec3), bar_friction_: wp.array2d(dtype=dtype),
        bar_stiffness_: wp.array2d(dtype=dtype), bar_damping_: wp.array2d(dtype=dtype),
        bar_centre_: wp.array2d(dtype=vec3), bar_pull_: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Add the derivatives of the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def contact_lanes_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), body_va: wp.array2d(dtype=spatial),
        body_vb: wp.array2d(dtype=spatial), body_vc: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        z: wp.array2d(dtype=spatial),
        # contacts
        staged: wp.array(dtype=int), weights: wp.array2d(dtype=dtype), active: wp.array2d(dtype=int), f: FeatureTable,
        rows: Rows, h: dtype, eps: dtype,
        # added to
        bar_q: wp.array2d(dtype=transform), bar_v0: wp.array2d(dtype=spatial), bar_va: wp.array2d(dtype=spatial),
        bar_vb: wp.array2d(dtype=spatial), bar_vc: wp.array2d(dtype=spatial), bar_mass: wp.array2d(dtype=dtype),
        bar_gravity: wp.array(dtype=vec3), bar_friction: wp.array2d(dtype=dtype),
        bar_stiffness: wp.array2d(dtype=dtype), bar_damping: wp.array2d(dtype=dtype),
        bar_centre: wp.array2d(dtype=vec3), bar_pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        first = wp.tid() * wp.static(lanes)
        some = int(0)
        for world in range(first, wp.min(first + wp.static(lanes), f.count.shape[0])):
            if staged[world] != 0:
                some = 1
        if some != 0:
            contacts_lanes(
                first, bodies, shapes, surfaces, body_q, body_v0, body_va, body_vb, body_vc, body_v1, z, staged,
                weights, active, f, rows, h, eps, bar_q, bar_v0, bar_va, bar_vb, bar_vc, bar_mass, bar_gravity,
                bar_friction, bar_stiffness, bar_damping, bar_centre, bar_pull,
            )  # fmt: skip

    return SimpleNamespace(kernel=contact_lanes_kernel)


def add_plain_contacts(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, found: Features,
    plain: ContactRows, slips: Slips, own: Any, adjoints: Adjoints, *, solve: int, h: float, eps: float,
) -> None:  # fmt: skip
    """Add what plain contacts give to ``own`` and ``adjoints``; arguments as of ``slip_adjoint.contact_adjoint``."""
    m, f, s, g = model, found, slips, adjoints
    worlds = body_q.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes, solve).kernel,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, s.body_va, s.body_vb, s.body_vc, body_v1, g.z, s.staged,
            s.weight, own.active, f.struct, plain.struct, h, eps,
        ],
        outputs=[
            g.body_q, g.body_v0, own.body_va, own.body_vb, own.body_vc, g.body_mass, g.gravity, g.shape_friction,
            g.shape_stiffness, g.shape_damping, g.centre, g.pull,
        ],
        device=body_q.device,
    )  # fmt: skip
