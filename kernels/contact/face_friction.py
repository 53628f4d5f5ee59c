"""Friction of flat faces: what the corners of a patch need so that they resist turning as even pressure would.

The load of a face rests on its corners, which is right for its tilt, but friction there has too long an arm: a square
that turns on its corners is held 1.85 times as much as one under even pressure. So the friction of a corner acts at a
point that is drawn in towards the centre of pressure, while its normal force stays where it is:

    centre   = sum w r / sum w             r the corners' positions, w their weights
    point    = r + d,  d = (1 - arm) (centre - r)
    velocity = u + twist (n.w),  twist = n x d,  w the relative angular velocity, u the relative velocity at r

d lies in the face, so only turning about the normal changes; the velocity is linear in those of the bodies as before,
and the energy stays convex.

Weights follow from the poses: w = part f((lift - gap)/height), part the corner's share of the stiffness, f(x) =
(1 + x)^2 from the height at which a corner ceases to count to the same depth, 4 x below. Corners that touch less deeply
than that count nearly alike, as they do in near-rigid contact, soft ones by their depths. The height is FACE_TILT times
the face's size: detection lists all corners up to there once one of them is within the margin, so none has a weight
that is not listed. ``lift`` is 0 where the lowest corner touches and follows its gap where it is up (a quadratic in
between), so that a face that lands level, or rests on softened contact, counts as one. A corner alone is its own
centre, and its friction has no shift. Friction of a face that is loaded to one side, though still flat, acts at arm
times the load's distance from the middle, neither at the middle, as under even pressure, nor at the load.
(The corners' forces cannot be had before the solve. Those at the start of the step hold, while slip changes, several
times the load that the slip-corrected law makes up for in depth, or none.)

``arm`` is the mean distance of the face from its centre over that of its corners (square 0.541, hexagon 0.608, disc
2/3, line 1/2). The weights decide between face and line: with the roundness e = 4 det C / (tr C)^2 of their
covariance C, and q = min(e / that of the face, 1), it is 1/2 + (arm of the face - 1/2) q (2 - q).
Faces on planes bring their arms along (``collision/features.py``); those of polygons follow from their second moments.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import contact_geometry, features
from ..collision.features import FACE_TILT, LINE_ARM, SHARE_POLYGON, Features
from ..core import model_arrays
from ..core.adjoint_arrays import Adjoints
from ..core.adjoint_inputs import by_name
from ..core.model_arrays import ModelArrays
from ..core.precision import precision
from . import face_moments, face_on_plane, rows_lanes
from .row_arrays import ContactRows

__all__ = ["find_adjoint", "find_plane_adjoint", "make"]

LINE, SQUARE = 3.0**0.5 / 2.0, 0.9372
"""Mean over root mean square distance from the middle, of an even line and of an even square."""

BEND = 1.17
"""Between the two, roundness e counts as e (1 + BEND)/(e + BEND): exact to 0.3 % for rectangles."""


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``twist``, the functions that find centre and pull of a patch, and their adjoints, for one precision."""
    p = precision(dtype)
    vec3, transform = p.vec3, p.transform
    geo, of, flat = contact_geometry.make(dtype), face_moments.make(dtype), face_on_plane.make(dtype)
    FeatureTable, Shapes = features.make(dtype), model_arrays.make(dtype).Shapes
    vec10, moments, mean, spread = of.Moments, of.moments, of.mean, of.spread
    weight_at, lifted, drawn_in = of.weight_at, of.lifted, of.drawn_in
    flat_on_plane = flat.flat_on_plane
    bulge = (SQUARE - LINE) * (1.0 + BEND)

    @wp.func
    def twist(n: vec3, point: vec3, centre: vec3, pull: dtype):
        """Velocity of a contact's friction against that of its normal force, for turning about ``n`` at 1 rad/s [m]."""
        return wp.cross(n, (centre - point) * pull)

    @wp.func
    def half_sides(
        world: int, c: int, start: int, count: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Half of the length of the two sides that meet in a polygon's corner [m]."""
        before = geo.next_corner(world, c, -1, start, count, xa, xb, kind, a0, a1, a2, b0, b1)
        here = geo.next_corner(world, c, 0, start, count, xa, xb, kind, a0, a1, a2, b0, b1)
        after = geo.next_corner(world, c, 1, start, count, xa, xb, kind, a0, a1, a2, b0, b1)
        return dtype(0.5) * (wp.length(here - before) + wp.length(after - here))

    @wp.func
    def polygon_sums(
        world: int, start: int, count: int, origin: vec3, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Moments about ``origin`` of a polygon's corners, weighted by their sides."""
        total = vec10()
        for i in range(count):
            c = start + i
            here = geo.next_corner(world, c, 0, start, count, xa, xb, kind, a0, a1, a2, b0, b1)
            part = half_sides(world, c, start, count, xa, xb, kind, a0, a1, a2, b0, b1)
            total += moments(part, here - origin)
        return total

    @wp.func
    def area_sums(
        world: int, start: int, count: int, origin: vec3, n: vec3, xa: transform, xb: transform,
        kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Moments about ``origin`` of a polygon's area, by triangles with ``origin``."""
        total = vec10()
        for i in range(count):
            c = start + i
            x = geo.next_corner(world, c, 0, start, count, xa, xb, kind, a0, a1, a2, b0, b1) - origin
            y = geo.next_corner(world, c, 1, start, count, xa, xb, kind, a0, a1, a2, b0, b1) - origin
            part = dtype(0.5) * wp.dot(n, wp.cross(x, y))
            # three points, midway along the sides of the triangle, have all its moments up to the second
            third = part / dtype(3.0)
            half = dtype(0.5)
            total += moments(third, x * half) + moments(third, y * half) + moments(third, (x + y) * half)
        return total

    @wp.func
    def gap_of(
        world: int, c: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int), a0: wp.array2d(dtype=vec3),
        a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3), b0: wp.array2d(dtype=vec3),
        b1: wp.array2d(dtype=vec3), radius_a: wp.array2d(dtype=dtype), radius_b: wp.array2d(dtype=dtype),
        sign: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        gap, _n, _point = geo.locate(
            kind[world, c], xa, xb, a0[world, c], a1[world, c], a2[world, c], b0[world, c], b1[world, c],
            radius_a[world, c], radius_b[world, c], sign[world, c],
        )  # fmt: skip
        return gap

    @wp.func
    def lowest_of(
        world: int, start: int, count: int, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3), radius_a: wp.array2d(dtype=dtype),
        radius_b: wp.array2d(dtype=dtype), sign: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Slot of a patch's lowest corner."""
        lowest = int(start)
        least = dtype(1.0e30)
        for i in range(count):
            gap = gap_of(world, start + i, xa, xb, kind, a0, a1, a2, b0, b1, radius_a, radius_b, sign)
            if gap < least:
                least = gap
                lowest = start + i
        return lowest

    @wp.func(inline=True)
    def weight_sums(
        world: int, start: int, count: int, origin: vec3, height: dtype, lift: dtype, xa: transform, xb: transform,
        f: FeatureTable,
    ):  # fmt: skip
        """Moments about ``origin`` of the corners' weights, which end at ``height`` over ``lift`` [m]."""
        total = vec10()
        for i in range(count):
            c = start + i
            gap, _n, point = geo.locate(
                f.kind[world, c], xa, xb, f.a0[world, c], f.a1[world, c], f.a2[world, c], f.b0[world, c],
                f.b1[world, c], f.radius_a[world, c], f.radius_b[world, c], f.sign[world, c],
            )  # fmt: skip
            part = f.weight[world, c]
            if f.share[world, c] == SHARE_POLYGON:
                part = part * half_sides(world, c, start, count, xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1)
            else:
                part = part * geo.fixed_share(
                    f.share[world, c], f.share_plane[world, c], xa, xb, f.s0[world, c], f.s1[world, c]
                )
            total += moments(part * weight_at((lift - gap) / height), point - origin)
        return total

    @wp.func
    def of_polygon(
        world: int, c: int, corners: int, origin: vec3, xa: transform, xb: transform, kind: wp.array2d(dtype=int),
        a0: wp.array2d(dtype=vec3), a1: wp.array2d(dtype=vec3), a2: wp.array2d(dtype=vec3),
        b0: wp.array2d(dtype=vec3), b1: wp.array2d(dtype=vec3),
    ):  # fmt: skip
        """Arm, roundness and size [m] of a polygon."""
        n = wp.normalize(wp.transform_vector(xa, a1[world, c]))
        outline = polygon_sums(world, c, corners, origin, xa, xb, kind, a0, a1, a2, b0, b1)
        across, even = spread(outline)
        arm = dtype(LINE_ARM)
        area = area_sums(world, c, corners, origin, n, xa, xb, kind, a0, a1, a2, b0, b1)
        if wp.abs(area[0]) > dtype(1.0e-6) * outline[0] * outline[0]:
            within, compact = spread(area)
            shape = dtype(LINE) + dtype(bulge) * compact / (compact + dtype(BEND))
            arm = shape * wp.sqrt(within / across)
        return arm, even, wp.sqrt(across)

    @wp.func(inline=True)
    def find_patch(world: int, c: int, corners: int, xa: transform, xb: transform, f: FeatureTable):
        """Middle of a patch [m] and how far friction is drawn in there."""
        origin = geo.core_point_b(
            f.kind[world, c], xa, xb, f.a0[world, c], f.a1[world, c], f.a2[world, c], f.b0[world, c], f.b1[world, c]
        )
        arm = f.patch_arm[world, c][0]
        even = f.patch_arm[world, c][1]
        size = f.patch_arm[world, c][2]
        if f.share[world, c] == SHARE_POLYGON:
            arm_polygon, even_polygon, size_polygon = of_polygon(
                world, c, corners, origin, xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1
            )
            arm = arm_polygon
            even = even_polygon
            size = size_polygon
        height = dtype(FACE_TILT) * size
        lowest = lowest_of(
            world, c, corners, xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.radius_a, f.radius_b, f.sign
        )
        gap = gap_of(world, lowest, xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.radius_a, f.radius_b, f.sign)
        sums = weight_sums(world, c, corners, origin, height, lifted(gap, height), xa, xb, f)
        return origin + mean(sums), drawn_in(sums, arm, even)

    @wp.func(inline=True)
    def find_at(
        world: int, c: int, xa: transform, xb: transform, f: FeatureTable, centre: wp.array2d(dtype=vec3),
        pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        middle, drawn = find_patch(world, c, f.patch_count[world, c], xa, xb, f)
        centre[world, c] = middle
        pull[world, c] = drawn

    @wp.func_replay(find_at)
    def find_again(
        world: int, c: int, xa: transform, xb: transform, f: FeatureTable, centre: wp.array2d(dtype=vec3),
        pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        """Nothing: the pass before an adjoint needs neither."""
        return

    @wp.kernel(module="unique")
    def find_kernel(
        shapes: Shapes, body_q: wp.array2d(dtype=transform), f: FeatureTable, stride: int,
        # out, in the slot of a patch's first corner
        centre: wp.array2d(dtype=vec3), pull: wp.array2d(dtype=dtype),
    ):  # fmt: skip
        world, thread = wp.tid()
        steps = (f.count[world] - thread + stride - 1) / stride
        for k in range(steps):
            c = thread + (steps - 1 - k) * stride  # the adjoint then adds in the contacts' order
            if f.patch_count[world, c] > 0 and f.patch_start[world, c] == c:
                a = shapes.body[f.shape_a[world, c]]
                if not flat_on_plane(f.kind[world, c], f.share[world, c], a):
                    xa = geo.body_pose(body_q, world, a)
                    xb = geo.body_pose(body_q, world, shapes.body[f.shape_b[world, c]])
                    find_at(world, c, xa, xb, f, centre, pull)

    return SimpleNamespace(
        twist=twist, flat_on_plane=flat_on_plane, find_on_plane=flat.find_on_plane, find_patch=find_patch,
        kernel=find_kernel,
    )  # fmt: skip


THREADS_PER_WORLD = 32


def find_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, features: Features, rows: ContactRows, adjoints: Adjoints
) -> None:  # fmt: skip
    """Hand the adjoints of centre and pull, which ``contact_rows.prepare`` found, to the poses, and clear them."""
    m, f, g = model, features, adjoints
    if rows_lanes.serves(m, rows):
        rows_lanes.patch_adjoint(dtype, m, body_q, f, g)
        return
    find_plane_adjoint(dtype, m, body_q, f, g)
    if not model.other_patches:
        return
    kernel = make(dtype).kernel
    worlds, capacity = f.kind.shape
    stride = capacity if body_q.device.is_cuda else 1
    wp.launch(
        kernel,
        dim=(worlds, stride),
        inputs=[m.shapes, body_q, f.struct, stride],
        outputs=[rows.centre, rows.pull],
        adjoint=True,
        adj_inputs=by_name(kernel, body_q=g.body_q, centre=g.centre, pull=g.pull),
        device=body_q.device,
    )  # fmt: skip
    g.centre.zero_()
    g.pull.zero_()


def find_plane_adjoint(
    dtype: Any, model: ModelArrays, body_q: wp.array, features: Features, adjoints: Adjoints
) -> None:
    """The part of ``find_adjoint`` of faces on planes that stand still."""
    worlds, capacity = features.kind.shape
    stride = min(capacity, THREADS_PER_WORLD) if body_q.device.is_cuda else 1
    wp.launch(
        face_on_plane.make(dtype).adjoint,
        dim=(worlds, stride),
        inputs=[model.shapes, body_q, features.struct, stride],
        outputs=[adjoints.centre, adjoints.pull, adjoints.body_q],
        device=body_q.device,
    )
