"""Contact detection of all worlds: which features of which shapes are near enough to matter in the next step.

One thread handles one world. It computes the world's detection margin, walks the list of shape pairs, rejects far
pairs by their bounding spheres and hands the rest to the functions in ``collide_*.py``. Nothing here is
differentiated: the output is a list of features (see ``features.py``), frozen for the step. Pairs with a convex mesh
have a kernel of their own (``detect_convex.py``), compiled and launched only where there are any.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import types
from typing import Any

import warp as wp

from . import (
    collide_box_box,
    collide_capsule,
    collide_capsule_box,
    collide_plane,
    collide_sphere,
    collide_writer,
    detect_convex,
    nearness,
)
from .features import Features
from .hulls import HullArrays
from .precision import precision
from .shapes import ShapeType

__all__ = ["detect", "make"]

_PLANE = wp.constant(int(ShapeType.PLANE))
_SPHERE = wp.constant(int(ShapeType.SPHERE))
_CAPSULE = wp.constant(int(ShapeType.CAPSULE))
_BOX = wp.constant(int(ShapeType.BOX))


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """The detection kernel for one precision."""
    p = precision(dtype)
    scalar, vec3, spatial, transform = p.scalar, p.vec3, p.spatial, p.transform
    near_by = nearness.make(dtype)
    bounding_radius, side, approach_speed = near_by.bounding_radius, near_by.side, near_by.approach_speed
    writer = collide_writer.make(dtype)
    plane = collide_plane.make(dtype)
    sphere = collide_sphere.make(dtype)
    capsule = collide_capsule.make(dtype)
    capsule_box = collide_capsule_box.make(dtype)
    box_box = collide_box_box.make(dtype)
    FeatureTable = writer.FeatureTable

    @wp.kernel(enable_backward=False, module="unique", module_options={"max_unroll": 3})
    def detect_kernel(
        # model
        pairs: wp.array1d(dtype=wp.vec2i),
        shape_type: wp.array1d(dtype=wp.int32),
        shape_body: wp.array1d(dtype=wp.int32),
        shape_size: wp.array2d(dtype=vec3),
        shape_pose: wp.array1d(dtype=transform),
        gravity: wp.array1d(dtype=vec3),
        # state in
        body_q: wp.array2d(dtype=transform),
        body_v: wp.array2d(dtype=spatial),
        # options
        margin: scalar,
        reach: wp.array1d(dtype=scalar),
        step: scalar,
        append: int,
        # features out
        table: FeatureTable,
        count: wp.array1d(dtype=wp.int32),
        needed: wp.array1d(dtype=wp.int32),
    ):
        world = wp.tid()
        speed = approach_speed(world, shape_type, shape_body, shape_size, shape_pose, body_v)
        near = margin + reach[world] * (speed + step * wp.length(gravity[world]))
        n = int(0)
        if append != 0:
            n = count[world]
        for i in range(pairs.shape[0]):
            pair = pairs[i]
            shape_a = pair[0]
            shape_b = pair[1]
            type_a = shape_type[shape_a]
            type_b = shape_type[shape_b]
            size_a = shape_size[world, shape_a]
            size_b = shape_size[world, shape_b]
            pose_a = shape_pose[shape_a]
            pose_b = shape_pose[shape_b]
            world_a = pose_a
            world_b = pose_b
            if shape_body[shape_a] >= 0:
                world_a = wp.transform_multiply(body_q[world, shape_body[shape_a]], pose_a)
            if shape_body[shape_b] >= 0:
                world_b = wp.transform_multiply(body_q[world, shape_body[shape_b]], pose_b)
            turn = wp.quat_inverse(wp.transform_get_rotation(world_a))
            position = wp.quat_rotate(
                turn, wp.transform_get_translation(world_b) - wp.transform_get_translation(world_a)
            )
            gap = position[2]
            if type_a != _PLANE:
                gap = wp.length(position) - bounding_radius(type_a, size_a)
            if gap - bounding_radius(type_b, size_b) < near:
                rotation = wp.quat_to_matrix(turn * wp.transform_get_rotation(world_b))
                a = side(shape_a, type_a, size_a, pose_a)
                b = side(shape_b, type_b, size_b, pose_b)
                if type_a == _PLANE:
                    if type_b == _SPHERE:
                        n = plane.plane_sphere(table, world, n, a, b, rotation, position, near)
                    elif type_b == _CAPSULE:
                        n = plane.plane_capsule(table, world, n, a, b, rotation, position, near)
                    elif type_b == _BOX:
                        n = plane.plane_box(table, world, n, a, b, rotation, position, near)
                elif type_a == _SPHERE:
                    if type_b == _SPHERE:
                        n = sphere.sphere_sphere(table, world, n, a, b, rotation, position, near)
                    elif type_b == _CAPSULE:
                        n = sphere.sphere_capsule(table, world, n, a, b, rotation, position, near)
                    elif type_b == _BOX:
                        n = sphere.sphere_box(table, world, n, a, b, rotation, position, near)
                elif type_a == _CAPSULE:
                    if type_b == _CAPSULE:
                        n = capsule.capsule_capsule(table, world, n, a, b, rotation, position, near)
                    elif type_b == _BOX:
                        n = capsule_box.capsule_box(table, world, n, a, b, rotation, position, near)
                elif type_a == _BOX:
                    n = box_box.box_box(table, world, n, a, b, rotation, position, near)
        count[world] = wp.min(n, table.kind.shape[1])
        needed[world] = wp.max(needed[world], n)

    return types.SimpleNamespace(detect_kernel=detect_kernel)


def detect(
    dtype: Any,
    *,
    pairs: wp.array,
    shape_type: wp.array,
    shape_body: wp.array,
    shape_size: wp.array,
    shape_pose: wp.array,
    gravity: wp.array,
    body_q: wp.array,
    body_v: wp.array,
    margin: float,
    reach: float | wp.array,
    step: float,
    features: Features,
    hulls: HullArrays | None = None,
    device: Any = None,
) -> None:
    """List the contact features of every world whose gap is less than the world's detection margin.

    The margin of a world is ``margin + reach * (speed + step * |gravity|)``, ``speed`` bounding how
    fast any two of its bodies approach (see ``nearness.py``).

    Args:
        dtype: ``wp.float32`` or ``wp.float64``; the type of everything called scalar here.
        pairs: Pairs of shapes that may touch, without convex meshes, shape [pairs], vec2i. The first shape's type is
            not greater than the second's. Never two static shapes.
        shape_type: ``ShapeType`` of each shape, shape [shapes], int32.
        shape_body: Body that carries each shape, -1 for a static shape, shape [shapes], int32.
        shape_size: Sizes [m], see ``ShapeType``, shape [worlds, shapes], vec3.
        shape_pose: Pose [m] of each shape in its body's frame, in the world for a static shape, shape [shapes].
        gravity: Gravity [m/s^2], shape [worlds], vec3.
        body_q: Poses of the bodies in the world [m], shape [worlds, bodies], transform (position, quaternion xyzw).
        body_v: Velocities of the bodies, shape [worlds, bodies], 6-vectors (linear [m/s], angular [rad/s]).
        margin: Distance [m] at which contacts are listed when nothing moves.
        reach: Time [s] by which moving bodies are looked for ahead, one number or one a world, [worlds].
        step: Step size [s], for the speed that gravity adds in one step.
        features: Written. ``count`` is set; ``needed`` is raised to the number of contacts found, which may exceed
            the capacity, in which case the list is cut off. Fields that a contact's kind and share do not use keep
            what they held.
        hulls: Convex meshes and the pairs that need them, where there are any; those are not in ``pairs``.
        device: Device to launch on.
    """
    if not isinstance(reach, wp.array):
        reach = wp.full(body_q.shape[0], reach, dtype=dtype, device=device)
    table = collide_writer.feature_table(dtype, features)
    shapes = [shape_type, shape_body, shape_size, shape_pose, gravity, body_q, body_v]
    reals = [dtype(margin), reach, dtype(step)]
    if hulls is not None:
        detect_convex.launch(dtype, hulls, [*shapes, *reals], [table, features.count], device)
    wp.launch(
        make(dtype).detect_kernel,
        dim=body_q.shape[0],
        inputs=[pairs, *shapes, *reals, int(hulls is not None)],
        outputs=[table, features.count, features.needed],
        device=device,
    )
