"""The kernels of contact rows and of the contacts' adjoint with the contacts of one world side by side in a register.

For worlds on a CPU that are too large for worlds side by side (``plain_lanes.py``), and models all of whose pairs list
contacts that ``native/world_contacts.py`` takes.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import edge_blend, features
from ..collision.features import (
    CLIP,
    CROSS,
    DROP,
    FACE_TILT,
    FLAT,
    LINE,
    LINE_ARM,
    POINT,
    SHARE_FIXED,
    SHARE_POLYGON,
    Features,
)  # fmt: skip
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.simd import LANES
from ..native import world_adjoint, world_rows
from ..native.hull_contact import Blend
from ..native.lanes import WORLDS_AS_LANES, native
from ..native.polygon import PolygonText
from ..native.world_contacts import SCALARS_OF_SLOTS
from . import face_friction, face_on_plane, hard, plain_lanes, row_arrays
from .row_arrays import ContactRows

__all__ = ["add_contacts", "make", "prepare", "serves"]

_KINDS = {
    "POINT": POINT, "LINE": LINE, "FLAT": FLAT, "CROSS": CROSS, "CLIP": CLIP, "DROP": DROP, "SHARE_FIXED": SHARE_FIXED,
    "SHARE_POLYGON": SHARE_POLYGON,
}  # fmt: skip
_HEAD = f"""
    constexpr int {", ".join(f"{name} = {int(value)}" for name, value in _KINDS.items())};
    constexpr double FREQUENCY = {hard.FREQUENCY!r};
    const int first = world, worlds = world + 1, bodies = bodies_.mass.shape[1];
"""
_INTS = {"shape_body": "shapes_.body"} | {
    name: f"f_.{name}"
    for name in ("count", "shape_a", "shape_b", "kind", "share", "patch_start", "patch_count", "blend")
}
_SCALARS = {
    "body_mass": "bodies_.mass", "shape_friction": "surfaces_.friction", "shape_stiffness": "surfaces_.stiffness",
    "shape_damping": "surfaces_.damping", "centre": "rows_.centre", "pull": "rows_.pull", "body_q": "body_q_",
    "body_v0": "body_v0_",
} | {name: f"f_.{name}" for name in SCALARS_OF_SLOTS}  # fmt: skip
_ROWS_OUT = {
    "normal_out": "rows_.normal", "arm_a_out": "rows_.arm_a", "arm_b_out": "rows_.arm_b", "twist_out": "rows_.twist",
    "coefficients_out": "rows_.coefficients",
}  # fmt: skip
_BARS = {
    name: f"{name}_"
    for name in (
        "body_v1", "z", "bar_q", "bar_v0", "bar_mass", "bar_friction", "bar_stiffness", "bar_damping", "bar_centre",
        "bar_pull",
    )
}  # fmt: skip


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision; a thread takes a world."""
    p, arrays = precision(dtype), model_arrays.make(dtype)
    vec3, spatial, transform = p.vec3, p.spatial, p.transform
    Bodies, Shapes, Surfaces, Rows = arrays.Bodies, arrays.Shapes, arrays.Surfaces, row_arrays.make(dtype)
    FeatureTable, flat = features.make(dtype), face_on_plane.make(dtype)
    polygon = PolygonText(
        face_tilt=FACE_TILT, line_arm=LINE_ARM, line=face_friction.LINE,
        bulge=(face_friction.SQUARE - face_friction.LINE) * (1.0 + face_friction.BEND), bend=face_friction.BEND,
        tiny=16.0 * p.epsilon,
    )  # fmt: skip
    blend = Blend(faces=edge_blend.FACES, flat=edge_blend.FLAT, oblique=edge_blend.OBLIQUE)
    row_ints = _INTS | {"row_a_out": "rows_.body_a", "row_b_out": "rows_.body_b"}

    @wp.func_native(
        native(dtype, LANES, _HEAD, world_rows.rows(polygon, blend), ints=row_ints, scalars=_SCALARS | _ROWS_OUT)
    )
    def rows_of_world(
        world: int, bodies_: Bodies, shapes_: Shapes, surfaces_: Surfaces, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), f_: FeatureTable, even_faces: int, h: dtype, eps: dtype, rows_: Rows,
    ):  # fmt: skip
        """Prepare the rows of a world, and centre and pull of its polygons."""
        ...

    @wp.func_native(
        native(
            dtype, LANES, _HEAD, world_adjoint.adjoint(polygon, blend), ints=_INTS | {"active": "active_"},
            scalars=_SCALARS | _BARS,
        )
    )  # fmt: skip
    def adjoint_of_world(
        world: int, bodies_: Bodies, shapes_: Shapes, surfaces_: Surfaces, body_q_: wp.array2d(dtype=transform),
        body_v0_: wp.array2d(dtype=spatial), body_v1_: wp.array2d(dtype=spatial), z_: wp.array2d(dtype=spatial),
        active_: wp.array2d(dtype=int), f_: FeatureTable, rows_: Rows, h: dtype, eps: dtype,
        bar_q_: wp.array2d(dtype=transform), bar_v0_: wp.array2d(dtype=spatial), bar_mass_: wp.array2d(dtype=dtype),
        bar_friction_: wp.array2d(dtype=dtype), bar_stiffness_: wp.array2d(dtype=dtype),
        bar_damping_: wp.array2d(dtype=dtype), bar_centre_: wp.array2d(dtype=vec3), bar_pull_: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Add the derivatives of a world."""
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
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        for c in range(f.count[world]):
            if f.patch_count[world, c] > 0 and f.patch_start[world, c] == c and f.share[world, c] == SHARE_FIXED:
                middle = vec3()
                drawn = dtype(0.0)
                if even != 0:
                    xb = body_q[world, shapes.body[f.shape_b[world, c]]]
                    middle, drawn = flat.find_on_plane(world, c, f.patch_count[world, c], xb, f)
                rows.centre[world, c] = middle
                rows.pull[world, c] = drawn
        rows_of_world(world, bodies, shapes, surfaces, body_q, body_v0, f, even, h, eps, rows)

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def adjoint_kernel(
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
        adjoint_of_world(
            wp.tid(), bodies, shapes, surfaces, body_q, body_v0, body_v1, z, active, f, rows, h, eps, bar_q, bar_v0,
            bar_mass, bar_friction, bar_stiffness, bar_damping, bar_centre, bar_pull,
        )  # fmt: skip

    return SimpleNamespace(rows=rows_kernel, adjoint=adjoint_kernel)


def serves(model: ModelArrays, contact_rows: ContactRows) -> bool:
    """Whether all contacts of a model may go this way: hard, without resistance, on a CPU, in larger worlds."""
    hard_alone = not contact_rows.resists and not contact_rows.softens
    on_cpu = not model.body_mass.device.is_cuda
    return hard_alone and on_cpu and model.polyhedral and not plain_lanes.serves(model, contact_rows)


def prepare(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, found: Features, rows: ContactRows,
    *, h: float, eps: float, even: bool, repeat: wp.array | None,
) -> None:  # fmt: skip
    """As ``contact_rows.prepare``, of whose arguments ``angular_eps`` is not needed."""
    m = model
    wp.launch(
        make(dtype).rows,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, found.struct, int(even), h, eps, int(repeat is None),
            repeat,
        ],
        outputs=[rows.struct],
        device=body_q.device,
    )  # fmt: skip


def add_contacts(
    dtype: Any, model: ModelArrays, body_q: wp.array, body_v0: wp.array, body_v1: wp.array, found: Features,
    contact_rows: ContactRows, adjoints: Adjoints, *, h: float, eps: float,
) -> None:  # fmt: skip
    """As ``adjoint.contact_adjoint``, with what polygons' friction implies.

    That of faces on planes is left to ``face_friction.find_adjoint``.
    """
    m, f, r, g = model, found, contact_rows, adjoints
    wp.launch(
        make(dtype).adjoint,
        dim=body_q.shape[0],
        inputs=[
            m.bodies, m.shapes, m.surfaces, body_q, body_v0, body_v1, g.z, g.active, f.struct, r.struct, h, eps,
        ],
        outputs=[
            g.body_q, g.body_v0, g.body_mass, g.shape_friction, g.shape_stiffness, g.shape_damping, g.centre, g.pull,
        ],
        device=body_q.device,
    )  # fmt: skip
