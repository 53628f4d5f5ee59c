"""The deepest penetration of each world relative to how thick its shapes are: tells states that cannot be meant."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from ..core.shape_types import TYPE_BOX, TYPE_CONVEX, TYPE_PLANE
from . import contact_geometry
from .features import Features

__all__ = ["deepest", "make"]

SOFT = 10.0
"""A contact with a given stiffness may be this many times deeper than a near-rigid one."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernel for one precision."""
    p = precision(dtype)
    vec3, transform = p.vec3, p.transform
    geo = contact_geometry.make(dtype)

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
        shape_type: wp.array(dtype=int), shape_body: wp.array(dtype=int), shape_size: wp.array2d(dtype=vec3),
        shape_stiffness: wp.array2d(dtype=dtype),
        # state in
        body_q: wp.array2d(dtype=transform), count: wp.array(dtype=int), shape_a: wp.array2d(dtype=int),
        shape_b: wp.array2d(dtype=int), kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
        radius_a: wp.array2d(dtype=dtype), radius_b: wp.array2d(dtype=dtype), sign: wp.array2d(dtype=dtype),
        # out
        depth: wp.array(dtype=dtype), ratio: wp.array(dtype=dtype), shapes: wp.array(dtype=wp.vec2i),
    ):  # fmt: skip
        world = wp.tid()
        worst = dtype(0.0)
        deep = dtype(0.0)
        pair = wp.vec2i(-1, -1)
        for c in range(count[world]):
            sa = shape_a[world, c]
            sb = shape_b[world, c]
            gap, _n, _point = geo.locate(
                kind[world, c], geo.body_pose(body_q, world, shape_body[sa]),
                geo.body_pose(body_q, world, shape_body[sb]), a0[world, c], a1[world, c], a2[world, c],
                b0[world, c], b1[world, c], radius_a[world, c], radius_b[world, c], sign[world, c],
            )  # fmt: skip
            room = wp.min(
                thickness(shape_type[sa], shape_size[world, sa]), thickness(shape_type[sb], shape_size[world, sb])
            )
            if shape_stiffness[world, sa] > dtype(0.0) or shape_stiffness[world, sb] > dtype(0.0):
                room = room * dtype(SOFT)
            if -gap / room > worst:
                worst = -gap / room
                deep = -gap
                pair = wp.vec2i(sa, sb)
        depth[world] = deep
        ratio[world] = worst
        shapes[world] = pair

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
        inputs=[
            m.shape_type, m.shape_body, m.shape_size, m.shape_stiffness, body_q, f.count, f.shape_a, f.shape_b, f.kind,
            f.a0, f.a1, f.a2, f.b0, f.b1, f.radius_a, f.radius_b, f.sign,
        ],
        outputs=[depth, ratio, shapes],
        device=body_q.device,
    )  # fmt: skip
