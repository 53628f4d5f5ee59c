"""Contact detection of all worlds: which features of which shapes are near enough to matter in the next step.

One thread handles one world. It walks the pairs that the broad phase found (``broad_phase.py``), rejects those whose
bounding spheres are too far apart for their own speed, and hands the rest to the functions in ``pairs/``. Nothing here
is differentiated: the output is a list of features (see ``features.py``), frozen for the step. Pairs with a convex mesh
have a kernel of their own (``hull_driver.py``), compiled and launched only where there are any.
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
from . import bounds, broad_phase, detect_lanes, features, hull_driver, pair_table
from .broad_phase import NearArrays
from .features import Features

__all__ = ["detect", "make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """The detection kernel for one precision."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    near_by = bounds.make(dtype)
    side = near_by.side
    collide = pair_table.functions(dtype, hulls=False)
    most = pair_table.most()
    broken = pair_table.BROKEN
    Shapes, NearPairs = model_arrays.make(dtype).Shapes, broad_phase.make_struct(dtype)
    FeatureTable = features.make(dtype)

    @wp.kernel(enable_backward=False, module="unique", module_options={"max_unroll": 3})
    def detect_kernel(
        # model
        shapes: Shapes, gravity: wp.array(dtype=vec3),
        # state in
        body_v0: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial),
        # options
        first_pass: int, all_pairs: int, margin: dtype, look_ahead: wp.array(dtype=dtype), step: dtype, append: int,
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
        if append != 0 or extend:
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
            found.gap[world, i] = wp.max(gap - found.bounding_sphere[world, shape_b][0], near)
            if gap - found.bounding_sphere[world, shape_b][0] < near:
                rotation = wp.quat_to_matrix(turn * wp.transform_get_rotation(world_b))
                a = side(shape_a, type_a, size_a, pose_a)
                b = side(shape_b, type_b, size_b, pose_b)
                if type_a == TYPE_PLANE:
                    if type_b == TYPE_SPHERE:
                        n = collide.plane_sphere(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.plane_sphere)
                    elif type_b == TYPE_CAPSULE:
                        n = collide.plane_capsule(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.plane_capsule)
                    elif type_b == TYPE_BOX:
                        n = collide.plane_box(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.plane_box)
                elif type_a == TYPE_SPHERE:
                    if type_b == TYPE_SPHERE:
                        n = collide.sphere_sphere(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.sphere_sphere)
                    elif type_b == TYPE_CAPSULE:
                        n = collide.sphere_capsule(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.sphere_capsule)
                    elif type_b == TYPE_BOX:
                        n = collide.sphere_box(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.sphere_box)
                elif type_a == TYPE_CAPSULE:
                    if type_b == TYPE_CAPSULE:
                        n = collide.capsule_capsule(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.capsule_capsule)
                    elif type_b == TYPE_BOX:
                        n = collide.capsule_box(table, world, n, a, b, rotation, position, near)
                        room = wp.static(most.capsule_box)
                elif type_a == TYPE_BOX:
                    n = collide.box_box(table, world, n, a, b, rotation, position, near)
                    room = wp.static(most.box_box)
            found.listed[world, i] = int(n > start)
            if n - start > room:
                table.needed[world] = wp.max(table.needed[world], broken + n - start)
        table.count[world] = wp.min(n, table.kind.shape[1])
        if table.needed[world] <= table.kind.shape[1]:  # once a list was cut off, what follows was not meant to happen
            table.needed[world] = wp.max(table.needed[world], n)

    return types.SimpleNamespace(detect_kernel=detect_kernel)


def detect(
    dtype: Any,
    *,
    shapes: Any,
    gravity: wp.array,
    body_q: wp.array,
    body_v: wp.array,
    body_v1: wp.array | None = None,
    margin: float,
    look_ahead: wp.array,
    step: float,
    near: NearArrays,
    features: Features,
    hulls: HullArrays | None = None,
    first_pass: bool = True,
    all_pairs: bool = False,
) -> None:
    """List the contact features that may act in a step.

    Those of a pair whose gap is less than ``margin + look_ahead * (speed + step * |gravity|)``, ``speed`` bounding how
    fast its two bodies approach and gravity counting where one of them is static. Where ``body_v1`` is known, their
    speed after the step counts if it is greater.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``; the type of everything called dtype here.
        shapes: The struct ``Shapes`` of the model, see ``core/model_arrays.py``.
        gravity: Gravity [m/s^2], shape [worlds], vec3.
        body_q: Poses of the bodies in the world [m], shape [worlds, bodies], transform (position, quaternion xyzw).
        body_v: Velocities of the bodies, shape [worlds, bodies], 6-vectors (linear [m/s], angular [rad/s]).
        body_v1: Velocities after the step, as far as they are known.
        margin: Distance [m] at which contacts are listed when nothing moves.
        look_ahead: Time [s] within which a contact of moving bodies can act, [worlds].
        step: Step size [s], for the speed that gravity adds in one step.
        near: The pairs that may touch, and working memory. The first shape's
            type of a pair is not greater than the second's, and never are both static.
        features: Written. ``count`` is set; ``needed`` is raised to the number of contacts found, which may exceed
            the capacity, in which case the list is cut off and the number stays, or to ``pair_table.BROKEN`` and more
            if a pair goes beyond its count in ``pair_table.PAIRS``. Fields that a contact's kind and share do not use
            keep what they held.
        hulls: Convex meshes, where ``near`` has pairs with any.
        first_pass: Whether all worlds are listed, or those that ``near.repeat`` marks are listed again or further.
        all_pairs: Whether contacts are listed by the greatest speed in the world, not by that of their own bodies.
    """
    body_v1 = body_v if body_v1 is None else body_v1
    if first_pass:
        broad_phase.place_shapes(dtype, shapes, body_q, near)
    broad_phase.find_pairs(
        dtype, shapes, gravity, body_v, body_v1, near, margin=margin, look_ahead=look_ahead, h=step,
        first_pass=first_pass, all_pairs=all_pairs,
    )  # fmt: skip
    if first_pass and not all_pairs and hulls is None and detect_lanes.serves(shapes, near):
        detect_lanes.detect(dtype, shapes, gravity, body_v, body_v1, margin, look_ahead, step, near, features)
        return
    inputs = [shapes, gravity, body_v, body_v1, int(first_pass), int(all_pairs), margin, look_ahead, step]
    if hulls is not None:
        hull_driver.launch(dtype, hulls, [*inputs, near.structs[1]], features)
    wp.launch(
        make(dtype).detect_kernel,
        dim=body_q.shape[0],
        inputs=[*inputs, int(hulls is not None), near.structs[0]],
        outputs=[features.struct],
        device=body_q.device,
    )
