"""Friction of flat faces (``face_friction.py``) whose corners have fixed weights on a plane that stands still.

The usual case, and the fastest: sums are taken in the body's frame, and their adjoint is by hand.
"""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import features
from ..collision.features import FACE_TILT, FLAT, LINE_ARM, SHARE_FIXED
from ..core import model_arrays
from ..core.precision import precision
from . import face_moments

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``flat_on_plane``, ``find_on_plane`` and its adjoint for one precision."""
    p = precision(dtype)
    vec3, quat, mat33, transform = p.vec3, p.quat, p.mat33, p.transform
    of = face_moments.make(dtype)
    FeatureTable, Shapes = features.make(dtype), model_arrays.make(dtype).Shapes
    vec10, moments, mean, spread = of.Moments, of.moments, of.mean, of.spread
    weight_at, lifted, drawn_in = of.weight_at, of.lifted, of.drawn_in

    @wp.func
    def flat_on_plane(kind: int, share: int, body_a: int):
        """Whether a patch with such a first corner has corners of fixed weights on a plane that stands still."""
        return kind == FLAT and share == SHARE_FIXED and body_a < 0

    @wp.func
    def over_plane(world: int, c: int, xb: transform, f: FeatureTable):
        """The plane's normal in the frame of b, and the gap [m] of a corner at b's origin."""
        n = wp.normalize(f.a1[world, c])
        base = (
            wp.dot(n, wp.transform_get_translation(xb) - f.a0[world, c]) - f.radius_a[world, c] - f.radius_b[world, c]
        )
        return wp.quat_rotate_inv(wp.transform_get_rotation(xb), n), base

    @wp.func
    def lowest_on_plane(world: int, start: int, count: int, up: vec3, base: dtype, f: FeatureTable):
        """Slot of the lowest corner, and its gap [m]."""
        lowest = int(start)
        least = wp.dot(up, f.b0[world, start])
        for i in range(1, count):
            rise = wp.dot(up, f.b0[world, start + i])
            if rise < least:
                least = rise
                lowest = start + i
        return lowest, least + base

    @wp.func
    def sums_on_plane(
        world: int, start: int, count: int, up: vec3, base: dtype, height: dtype, lift: dtype, f: FeatureTable
    ):
        """As ``weight_sums`` of a patch that is ``flat_on_plane``, in the frame of b and about the first corner."""
        total = vec10()
        for i in range(count):
            c = start + i
            x = f.b0[world, c]
            deep = (lift - base - wp.dot(up, x)) / height
            if deep > dtype(-1.0):
                total += moments(f.weight[world, c] * weight_at(deep), x - f.b0[world, start])
        return total

    @wp.func
    def find_on_plane(world: int, c: int, corners: int, xb: transform, f: FeatureTable):
        """As ``find_patch`` of a patch that is ``flat_on_plane``."""
        face = f.patch_arm[world, c]
        height = dtype(FACE_TILT) * face[2]
        up, base = over_plane(world, c, xb, f)
        _lowest, gap = lowest_on_plane(world, c, corners, up, base, f)
        sums = sums_on_plane(world, c, corners, up, base, height, lifted(gap, height), f)
        return wp.transform_point(xb, f.b0[world, c] + mean(sums)), drawn_in(sums, face[0], face[1])

    @wp.func
    def turned_by(turn: quat, y: vec3, x: vec3):
        """Derivative of y . rotate(turn, x) by the quaternion."""
        v = vec3(turn[0], turn[1], turn[2])
        w = turn[3]
        d = (y * wp.dot(v, x) + x * wp.dot(v, y) + wp.cross(x, y) * w) * dtype(2.0)
        return quat(d[0], d[1], d[2], dtype(4.0) * w * wp.dot(x, y) + dtype(2.0) * wp.dot(wp.cross(v, x), y))

    @wp.kernel(enable_backward=False, module="unique")
    def plane_adjoint_kernel(
        shapes: Shapes, body_q: wp.array2d(dtype=transform), f: FeatureTable, stride: int,
        # in, and cleared
        adj_centre: wp.array2d(dtype=vec3), adj_pull: wp.array2d(dtype=dtype),
        # out
        adj_q: wp.array2d(dtype=transform),
    ):  # fmt: skip
        """Adjoint of ``find_on_plane`` by hand, for speed: that of a loop takes each pass of it several times.

        With m the weighted mean and C the covariance of the corners x, C' = dL/dC and so on,

            dL/dw = (m' (x - m) + (x - m) C' (x - m) - C : C')/s,  s the sum of the weights

        where C : C' = 0, since roundness is the same for any multiple of C. In b's frame the corners stand still.
        """
        world, first = wp.tid()
        zero = dtype(0.0)
        for k in range((f.count[world] - first + stride - 1) / stride):
            c = first + k * stride
            corners = f.patch_count[world, c]
            if corners == 0 or f.patch_start[world, c] != c:
                continue
            if not flat_on_plane(f.kind[world, c], f.share[world, c], shapes.body[f.shape_a[world, c]]):
                continue
            b = shapes.body[f.shape_b[world, c]]
            mean_bar = adj_centre[world, c]
            pull_bar = adj_pull[world, c]
            adj_centre[world, c] = vec3()
            adj_pull[world, c] = zero
            if b < 0:
                continue
            xb = body_q[world, b]
            face = f.patch_arm[world, c]
            height = dtype(FACE_TILT) * face[2]
            n = wp.normalize(f.a1[world, c])
            up, base = over_plane(world, c, xb, f)
            lowest, gap = lowest_on_plane(world, c, corners, up, base, f)
            lift = lifted(gap, height)
            s = sums_on_plane(world, c, corners, up, base, height, lift, f)
            total = s[0]
            m = mean(s)
            turn = wp.transform_get_rotation(xb)
            mean_in_b = wp.quat_rotate_inv(turn, mean_bar)
            spread_bar = mat33()
            trace, roundness = spread(s)
            ratio = zero
            if face[1] > dtype(1.0e-6):
                ratio = roundness / face[1]
            if ratio > zero and ratio < dtype(1.0):
                covariance = mat33(
                    s[4], s[7], s[8],
                    s[7], s[5], s[9],
                    s[8], s[9], s[6],
                ) / total - wp.outer(m, m)  # fmt: skip
                bent = face[0] - dtype(LINE_ARM)
                round_bar = -pull_bar * bent * dtype(2.0) * (dtype(1.0) - ratio) / face[1]
                even = (dtype(2.0) - roundness) * trace * dtype(0.5)
                eye = wp.identity(n=3, dtype=dtype)
                spread_bar = (eye * even - covariance) * (dtype(4.0) * round_bar / (trace * trace))
            moment = vec3()  # sum of the corners times their gaps' adjoints
            force = zero
            for i in range(corners):
                x = f.b0[world, c + i]
                deep = (lift - base - wp.dot(up, x)) / height
                if deep > dtype(-1.0):
                    off = x - f.b0[world, c] - m
                    weight_bar = f.weight[world, c + i] / total * wp.dot(mean_in_b + spread_bar * off, off)
                    rate = dtype(4.0)
                    if deep < dtype(1.0):
                        rate = dtype(2.0) * (dtype(1.0) + deep)
                    gap_bar = -weight_bar * rate / height
                    moment += x * gap_bar
                    force += gap_bar
            follows = wp.clamp(dtype(2.0) * gap / height, zero, dtype(1.0))  # how much the lift does
            moment -= f.b0[world, lowest] * (force * follows)
            force -= force * follows
            turned = turned_by(turn, mean_bar, f.b0[world, c] + m) + turned_by(turn, n, moment)
            wp.atomic_add(adj_q, world, b, wp.transformation(mean_bar + n * force, turned, dtype=dtype))

    return SimpleNamespace(flat_on_plane=flat_on_plane, find_on_plane=find_on_plane, adjoint=plane_adjoint_kernel)
