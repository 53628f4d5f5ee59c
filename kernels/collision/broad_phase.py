"""The broad phase: pairs of shapes that may touch within a step, and pairs that a solved step shows to be missing.

Every step begins with a list of the pairs whose bounding spheres come near each other. Contacts are then listed for
each pair by the speed of its own two bodies (``bounds.py``). That is cheap, and right for all bodies but those that
something sped up within the step; so after the solve ``find_missed_pairs`` compares every pair with the speeds that
came out, and marks the worlds in which a contact could act that was not listed. Contacts are then detected again in
their pairs without contacts, for the greater speeds (in all pairs, where that does not do), and added to the list; the
world is solved on. Should that not do, contacts are listed by the greatest speed in the world. One thread a world, one
a shape. Scenes of few pairs have no broad phase: all of their pairs count as near.
"""

import functools
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import warp as wp

from ..core import model_arrays, solver_report
from ..core.precision import precision
from ..core.shape_types import TYPE_PLANE
from ..core.solver_report import SolverReport, step_failed
from ..core.struct_arguments import filled
from . import bounds

__all__ = ["FEW_PAIRS", "NearArrays", "find_missed_pairs", "find_pairs", "make", "make_struct", "place_shapes"]

FEW_PAIRS = 32
"""Scenes of no more pairs do without the broad phase."""

MORE = wp.constant(1)
"""Mark of a world in which contacts are detected again in pairs that had none."""

ANEW = wp.constant(2)
"""Mark of a world in which contacts are detected again in all pairs."""

EVERYWHERE = 1.0e30
"""Distance [m] within which all pairs are near, where all count."""

PENDING = wp.constant(-1)
"""Mark of a world while there are more lists of pairs to compare."""


@functools.cache
def make_struct(dtype: Any) -> Any:
    """The struct ``NearPairs`` for one precision: the arrays of ``NearArrays`` for one kind of pairs."""
    p = precision(dtype)

    @wp.struct
    class NearPairs:
        """Pairs that may touch, without convex meshes or with them; fields as in ``NearArrays``."""

        shape_q: wp.array2d(dtype=p.transform)
        bounding_sphere: wp.array2d(dtype=p.vec2)
        pairs: wp.array(dtype=wp.vec2i)
        near: wp.array2d(dtype=int)
        count: wp.array(dtype=int)
        gap: wp.array2d(dtype=dtype)
        listed: wp.array2d(dtype=int)
        radius: wp.array(dtype=dtype)
        repeat: wp.array(dtype=int)
        marked: wp.array(dtype=int)
        listed_v: wp.array2d(dtype=p.spatial)

    return NearPairs


@dataclass(frozen=True)
class NearArrays:
    """Where the shapes are, and which pairs are near. W worlds, S shapes, P pairs of a kind."""

    shape_q: wp.array  # transform [W, S]: pose in the world
    # vec2 [W, S]: radius about the shape's origin, and about its body's centre (0: a plane) [m]
    bounding_sphere: wp.array
    pairs: tuple[wp.array, ...]  # vec2i [P]: all pairs, those of analytic shapes, then those with convex meshes
    lists: tuple[wp.array, ...]  # int32 [W, P]: near ones among them
    counts: tuple[wp.array, ...]  # int32 [W]
    gaps: tuple[wp.array, ...]  # scalar [W, P]: no contact of a near pair that is not listed has a smaller gap [m]
    listed: tuple[wp.array, ...]  # int32 [W, P]: whether a near pair has contacts
    radius: wp.array  # scalar [W]: distance within which pairs are near [m]
    repeat: wp.array  # int32 [W]: marks the worlds to list and solve again, MORE or ANEW
    marked: wp.array  # int32 [2]: whether any world was marked after the first detection, and after the second
    listed_v: wp.array  # spatial [W, B]: velocities after the step for which those are to be listed
    exhaustive: bool  # whether all pairs always count as near

    @functools.cached_property
    def structs(self) -> tuple[Any, ...]:
        """The structs ``NearPairs`` of these arrays, as ``pairs``."""
        parts = zip(self.pairs, self.lists, self.counts, self.gaps, self.listed, strict=True)
        return tuple(
            filled(
                make_struct(self.radius.dtype), shape_q=self.shape_q, bounding_sphere=self.bounding_sphere, pairs=pairs,
                near=near, count=count, gap=gap, listed=listed, radius=self.radius, repeat=self.repeat,
                marked=self.marked, listed_v=self.listed_v,
            )
            for pairs, near, count, gap, listed in parts
        )  # fmt: skip

    @classmethod
    def allocate(
        cls, worlds: int, bodies: int, shapes: int, pairs: tuple[wp.array, ...], dtype: Any, device: Any,
        exhaustive: bool = False,
    ) -> "NearArrays":  # fmt: skip
        """Room for all pairs to be near; they are, and stay so, if the list is to be ``exhaustive``."""
        p = precision(dtype)

        def zeros(kind: Any, *tail: int) -> wp.array:
            return wp.zeros((worlds, *tail), dtype=kind, device=device)

        def numbers(n: int) -> wp.array:
            indices = np.broadcast_to(np.arange(max(1, n), dtype=np.int32), (worlds, max(1, n)))
            return wp.array(indices, dtype=wp.int32, device=device)

        return cls(
            shape_q=zeros(p.transform, shapes), bounding_sphere=zeros(p.vec2, shapes), pairs=pairs,
            lists=tuple(numbers(x.shape[0]) for x in pairs),
            counts=tuple(wp.full(worlds, x.shape[0], dtype=wp.int32, device=device) for x in pairs),
            gaps=tuple(zeros(dtype, max(1, x.shape[0])) for x in pairs),
            listed=tuple(zeros(wp.int32, max(1, x.shape[0])) for x in pairs),
            radius=wp.full(worlds, EVERYWHERE, dtype=dtype, device=device),
            repeat=zeros(wp.int32), marked=wp.zeros(2, dtype=wp.int32, device=device),
            listed_v=zeros(p.spatial, bodies), exhaustive=exhaustive,
        )  # fmt: skip


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision."""
    p = precision(dtype)
    vec2, vec3, spatial, transform = p.vec2, p.vec3, p.spatial, p.transform
    near_by, NearPairs = bounds.make(dtype), make_struct(dtype)
    Shapes, Report = model_arrays.make(dtype).Shapes, solver_report.make(dtype)
    bounding_radius, approach_speed, pair_speed = near_by.bounding_radius, near_by.approach_speed, near_by.pair_speed

    @wp.func
    def height(plane: transform, x: vec3):
        """Height of x over a plane [m]."""
        up = wp.quat_rotate(wp.transform_get_rotation(plane), vec3(dtype(0.0), dtype(0.0), dtype(1.0)))
        return wp.dot(up, x - wp.transform_get_translation(plane))

    @wp.kernel(enable_backward=False, module="unique")
    def place_kernel(shapes: Shapes, body_q: wp.array2d(dtype=transform), found: NearPairs):
        world, s = wp.tid()
        if world == 0 and s == 0:
            found.marked[0] = 0
            found.marked[1] = 0
        pose = shapes.pose[s]
        radius = bounding_radius(shapes.kind[s], shapes.size[world, s])
        body_radius = dtype(0.0)
        if shapes.body[s] >= 0:
            body_radius = wp.length(wp.transform_get_translation(pose)) + radius
            pose = wp.transform_multiply(body_q[world, shapes.body[s]], pose)
        found.shape_q[world, s] = pose
        found.bounding_sphere[world, s] = vec2(radius, body_radius)

    @wp.kernel(enable_backward=False, module="unique")
    def pairs_kernel(
        shapes: Shapes, gravity: wp.array(dtype=vec3), body_v0: wp.array2d(dtype=spatial),
        body_v1: wp.array2d(dtype=spatial), first_pass: int, all_pairs: int, margin: dtype,
        look_ahead: wp.array(dtype=dtype), h: dtype,
        # in and out
        found: NearPairs,
    ):  # fmt: skip
        world = wp.tid()
        if first_pass == 0:
            mark = found.repeat[world]
            if mark == 0 or (mark == MORE and all_pairs == 0):
                return
        gravity_speed = h * wp.length(gravity[world])
        near = near_by.world_near(
            world, shapes.body, found.bounding_sphere, body_v0, body_v1, margin, look_ahead[world], gravity_speed
        )
        if first_pass == 0 and near <= found.radius[world]:  # those listed before are all there are
            return
        n = int(0)
        for i in range(found.pairs.shape[0]):
            pair = found.pairs[i]
            a = pair[0]
            b = pair[1]
            centre = wp.transform_get_translation(found.shape_q[world, b])
            room = found.bounding_sphere[world, b][0] + near
            close = bool(False)
            if shapes.kind[a] == TYPE_PLANE:
                close = height(found.shape_q[world, a], centre) < room
            else:
                between = centre - wp.transform_get_translation(found.shape_q[world, a])
                room = wp.max(found.bounding_sphere[world, a][0] + room, dtype(0.0))
                close = wp.dot(between, between) < room * room
            if close:
                found.near[world, n] = i
                n += 1
        found.count[world] = n
        found.radius[world] = near

    @wp.kernel(enable_backward=False, module="unique")
    def missed_pairs_kernel(
        shapes: Shapes, body_v1: wp.array2d(dtype=spatial), first_pass: int, look_ahead: wp.array(dtype=dtype),
        softened_reach: dtype, begin: int, end: int, give_up: int,
        # in and out
        found: NearPairs, report: Report,
    ):  # fmt: skip
        world = wp.tid()
        mark = found.repeat[world]
        if mark == 0 and (first_pass == 0 or begin == 0):
            return
        if mark == PENDING or begin != 0:
            mark = int(0)
        ahead = look_ahead[world]
        if mark != ANEW:
            if begin != 0 and found.radius[world] < dtype(EVERYWHERE):
                speed = approach_speed(world, shapes.body, found.bounding_sphere, body_v1)
                if softened_reach + ahead * speed > found.radius[world]:
                    mark = ANEW
            if mark != ANEW:
                for k in range(found.count[world]):
                    pair = found.pairs[found.near[world, k]]
                    speed = pair_speed(world, pair[0], pair[1], shapes.body, found.bounding_sphere, body_v1)
                    if found.gap[world, k] < softened_reach + ahead * speed:
                        mark = wp.max(mark, wp.where(found.listed[world, k] == 1, ANEW, MORE))
        if mark == 0 and end == 0:
            mark = PENDING
        found.repeat[world] = mark
        if end != 0 and mark != 0:
            for body in range(body_v1.shape[1]):
                found.listed_v[world, body] = body_v1[world, body]
            if give_up == 0:
                found.marked[1 - first_pass] = 1
            else:
                step_failed(world, report.steps, report.failed, report.first_failure, report.last_failure)

    return SimpleNamespace(place=place_kernel, pairs=pairs_kernel, find_missed_pairs=missed_pairs_kernel)


def place_shapes(dtype: Any, shapes: Any, body_q: wp.array, near: NearArrays) -> None:
    """Poses and bounding spheres of all shapes at the poses ``body_q`` [W, B]; ``shapes`` of ``ModelArrays``."""
    wp.launch(make(dtype).place, dim=near.shape_q.shape, inputs=[shapes, body_q, near.structs[0]], device=body_q.device)


def find_pairs(
    dtype: Any, shapes: Any, gravity: wp.array, body_v0: wp.array, body_v1: wp.array, near: NearArrays, *,
    margin: float, look_ahead: wp.array, h: float, first_pass: bool, all_pairs: bool = False,
) -> None:  # fmt: skip
    """List the pairs whose bounding spheres are near each other.

    With ``first_pass`` in every world, else in those to be listed anew; with ``all_pairs``, in all marked worlds.
    """
    if near.exhaustive:
        return
    for pairs in near.structs:
        wp.launch(
            make(dtype).pairs, dim=body_v0.shape[0],
            inputs=[
                shapes, gravity, body_v0, body_v1, int(first_pass), int(all_pairs), margin, look_ahead, h, pairs,
            ],
            device=body_v0.device,
        )  # fmt: skip


def find_missed_pairs(
    dtype: Any, shapes: Any, body_v1: wp.array, near: NearArrays, *, look_ahead: wp.array,
    softened_reach: float = 0.0, first_pass: bool = True, failures: SolverReport | None = None,
) -> None:  # fmt: skip
    """Mark the worlds in which a contact may act at ``body_v1`` that was not listed.

    A contact acts only within ``look_ahead`` times the speed at which its two bodies approach after the step, so a list
    for a greater distance is complete; where contact is softened, for a distance greater by ``softened_reach`` [m],
    within which contacts act at any speed. Compares the marked worlds or, in the ``first_pass``, all;
    ``near.listed_v`` then holds, for the worlds marked, the velocities to list the contacts for. With ``failures``
    there is no further detection, and a marked world counts as a failed step.
    """
    report = _no_report(dtype) if failures is None else failures.struct
    last = len(near.structs) - 1
    for i, pairs in enumerate(near.structs):
        wp.launch(
            make(dtype).find_missed_pairs, dim=body_v1.shape[0],
            inputs=[
                shapes, body_v1, int(first_pass), look_ahead, softened_reach, int(i == 0), int(i == last),
                int(failures is not None), pairs, report,
            ],
            device=body_v1.device,
        )  # fmt: skip


@functools.cache
def _no_report(dtype: Any) -> Any:
    return solver_report.make(dtype)()
