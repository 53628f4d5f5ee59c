"""Contacts of a step at poses within it: what impacts ask of contact geometry. Pure and differentiated."""

import functools
from types import SimpleNamespace
from typing import Any

import warp as wp

from ..collision import contact_geometry, edge_blend, features
from ..collision.features import SHARE_FIXED, SHARE_POLYGON
from ..contact import contact_rows
from ..core.precision import precision

__all__ = ["make", "threads"]


@functools.cache
def make(dtype: Any) -> SimpleNamespace:
    """``FeatureTable``, ``locate``, ``part_of``, ``pose_of`` and ``rounding`` for one precision."""
    p = precision(dtype)
    vec3, transform, epsilon = p.vec3, p.transform, p.epsilon
    geo, rows, hand = contact_geometry.make(dtype), contact_rows.make(dtype), edge_blend.make(dtype)
    FeatureTable = features.make(dtype)

    @wp.func
    def locate(world: int, c: int, xa: transform, xb: transform, f: FeatureTable):
        """Gap [m], unit normal from a to b, and contact point [m] of a contact of bodies in these poses."""
        return geo.locate(
            f.kind[world, c], xa, xb, f.a0[world, c], f.a1[world, c], f.a2[world, c], f.b0[world, c], f.b1[world, c],
            f.radius_a[world, c], f.radius_b[world, c], f.sign[world, c],
        )  # fmt: skip

    @wp.func
    def part_of(world: int, c: int, xa: transform, xb: transform, f: FeatureTable):
        """Share [1] of a contact in the stiffness of its pair."""
        part = f.weight[world, c]
        share = f.share[world, c]
        if share == SHARE_POLYGON:
            part = part * rows.polygon_part(
                world, c, f.patch_start[world, c], f.patch_count[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1
            )
        elif share != SHARE_FIXED:
            part = part * geo.fixed_share(share, f.share_plane[world, c], xa, xb, f.s0[world, c], f.s1[world, c])
        if f.blend[world, c] >= 0:
            part = part * hand.factor(
                world, f.blend[world, c], xa, xb, f.kind, f.a0, f.a1, f.a2, f.b0, f.b1, f.blend_edges
            )
        return part

    @wp.func
    def rounding(point: vec3, arm_a: vec3, arm_b: vec3, u: vec3, h: dtype):
        """Unit of rounding of a gap [m]: that of the contact's place, of its arms [m], and of times in a step [s]."""
        size = wp.length(point) + wp.length(arm_a) + wp.length(arm_b) + h * wp.length(u)
        return dtype(epsilon) * size

    return SimpleNamespace(
        FeatureTable=FeatureTable, locate=locate, part_of=part_of, pose_of=geo.body_pose, rounding=rounding
    )  # fmt: skip


def threads(table: features.Features) -> tuple[int, int]:
    """Worlds, and threads of each that go through its contacts by strides: on a CPU one, since most slots are empty."""
    worlds, capacity = table.kind.shape
    return worlds, capacity if table.kind.device.is_cuda else 1
