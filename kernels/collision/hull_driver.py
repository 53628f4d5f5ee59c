"""Contact detection of the pairs that hold a convex polyhedron; see ``driver.py``, whose list this one begins.

One thread handles one world. A kernel of its own, so that scenes without convex meshes neither compile nor run it.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from ..core.hull_arrays import HullArrays
from ..core.precision import precision
from ..core.shape_types import TYPE_BOX, TYPE_CAPSULE, TYPE_PLANE, TYPE_SPHERE
from . import bounds, broad_phase, feature_table, hulls, pair_table
from .pairs import hull_hull

__all__ = ["launch", "make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """The detection kernel of convex pairs for one precision."""
    p = precision(dtype)
    scalar, vec3, spatial, transform = p.scalar, p.vec3, p.spatial, p.transform
    near_by = bounds.make(dtype)
    side = near_by.side
    hull = hulls.make(dtype)
    Hulls, Hull = hull.Hulls, hull.Hull
    FeatureTable = feature_table.make(dtype).FeatureTable
    collide = pair_table.functions(dtype, hulls=True)
    separation = hull_hull.make(dtype).separation
    most = pair_table.most()
    broken = pair_table.BROKEN

    @wp.func
    def hull_of_shape(hs: Hulls, shape: int, kind: int, size: vec3) -> Hull:
        scale = vec3(scalar(1.0), scalar(1.0), scalar(1.0))
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
        pair_list: wp.array(dtype=wp.vec2i), hs: Hulls, shape_type: wp.array(dtype=int),
        shape_body: wp.array(dtype=int), shape_size: wp.array2d(dtype=vec3),
        shape_pose: wp.array(dtype=transform), gravity: wp.array(dtype=vec3),
        # state in
        shape_q: wp.array2d(dtype=transform), bounding_sphere: wp.array2d(dtype=p.vec2),
        near_list: wp.array2d(dtype=int),
        near_count: wp.array(dtype=int), first_pass: int, all_pairs: int, repeat: wp.array(dtype=int),
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        # options
        margin: scalar, reach: wp.array(dtype=scalar), step: scalar,
        # features out
        table: FeatureTable, count: wp.array(dtype=int), needed: wp.array(dtype=int),
        near_gap: wp.array2d(dtype=scalar), listed: wp.array2d(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0 and repeat[world] == 0:
            return
        extend = first_pass == 0 and all_pairs == 0 and repeat[world] == broad_phase.MORE
        fall = step * wp.length(gravity[world])
        farthest = scalar(0.0)
        if all_pairs != 0:
            farthest = near_by.world_near(
                world, shape_body, bounding_sphere, body_v0, body_v1, margin, reach[world], fall
            )
        n = int(0)
        if extend:
            n = count[world]
        for i in range(near_count[world]):
            pair = pair_list[near_list[world, i]]
            shape_a = pair[0]
            shape_b = pair[1]
            near = farthest
            if all_pairs == 0:
                near = near_by.pair_near(
                    world, shape_a, shape_b, shape_body, bounding_sphere, body_v0, body_v1, margin, reach[world], fall
                )
            if extend and (listed[world, i] == 1 or near_gap[world, i] >= near):
                continue
            start = n
            room = int(0)
            type_a = shape_type[shape_a]
            type_b = shape_type[shape_b]
            size_a = shape_size[world, shape_a]
            size_b = shape_size[world, shape_b]
            pose_a = shape_pose[shape_a]
            pose_b = shape_pose[shape_b]
            world_a = shape_q[world, shape_a]
            world_b = shape_q[world, shape_b]
            turn = wp.quat_inverse(wp.transform_get_rotation(world_a))
            position = wp.quat_rotate(
                turn, wp.transform_get_translation(world_b) - wp.transform_get_translation(world_a)
            )
            gap = position[2]
            if type_a != TYPE_PLANE:
                gap = wp.length(position) - bounding_sphere[world, shape_a][0]
            beyond = gap - bounding_sphere[world, shape_b][0]
            if beyond < near:
                rotation = wp.quat_to_matrix(turn * wp.transform_get_rotation(world_b))
                a = side(shape_a, type_a, size_a, pose_a)
                b = side(shape_b, type_b, size_b, pose_b)
                hb = hull_of_shape(hs, shape_b, type_b, size_b)
                if type_a == TYPE_PLANE and hb.rim > scalar(0.0):
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
                            beyond = scalar(1.0e30)
                        n = after
                        room = wp.static(most.convex_convex)
            near_gap[world, i] = wp.max(beyond, near)
            listed[world, i] = int(n > start)
            if n - start > room:
                needed[world] = wp.max(needed[world], broken + n - start)
        count[world] = n

    return types.SimpleNamespace(kernel=detect_convex_kernel)


def launch(dtype: Any, listed_pairs: wp.array, arrays: HullArrays, inputs: list[Any], outputs: list[Any]) -> None:
    """Begin the list of contacts with those of ``pairs``; the count may exceed the capacity."""
    wp.launch(
        make(dtype).kernel,
        dim=outputs[1].shape[0],
        inputs=[listed_pairs, hulls.table(dtype, arrays), *inputs],
        outputs=outputs,
        device=listed_pairs.device,
    )
