"""The broad phase: which pairs of shapes are worth a look, and whether a solved step went beyond what was looked at.

Every step begins with a list of the pairs whose bounding spheres come near each other. Contacts are then listed for
each pair by the speed of its own two bodies (``nearness.py``). That is cheap, and right for all bodies but those that
something sped up within the step; so after the solve ``overlooked`` compares every pair with the speeds that came
out, and marks the worlds in which a contact could act that was not listed. Those are listed once more, for the greater
speeds, and solved on; should that not do, by the greatest speed in the world. One thread a world, one a shape.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import warp as wp

from . import nearness
from .arrays import SolverReport
from .precision import precision
from .shapes import ShapeType

__all__ = ["NearArrays", "find_pairs", "give_up", "make", "overlooked", "place_shapes"]

_PLANE = wp.constant(int(ShapeType.PLANE))


@dataclass
class NearArrays:
    """Where the shapes are, and which pairs are near. W worlds, S shapes, P pairs of a kind."""

    shape_q: wp.array  # transform [W, S]: pose in the world
    ball: wp.array  # vec2 [W, S]: radius about the shape's origin, and about its body's centre (0: a plane) [m]
    pairs: tuple[wp.array, ...]  # vec2i [P]: all pairs, those of analytic shapes, then those with convex meshes
    lists: tuple[wp.array, ...]  # int32 [W, P]: near ones among them
    counts: tuple[wp.array, ...]  # int32 [W]
    gaps: tuple[wp.array, ...]  # scalar [W, P]: no contact of a near pair that is not listed has a smaller gap [m]
    again: wp.array  # int32 [W]: marks the worlds to list and solve again
    listed_v: wp.array  # spatial [W, B]: velocities after the step for which those are to be listed

    @classmethod
    def allocate(
        cls, worlds: int, bodies: int, shapes: int, pairs: tuple[wp.array, ...], dtype: Any, device: Any
    ) -> "NearArrays":
        """Room for all pairs to be near."""
        p = precision(dtype)

        def zeros(kind: Any, *tail: int) -> wp.array:
            return wp.zeros((worlds, *tail), dtype=kind, device=device)

        return cls(
            shape_q=zeros(p.transform, shapes), ball=zeros(p.vec2, shapes), pairs=pairs,
            lists=tuple(zeros(wp.int32, max(1, x.shape[0])) for x in pairs),
            counts=tuple(zeros(wp.int32) for _ in pairs),
            gaps=tuple(zeros(dtype, max(1, x.shape[0])) for x in pairs),
            again=zeros(wp.int32), listed_v=zeros(p.spatial, bodies),
        )  # fmt: skip


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    vec2, vec3, spatial, transform = p.vec2, p.vec3, p.spatial, p.transform
    near_by = nearness.make(dtype)
    bounding_radius, approach_speed, pair_speed = near_by.bounding_radius, near_by.approach_speed, near_by.pair_speed

    @wp.func
    def height(plane: transform, x: vec3):
        """Height of x over a plane [m]."""
        up = wp.quat_rotate(wp.transform_get_rotation(plane), vec3(dtype(0.0), dtype(0.0), dtype(1.0)))
        return wp.dot(up, x - wp.transform_get_translation(plane))

    @wp.kernel(enable_backward=False, module="unique")
    def place_kernel(
        # model
        shape_type: wp.array(dtype=int), shape_body: wp.array(dtype=int), shape_size: wp.array2d(dtype=vec3),
        shape_pose: wp.array(dtype=transform),
        # state in
        body_q: wp.array2d(dtype=transform),
        # out
        shape_q: wp.array2d(dtype=transform), ball: wp.array2d(dtype=vec2),
    ):  # fmt: skip
        world, s = wp.tid()
        pose = shape_pose[s]
        radius = bounding_radius(shape_type[s], shape_size[world, s])
        reach = dtype(0.0)
        if shape_body[s] >= 0:
            reach = wp.length(wp.transform_get_translation(pose)) + radius
            pose = wp.transform_multiply(body_q[world, shape_body[s]], pose)
        shape_q[world, s] = pose
        ball[world, s] = vec2(radius, reach)

    @wp.kernel(enable_backward=False, module="unique")
    def pairs_kernel(
        # model
        pairs: wp.array(dtype=wp.vec2i), shape_type: wp.array(dtype=int), shape_body: wp.array(dtype=int),
        gravity: wp.array(dtype=vec3),
        # state in
        shape_q: wp.array2d(dtype=transform), ball: wp.array2d(dtype=vec2), body_v0: wp.array2d(dtype=spatial),
        body_v1: wp.array2d(dtype=spatial), every: int, again: wp.array(dtype=int), margin: dtype,
        reach: wp.array(dtype=dtype), h: dtype,
        # out
        near_list: wp.array2d(dtype=int), near_count: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if every == 0 and again[world] == 0:
            return
        fall = h * wp.length(gravity[world])
        near = near_by.world_near(world, shape_body, ball, body_v0, body_v1, margin, reach[world], fall)
        n = int(0)
        for i in range(pairs.shape[0]):
            pair = pairs[i]
            a = pair[0]
            b = pair[1]
            centre = wp.transform_get_translation(shape_q[world, b])
            room = ball[world, b][0] + near
            close = bool(False)
            if shape_type[a] == _PLANE:
                close = height(shape_q[world, a], centre) < room
            else:
                between = centre - wp.transform_get_translation(shape_q[world, a])
                room = wp.max(ball[world, a][0] + room, dtype(0.0))
                close = wp.dot(between, between) < room * room
            if close:
                near_list[world, n] = i
                n += 1
        near_count[world] = n

    @wp.kernel(enable_backward=False, module="unique")
    def overlooked_kernel(
        # model
        pairs: wp.array(dtype=wp.vec2i), shape_body: wp.array(dtype=int), gravity: wp.array(dtype=vec3),
        # state in
        ball: wp.array2d(dtype=vec2), body_v0: wp.array2d(dtype=spatial),
        listed_v: wp.array2d(dtype=spatial), body_v1: wp.array2d(dtype=spatial), every: int, margin: dtype,
        felt: dtype, reach: wp.array(dtype=dtype), h: dtype, near_list: wp.array2d(dtype=int),
        near_count: wp.array(dtype=int), near_gap: wp.array2d(dtype=dtype), begin: int, whole: int,
        # out
        again: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        flag = int(0)
        if begin == 0:
            flag = again[world]
            if flag == 1:
                return
        elif every == 0 and again[world] == 0:
            return
        ahead = reach[world]
        fall = h * wp.length(gravity[world])
        farthest = near_by.world_near(world, shape_body, ball, body_v0, listed_v, margin, ahead, fall)
        if ahead * approach_speed(world, shape_body, ball, body_v1) > farthest:
            flag = 1
        elif whole == 0:
            for k in range(near_count[world]):
                pair = pairs[near_list[world, k]]
                a = pair[0]
                b = pair[1]
                wanted = ahead * pair_speed(world, a, b, shape_body, ball, body_v1)
                if wanted > margin:
                    listed = near_by.pair_near(world, a, b, shape_body, ball, body_v0, listed_v, margin, ahead, fall)
                    if wanted > listed and near_gap[world, k] < wanted + felt:
                        flag = 1
        again[world] = flag

    @wp.kernel(enable_backward=False, module="unique")
    def remember_kernel(
        again: wp.array(dtype=int), body_v1: wp.array2d(dtype=spatial), listed_v: wp.array2d(dtype=spatial)
    ):
        world, body = wp.tid()
        if again[world] != 0:
            listed_v[world, body] = body_v1[world, body]

    @wp.kernel(enable_backward=False, module="unique")
    def give_up_kernel(
        again: wp.array(dtype=int), steps: wp.array(dtype=int), failed: wp.array(dtype=int),
        first_failure: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if again[world] != 0:
            failed[world] = failed[world] + 1
            if first_failure[world] < 0:
                first_failure[world] = steps[world] - 1

    return SimpleNamespace(
        give_up=give_up_kernel,
        place=place_kernel,
        pairs=pairs_kernel,
        overlooked=overlooked_kernel,
        remember=remember_kernel,
    )


def place_shapes(
    dtype: Any, shape_type: wp.array, shape_body: wp.array, shape_size: wp.array, shape_pose: wp.array,
    body_q: wp.array, near: NearArrays,
) -> None:  # fmt: skip
    """Poses and bounding spheres of all shapes at the poses ``body_q`` [W, B]."""
    wp.launch(
        make(dtype).place, dim=near.shape_q.shape, inputs=[shape_type, shape_body, shape_size, shape_pose, body_q],
        outputs=[near.shape_q, near.ball], device=body_q.device,
    )  # fmt: skip


def find_pairs(
    dtype: Any, shape_type: wp.array, shape_body: wp.array, gravity: wp.array, body_v0: wp.array, body_v1: wp.array,
    near: NearArrays, *, margin: float, reach: wp.array, h: float, every: bool,
) -> None:  # fmt: skip
    """List the pairs of the marked worlds, or of ``every`` world, whose bounding spheres are near each other."""
    for pairs, near_list, near_count in zip(near.pairs, near.lists, near.counts, strict=True):
        wp.launch(
            make(dtype).pairs, dim=body_v0.shape[0],
            inputs=[
                pairs, shape_type, shape_body, gravity, near.shape_q, near.ball, body_v0, body_v1, int(every),
                near.again, margin, reach, h,
            ],
            outputs=[near_list, near_count], device=body_v0.device,
        )  # fmt: skip


def overlooked(
    dtype: Any, shape_body: wp.array, gravity: wp.array, body_v0: wp.array, listed_v: wp.array, body_v1: wp.array,
    near: NearArrays, *, margin: float, reach: wp.array, h: float, felt: float = 0.0, every: bool = True,
    whole: bool = False,
) -> None:  # fmt: skip
    """Mark the worlds in which a contact may act at ``body_v1`` that was not listed for ``body_v0`` and ``listed_v``.

    A contact acts only within ``reach`` times the speed at which its two bodies approach after the step, so what was
    listed for a greater distance is complete. Looks at the marked worlds, or at ``every`` one, whose contacts were
    listed pair by pair or as a ``whole``; where contact is softened, for a distance greater by ``felt`` [m], within
    which they act at any speed. ``near.listed_v`` then holds, for the worlds marked, the velocities to list the
    contacts for.
    """
    k = make(dtype)
    lists = zip(near.pairs, near.lists, near.counts, near.gaps, strict=True)
    for i, (pairs, near_list, near_count, near_gap) in enumerate(lists):
        wp.launch(
            k.overlooked, dim=body_v0.shape[0],
            inputs=[
                pairs, shape_body, gravity, near.ball, body_v0, listed_v, body_v1, int(every), margin, felt, reach, h,
                near_list, near_count, near_gap, int(i == 0), int(whole),
            ],
            outputs=[near.again], device=body_v0.device,
        )  # fmt: skip
    wp.launch(
        k.remember, dim=body_v0.shape, inputs=[near.again, body_v1], outputs=[near.listed_v], device=body_v0.device
    )


def give_up(dtype: Any, near: NearArrays, report: SolverReport) -> None:
    """Count a failed step in the marked worlds."""
    wp.launch(
        make(dtype).give_up, dim=near.again.shape[0], inputs=[near.again, report.steps],
        outputs=[report.failed, report.first_failure], device=near.again.device,
    )  # fmt: skip
