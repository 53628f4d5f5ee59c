"""The deepest penetration of each world relative to how thick its shapes are: tells states that cannot be meant."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core import model_arrays
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.shape_types import TYPE_BOX, TYPE_CONVEX, TYPE_PLANE
from . import contact_geometry, features
from .features import Features

__all__ = ["deepest", "make"]

SOFT = 10.0
"""A contact with a given stiffness may be this many times deeper than a near-rigid one."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernel for one precision."""
    p = precision(dtype)
    vec3, transform = p.vec3, p.transform
    geo, FeatureTable = contact_geometry.make(dtype), features.make(dtype)
    Shapes, Surfaces = model_arrays.make(dtype).Shapes, model_arrays.make(dtype).Surfaces

    @wp.func
    def thickness(kind: int, size: vec3):
        """Half of the least width of a shape [m]; without bound for a plane."""
        result = size[0]
        if kind == TYPE_BOX:
            result = wp.min(size[0], wp.min(size[1], size[2]))
        if kind == TYPE_CONVEX:
            result = size[1]
        if kind == TYPE_PLANE:
            result = dtype(1.0e10)
        return result

    @wp.kernel(enable_backward=False, module="unique")
    def deepest_kernel(
        # model
        shapes: Shapes, surfaces: Surfaces,
        # state in
        body_q: wp.array2d(dtype=transform), f: FeatureTable,
        # out
        depth: wp.array(dtype=dtype), ratio: wp.array(dtype=dtype), pairs: wp.array(dtype=wp.vec2i),
    ):  # fmt: skip
        world = wp.tid()
        worst = dtype(0.0)
        deep = dtype(0.0)
        pair = wp.vec2i(-1, -1)
        for c in range(f.count[world]):
            sa = f.shape_a[world, c]
            sb = f.shape_b[world, c]
            gap, _n, _point = geo.locate(
                f.kind[world, c], geo.body_pose(body_q, world, shapes.body[sa]),
                geo.body_pose(body_q, world, shapes.body[sb]), f.a0[world, c], f.a1[world, c], f.a2[world, c],
                f.b0[world, c], f.b1[world, c], f.radius_a[world, c], f.radius_b[world, c], f.sign[world, c],
            )  # fmt: skip
            room = wp.min(
                thickness(shapes.kind[sa], shapes.size[world, sa]), thickness(shapes.kind[sb], shapes.size[world, sb])
            )
            if surfaces.stiffness[world, sa] > dtype(0.0) or surfaces.stiffness[world, sb] > dtype(0.0):
                room = room * dtype(SOFT)
            if -gap / room > worst:
                worst = -gap / room
                deep = -gap
                pair = wp.vec2i(sa, sb)
        depth[world] = deep
        ratio[world] = worst
        pairs[world] = pair

    return SimpleNamespace(kernel=deepest_kernel)


def deepest(
    dtype: Any, model: ModelArrays, body_q: wp.array, features: Features, depth: wp.array, ratio: wp.array,
    shapes: wp.array,
) -> None:  # fmt: skip
    """Deepest listed contact of each world: its depth [m], depth over thickness [1] and shapes; all outputs [W]."""
    m, f = model, features
    wp.launch(
        make(dtype).kernel,
        dim=body_q.shape[0],
        inputs=[m.shapes, m.surfaces, body_q, f.struct],
        outputs=[depth, ratio, shapes],
        device=body_q.device,
    )  # fmt: skip
