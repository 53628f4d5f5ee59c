"""The kernel of ``driver.py`` with several worlds side by side in a register: spheres, boxes and planes.

Only a step's first detection, of scenes without a broad phase; worlds that are detected again go one by one.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..bodies.integrate_lanes import lanes_for
from ..core import model_arrays
from ..core.precision import precision
from ..core.shape_types import TYPE_PLANE, TYPE_SPHERE, ShapeType
from ..native.detect import CODE
from ..native.lanes import WORLDS_AS_LANES, native
from . import broad_phase, features, pair_table
from .broad_phase import NearArrays
from .features import FACE_TILT, FLAT, LINE, POINT, SHARE_FIXED, Features

__all__ = ["detect", "make", "serves"]

SERVED = {
    (ShapeType.PLANE, ShapeType.SPHERE), (ShapeType.PLANE, ShapeType.BOX), (ShapeType.SPHERE, ShapeType.SPHERE),
    (ShapeType.SPHERE, ShapeType.BOX),
}  # fmt: skip
"""Pairs of shapes that it knows."""

_HEAD = f"""
    constexpr int PLANE = {int(TYPE_PLANE)}, SPHERE = {int(TYPE_SPHERE)};
    constexpr int FLAT = {int(FLAT)}, POINT = {int(POINT)}, LINE = {int(LINE)}, SHARE_FIXED = {int(SHARE_FIXED)};
    constexpr double FACE_TILT = {FACE_TILT!r};
    constexpr int BROKEN = {int(pair_table.BROKEN)};
    const int worlds = table_.kind.shape[0], capacity = table_.kind.shape[1], pair_count = near_.pairs.shape[0];
"""
_INTS = {"pairs": "near_.pairs", "shape_kind": "shapes_.kind", "shape_body": "shapes_.body", "listed": "near_.listed"}
_INTS |= {
    name: f"table_.{name}"
    for name in ("count", "needed", "kind", "shape_a", "shape_b", "share", "patch_start", "patch_count", "blend")
}
_SCALARS = {
    "shape_pose": "shapes_.pose", "size": "shapes_.size", "shape_q": "near_.shape_q", "ball": "near_.bounding_sphere",
    "gap": "near_.gap", "gravity": "gravity_", "look_ahead": "look_ahead_", "body_v0": "body_v0_",
    "body_v1": "body_v1_",
}  # fmt: skip
_SCALARS |= {
    name: f"table_.{name}" for name in ("a0", "a1", "b0", "radius_a", "radius_b", "sign", "weight", "patch_arm")
}


@functools.cache
def make(dtype: Any, lanes: int = 1) -> SimpleNamespace:
    """The kernel for one precision and number of lanes; a thread takes as many worlds."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    Shapes, NearPairs = model_arrays.make(dtype).Shapes, broad_phase.make_struct(dtype)
    FeatureTable = features.make(dtype)
    most = "".join(
        f"    constexpr int MOST_{a.name}_{b.name} = {pair_table.PAIRS[a, b].most};\n" for a, b in sorted(SERVED)
    )

    @wp.func_native(native(dtype, lanes, _HEAD + most, CODE, ints=_INTS, scalars=_SCALARS))
    def detect_worlds(
        first: int, shapes_: Shapes, gravity_: wp.array(dtype=vec3), body_v0_: wp.array2d(dtype=spatial),
        body_v1_: wp.array2d(dtype=spatial), margin: dtype, look_ahead_: wp.array(dtype=dtype), step: dtype,
        near_: NearPairs, table_: FeatureTable,
    ):  # fmt: skip
        """List the contacts of the worlds from ``first`` on."""
        ...

    @wp.kernel(enable_backward=False, module="unique", module_options=WORLDS_AS_LANES)
    def detect_lanes_kernel(
        # model
        shapes: Shapes, gravity: wp.array(dtype=vec3),
        # state in
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        # options
        margin: dtype, look_ahead: wp.array(dtype=dtype), step: dtype,
        # in and out
        near: NearPairs,
        # out
        table: FeatureTable,
    ):  # fmt: skip
        detect_worlds(
            wp.tid() * wp.static(lanes), shapes, gravity, body_v0, body_v1, margin, look_ahead, step, near, table
        )

    return SimpleNamespace(kernel=detect_lanes_kernel, detect_worlds=detect_worlds)


def serves(shapes: Any, near: NearArrays) -> bool:
    """Whether all pairs are of shapes that it knows, on a CPU, and few enough to do without a broad phase."""
    if shapes.kind.device.is_cuda or not near.exhaustive or len(near.pairs) > 1:
        return False
    asked = vars(near)  # once, as ``near.structs``: every step asks, and the answer takes a loop in Python
    if "_side_by_side" not in asked:
        kinds = shapes.kind.numpy()
        asked["_side_by_side"] = all((kinds[a], kinds[b]) in SERVED for a, b in near.pairs[0].numpy())
    return bool(asked["_side_by_side"])


def detect(
    dtype: Any, shapes: Any, gravity: wp.array, body_v0: wp.array, body_v1: wp.array, margin: float,
    look_ahead: wp.array, step: float, near: NearArrays, found: Features,
) -> None:  # fmt: skip
    """List the contacts of all worlds, where ``near.shape_q`` says that the shapes are; see ``driver.detect``."""
    worlds = body_v0.shape[0]
    lanes = lanes_for(worlds)
    wp.launch(
        make(dtype, lanes).kernel,
        dim=(worlds + lanes - 1) // lanes,
        inputs=[shapes, gravity, body_v0, body_v1, margin, look_ahead, step, near.structs[0]],
        outputs=[found.struct],
        device=body_v0.device,
    )
