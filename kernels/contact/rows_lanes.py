"""The kernels of ``contact_rows.py`` and ``face_on_plane.py`` with several worlds side by side in a register.

For models all of whose contacts are plain, see ``plain_lanes.py``; their patches are then fixed points on a plane that
stands still.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for
from ..collision import features
from ..collision.features import FACE_TILT, LINE_ARM, Features
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..native import rows as text
from ..native.face_patch import PatchFormulas
from ..native.lanes import WORLDS_AS_LANES, native
from . import plain_lanes, row_arrays
from .plain_lanes import HEAD, INTS, SCALARS
from .row_arrays import ContactRows

__all__ = ["make", "patch_adjoint", "prepare", "serves"]

_OUT = {
    "normal_out": "rows_.normal", "arm_a_out": "rows_.arm_a", "arm_b_out": "rows_.arm_b", "twist_out": "rows_.twist",
    "coefficients_out": "rows_.coefficients",
}  # fmt: skip


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernels for one precision and number of lanes; a thread takes as many worlds."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Rows = arrays.Bodies, arrays.Shapes, arrays.Surfaces, row_arrays.make(dtype)
    FeatureTable = features.make(dtype)
    patches = PatchFormulas(face_tilt=FACE_TILT, line_arm=LINE_ARM, tiny=16.0 * p.epsilon)
    room = "    const int capacity = f_.kind.shape[1];\n"
    ints = INTS | {"repeat": "repeat_", "row_a_out": "rows_.body_a", "row_b_out": "rows_.body_b"}
    scalars = SCALARS | _OUT | {"patch_arm": "f_.patch_arm", "body_v0": "body_v0_"}

    @wp.func_native(native(dtype, lanes, HEAD + room, text.rows(patches), ints=ints, scalars=scalars))
    def rows_lanes(
        first: int, bodies_: Bodies, shapes_: Shapes, surfaces_: Surfaces, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), f_: FeatureTable, even: int, h: dtype, eps: dtype, first_pass: int,
        repeat_: wp.array(dtype=int), rows_: Rows,
    ):  # fmt: skip
        """Prepare the rows of the worlds from ``first`` on."""
        ...

    patch_head = """
    const int worlds = body_q_.shape[0], capacity = f_.kind.shape[1];
"""
    patch_ints = {"shape_body": "shapes_.body"} | {
        name: f"f_.{name}" for name in ("count", "shape_b", "patch_start", "patch_count")
    }
    patch_scalars = {
        name: f"f_.{name}" for name in ("patch_arm", "a0", "a1", "b0", "radius_a", "radius_b", "weight")
    } | {name: f"{name}_" for name in ("body_q", "bar_centre", "bar_pull", "bar_q")}

    @wp.func_native(
        native(dtype, lanes, patch_head, text.patch_adjoint(patches), ints=patch_ints, scalars=patch_scalars)
    )
    def patch_lanes(
        first: int, shapes_: Shapes, body_q_: wp.array2d(dtype=transform), f_: FeatureTable,
        bar_centre_: wp.array2d(dtype=vec3), bar_pull_: wp.array2d(dtype=dtype), bar_q_: wp.array2d(dtype=transform),
    ):  # fmt: skip
        """Hand on the adjoints in the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def rows_kernel(
        # model
        bodies: Bodies, shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), body_v0: wp.array2d(dtype=spatial), f: FeatureTable, even: int, h: dtype,
        eps: dtype, first_pass: int, repeat: wp.array(dtype=int),
        # out
        rows: Rows,
    ):  # fmt: skip
        first = wp.tid() * wp.static(lanes)
        if first_pass == 0:
            some = int(0)
            for world in range(first, wp.min(first + wp.static(lanes), f.count.shape[0])):
                if repeat[world] != 0:
                    some = 1
            if some == 0:
                return
        rows_lanes(first, bodies, shapes, surfaces, body_q, body_v0, f, even, h, eps, first_pass, repeat, rows)

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def patch_kernel(
        shapes: Shapes, body_q: wp.array2d(dtype=transform), f: FeatureTable,
        # in, and cleared
        bar_centre: wp.array2d(dtype=vec3), bar_pull: wp.array2d(dtype=dtype),
        # added to
        bar_q: wp.array2d(dtype=transform),
    ):  # fmt: skip
        patch_lanes(wp.tid() * wp.static(lanes), shapes, body_q, f, bar_centre, bar_pull, bar_q)

    return SimpleNamespace(kernel=rows_kernel, patch=patch_kernel, rows_of_worlds=rows_lanes)


def serves(model: ModelArrays, contact_rows: ContactRows) -> bool:
    """Whether small worlds of plain contacts alone may have their rows prepared this way."""
    return model.plain_contacts and plain_lanes.serves(model, contact_rows)


def prepare(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, found: Features, rows: ContactRows,
    *, h: float, eps: float, even: bool, repeat: wp.array | None,
) -> None:  # fmt: skip
    """As ``contact_rows.prepare``, of whose arguments ``angular_eps`` is not needed."""
    m, worlds = model, body_q.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, found.struct, int(even), h, eps, int(repeat is None),
            repeat,
        ],
        outputs=[rows.struct],
        device=body_q.device,
    )  # fmt: skip


def patch_adjoint(dtype: Any, model: ModelArrays, body_q: wp.array, found: Features, adjoints: Adjoints) -> None:
    """As ``face_friction.find_adjoint``."""
    g, worlds = adjoints, body_q.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).patch,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[model.shapes, body_q, found.struct],
        outputs=[g.centre, g.pull, g.body_q],
        device=body_q.device,
    )
