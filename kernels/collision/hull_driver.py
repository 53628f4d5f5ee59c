"""Contact detection of the pairs that hold a convex polyhedron; see ``driver.py``, whose list this one begins.

One thread handles one world. A kernel of its own, so that scenes without convex meshes neither compile nor run it.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ..core import model_arrays
from ..core.hull_arrays import HullArrays
from ..core.precision import precision
from ..core.shape_types import TYPE_BOX, TYPE_CAPSULE, TYPE_PLANE, TYPE_SPHERE
from . import bounds, broad_phase, features, hulls, pair_table
from .features import Features
from .pairs import hull_hull

__all__ = ["launch", "make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """The detection kernel of convex pairs for one precision."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    near_by = bounds.make(dtype)
    side = near_by.side
    hull = hulls.make(dtype)
    Hulls, Hull = hull.Hulls, hull.Hull
    Shapes, NearPairs = model_arrays.make(dtype).Shapes, broad_phase.make_struct(dtype)
    FeatureTable = features.make(dtype)
    collide = pair_table.functions(dtype, hulls=True)
    separation = hull_hull.make(dtype).separation
    most = pair_table.most()
    broken = pair_table.BROKEN

    @wp.func
    def hull_of_shape(hs: Hulls, shape: int, kind: int, size: vec3) -> Hull:
        scale = vec3(dtype(1.0), dtype(1.0), dtype(1.0))
        radius = size[0]
        inner = size[2]
        if kind == TYPE_BOX:
            scale = size
            radius = wp.length(size)
            inner = wp.min(size)
        return hull.hull_of(hs, hs.shape_mesh[shape], scale, radius, inner)

    @wp.kernel(enable_backward=False, module="unique", module_options={"max_unroll": 3})
    def detect_convex_kernel(
        # model
        hs: Hulls, shapes: Shapes, gravity: wp.array(dtype=vec3),
        # state in
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        # options
        first_pass: int, all_pairs: int, margin: dtype, look_ahead: wp.array(dtype=dtype), step: dtype,
        # in and out
        found: NearPairs,
        # out
        table: FeatureTable,
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and found.repeat[world] == 0:
            return
        extend = first_pass == 0 and all_pairs == 0 and found.repeat[world] == broad_phase.MORE
        gravity_speed = step * wp.length(gravity[world])
        farthest = dtype(0.0)
        if all_pairs != 0:
            farthest = near_by.world_near(
                world, shapes.body, found.bounding_sphere, body_v0, body_v1, margin, look_ahead[world], gravity_speed
            )
        n = int(0)
        if extend:
            n = table.count[world]
        for i in range(found.count[world]):
            pair = found.pairs[found.near[world, i]]
            shape_a = pair[0]
            shape_b = pair[1]
            near = farthest
            if all_pairs == 0:
                near = near_by.pair_near(
                    world, shape_a, shape_b, shapes.body, found.bounding_sphere, body_v0, body_v1, margin,
                    look_ahead[world], gravity_speed,
                )  # fmt: skip
            if extend and (found.listed[world, i] == 1 or found.gap[world, i] >= near):
                continue
            start = n
            room = int(0)
            type_a = shapes.kind[shape_a]
            type_b = shapes.kind[shape_b]
            size_a = shapes.size[world, shape_a]
            size_b = shapes.size[world, shape_b]
            pose_a = shapes.pose[shape_a]
            pose_b = shapes.pose[shape_b]
            world_a = found.shape_q[world, shape_a]
            world_b = found.shape_q[world, shape_b]
            turn = wp.quat_inverse(wp.transform_get_rotation(world_a))
            position = wp.quat_rotate(
                turn, wp.transform_get_translation(world_b) - wp.transform_get_translation(world_a)
            )
            gap = position[2]
            if type_a != TYPE_PLANE:
                gap = wp.length(position) - found.bounding_sphere[world, shape_a][0]
            beyond = gap - found.bounding_sphere[world, shape_b][0]
            if beyond < near:
                rotation = wp.quat_to_matrix(turn * wp.transform_get_rotation(world_b))
                a = side(shape_a, type_a, size_a, pose_a)
                b = side(shape_b, type_b, size_b, pose_b)
                hb = hull_of_shape(hs, shape_b, type_b, size_b)
                if type_a == TYPE_PLANE and hb.rim > dtype(0.0):
                    n = collide.plane_cylinder(table, world, n, hs, a, b, hb, rotation, position, near)
                    room = wp.static(most.plane_cylinder)
                elif type_a == TYPE_PLANE:
                    n, beyond = collide.plane_convex(table, world, n, hs, a, b, hb, rotation, position, near)
                    room = hb.vertex_end - hb.vertex
                elif type_a == TYPE_SPHERE:
                    n = collide.sphere_convex(table, world, n, hs, a, b, hb, rotation, position, near)
                    room = wp.static(most.sphere_convex)
                elif type_a == TYPE_CAPSULE:
                    n = collide.capsule_convex(table, world, n, hs, a, b, hb, rotation, position, near)
                    room = wp.static(most.capsule_convex)
                else:
                    ha = hull_of_shape(hs, shape_a, type_a, size_a)
                    apart, best, face, best_b, face_b = separation(hs, ha, hb, rotation, position, near)
                    beyond = wp.max(beyond, apart)
                    if apart < near:
                        after = collide.convex_convex(
                            table, world, n, hs, a, b, ha, hb, rotation, position, near, best, face, best_b, face_b
                        )
                        if after > n:  # a patch is listed as a whole
                            beyond = dtype(1.0e30)
                        n = after
                        room = wp.static(most.convex_convex)
            found.gap[world, i] = wp.max(beyond, near)
            found.listed[world, i] = int(n > start)
            if n - start > room:
                table.needed[world] = wp.max(table.needed[world], broken + n - start)
        table.count[world] = n

    return types.SimpleNamespace(kernel=detect_convex_kernel)


def launch(dtype: Any, arrays: HullArrays, inputs: list[Any], listed: Features) -> None:
    """Begin the list of contacts with those of the pairs with hulls; the count may exceed the capacity."""
    wp.launch(
        make(dtype).kernel,
        dim=listed.count.shape[0],
        inputs=[hulls.table(dtype, arrays), *inputs],
        outputs=[listed.struct],
        device=listed.count.device,
    )
