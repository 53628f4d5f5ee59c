"""Pairs that rounds of impacts missed: what an impact throws may meet more than what was listed for the speeds before.

After the rounds every pair is compared with the speeds of its bodies before and after their last impact, as
``broad_phase.py`` does after a plain solve. Where a pair was missed, contacts are listed anew, for those speeds, and
the rounds taken again from the start of the step. Where rounds are kept, all worlds take them again: a copy is one of
all worlds.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import bounds, broad_phase
from ..core import model_arrays
from ..core.precision import precision
from ..core.shape_types import TYPE_PLANE
from .round_arrays import Rounds

__all__ = ["TRIES", "find_missed", "look_at", "make"]

TRIES = 3
"""How often the rounds of a step are taken at most, with more contacts each time."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """The kernels for one precision. Forward only."""
    p = precision(dtype)
    vec3, spatial = p.vec3, p.spatial
    near_by, NearPairs = bounds.make(dtype), broad_phase.make_struct(dtype)
    Shapes = model_arrays.make(dtype).Shapes
    ANEW = broad_phase.ANEW

    @wp.func
    def distance(world: int, a: int, b: int, kind_a: int, found: NearPairs):
        """Gap between the bounding spheres of two shapes, or of one and a plane [m]."""
        centre = wp.transform_get_translation(found.shape_q[world, b])
        pose = found.shape_q[world, a]
        between = centre - wp.transform_get_translation(pose)
        gap = wp.length(between) - found.bounding_sphere[world, a][0]
        if kind_a == TYPE_PLANE:
            up = wp.quat_rotate(wp.transform_get_rotation(pose), vec3(dtype(0.0), dtype(0.0), dtype(1.0)))
            gap = wp.dot(up, between)
        return gap - found.bounding_sphere[world, b][0]

    @wp.func
    def begun(world: int, body: int, start: wp.array2d(dtype=dtype)):
        result = dtype(0.0)
        if body >= 0:
            result = start[world, body]
        return result

    @wp.func
    def reach(
        world: int, a: int, b: int, ahead: dtype, shapes: Shapes, mean: wp.array2d(dtype=spatial),
        start: wp.array2d(dtype=dtype), found: NearPairs,
    ):  # fmt: skip
        """Way by which two shapes may come near each other, before and after their last impact [m]."""
        t = wp.max(begun(world, shapes.body[a], start), begun(world, shapes.body[b], start))
        before = near_by.pair_speed(world, a, b, shapes.body, found.bounding_sphere, found.listed_v)
        after = near_by.pair_speed(world, a, b, shapes.body, found.bounding_sphere, mean)
        return before * t + after * (ahead - t)

    @wp.kernel(enable_backward=False, module="unique")
    def missed_kernel(
        shapes: Shapes, looks: wp.array(dtype=int), mean: wp.array2d(dtype=spatial), start: wp.array2d(dtype=dtype),
        look_ahead: wp.array(dtype=dtype), exhaustive: int, tries: wp.array(dtype=int), found: NearPairs,
        # out
        missed: wp.array(dtype=int), again: wp.array(dtype=int),
    ):  # fmt: skip
        world = wp.tid()
        if looks[world] == 0:
            return
        ahead = look_ahead[world]
        one_missed = int(0)
        for k in range(found.count[world]):
            pair = found.pairs[found.near[world, k]]
            if found.gap[world, k] < reach(world, pair[0], pair[1], ahead, shapes, mean, start, found):
                one_missed = int(1)
        greatest = near_by.approach_speed(world, shapes.body, found.bounding_sphere, mean)
        if exhaustive == 0 and ahead * greatest > found.radius[world]:
            k = int(0)  # near pairs stand in the order of all
            for i in range(found.pairs.shape[0]):
                near = int(-1)
                if k < found.count[world]:
                    near = found.near[world, k]
                if near == i:
                    k += 1
                else:
                    a = found.pairs[i][0]
                    b = found.pairs[i][1]
                    way = reach(world, a, b, ahead, shapes, mean, start, found)
                    if way > found.radius[world]:
                        if distance(world, a, b, shapes.kind[a], found) < way:
                            one_missed = int(1)
        if one_missed == 1 and tries[0] + 1 < TRIES:
            missed[world] = 1
            again[0] = 1

    @wp.kernel(enable_backward=False, module="unique")
    def again_kernel(
        all_worlds: int, mean: wp.array2d(dtype=spatial), again: wp.array(dtype=int),
        # in and out
        looks: wp.array(dtype=int), missed: wp.array(dtype=int), tries: wp.array(dtype=int),
        # out
        pending: wp.array(dtype=int), repeat: wp.array(dtype=int), listed_v: wp.array2d(dtype=spatial),
    ):  # fmt: skip
        world = wp.tid()
        if again[0] == 0 or (all_worlds == 0 and missed[world] == 0):
            looks[world] = 0
        repeat[world] = wp.where(looks[world] != 0, ANEW, 0)
        pending[world] = 0
        if missed[world] != 0:
            missed[world] = 0
            for body in range(mean.shape[1]):
                listed_v[world, body] = mean[world, body]
        if world == 0:
            tries[0] = tries[0] + 1

    return SimpleNamespace(missed=missed_kernel, again=again_kernel)


def look_at(rounds: Rounds, marked: wp.array) -> None:
    """Rounds of the ``marked`` worlds, [W], are about to be taken for the first time in a step."""
    wp.copy(rounds.looks, marked)
    rounds.again.fill_(1)


def find_missed(
    dtype: Any, shapes: Any, rounds: Rounds, near: broad_phase.NearArrays, *, look_ahead: wp.array, all_worlds: bool
) -> None:
    """Find out whether rounds are to be taken again, ``rounds.again``, and mark their worlds in ``near.repeat``.

    Args:
        dtype: ``wp.float32`` or ``wp.float64``.
        shapes: Of ``ModelArrays``.
        rounds: Of the step, all of them taken.
        near: Pairs that were listed; ``repeat``, and ``listed_v`` of worlds where one was missed, are written.
        look_ahead: Time [s] within which a contact of moving bodies can act, [W].
        all_worlds: Whether all worlds take their rounds again if one has missed a pair.
    """
    rounds.again.zero_()
    mean, device = rounds.path.mean[0], rounds.looks.device
    for pairs in near.structs:
        wp.launch(
            make(dtype).missed, dim=rounds.looks.shape,
            inputs=[
                shapes, rounds.looks, mean, rounds.path.start[0], look_ahead, int(near.exhaustive), rounds.tries, pairs,
            ],
            outputs=[rounds.missed, rounds.again], device=device,
        )  # fmt: skip
    wp.launch(
        make(dtype).again, dim=rounds.looks.shape, inputs=[int(all_worlds), mean, rounds.again],
        outputs=[rounds.looks, rounds.missed, rounds.tries, rounds.pending, near.repeat, near.listed_v], device=device,
    )  # fmt: skip
