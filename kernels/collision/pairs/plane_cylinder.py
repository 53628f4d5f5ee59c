"""Contacts of a half-space with a cylinder, whose rims are circles here: it rolls as smoothly as a capsule.

For all other shapes a cylinder is a prism (``hull_hull.py``), which would roll over its facets. A plane meets
RIM_POINTS points around each rim. The first is the lowest point of the rim, and the others keep their angles from it.
Standing, they share the stiffness equally. Lying, the lowest points of the two rims have all of it, a half each. The
weights change slowly with the tilt, so that they change the energy by little.

The lowest point of an upright cylinder is undefined. Within UPRIGHT (a sine) of it, as many points fixed on the rim
take their place. Equal points round a circle carry the same force and moment at any angle, as long as all of them
touch; so the change from fixed to following points may be quick. Force and torque are differentiable in the pose
throughout, and no contact is listed where its weight is zero.
"""

# Warp: int(0) makes a variable that loops may change, a bare 0 a constant.

import functools
import math
import types
from typing import Any

import warp as wp

from ...core.precision import precision
from .. import feature_table, hulls
from ..features import DISC_ARM, RIM_POINTS, SHARE_LOWEST, SHARE_RIM, SHARE_UPRIGHT, TILTED, UPRIGHT

__all__ = ["make"]


@functools.cache
def make(dtype: Any) -> types.SimpleNamespace:
    """``plane_cylinder(table, world, n, hs, a, b, h, rotation, position, margin) -> n`` for one precision.

    ``rotation``, ``position`` [m] are the pose of the cylinder in the frame of the plane, ``n`` the next free slot,
    ``h`` the prism: its axis is z, its corners lie on the two rims, ``h.rim`` is their radius [m].
    """
    p = precision(dtype)
    vec3, mat33 = p.vec3, p.mat33
    writer = feature_table.make(dtype)
    hull = hulls.make(dtype)
    FeatureTable, Side, Hulls, Hull = writer.FeatureTable, writer.Side, hull.Hulls, hull.Hull
    upright2 = wp.constant(dtype(UPRIGHT * UPRIGHT))
    tilted2 = wp.constant(dtype(TILTED * TILTED))
    part = wp.constant(dtype(2.0 * math.pi / RIM_POINTS))
    disc_arm = wp.constant(dtype(DISC_ARM))
    weight = wp.constant(dtype(1.0 / RIM_POINTS))

    @wp.func
    def plane_cylinder(
        table: FeatureTable, world: int, n: int, hs: Hulls, a: Side, b: Side, h: Hull,
        rotation: mat33, position: vec3, margin: dtype,
    ) -> int:  # fmt: skip
        up = vec3(dtype(0.0), dtype(0.0), dtype(1.0))
        rise = wp.transpose(rotation) * up
        tilt2 = rise[0] * rise[0] + rise[1] * rise[1]
        start = n
        half = wp.abs(hull.vertex(hs, h, h.vertex)[2])
        size = h.rim
        if tilt2 > dtype(0.5):  # nearly lying: a line
            size = half
        lowest = position[2] - wp.abs(rise[2]) * half - h.rim * wp.sqrt(tilt2)
        listing_gap = writer.face_listing_gap(lowest, size, margin)
        for cap in range(2):
            centre = up * (half * dtype(1 - 2 * cap))
            height = position[2] + wp.dot(rise, centre)
            for i in range(RIM_POINTS):
                angle = part * dtype(i)
                turn = vec3(wp.cos(angle), wp.sin(angle), dtype(0.0))
                if tilt2 > upright2 and height - h.rim * wp.sqrt(tilt2) * turn[0] < listing_gap:
                    share = SHARE_RIM
                    if i == 0:
                        share = SHARE_LOWEST
                    n = writer.put_rim(table, world, n, a, b, vec3(), up, turn, centre, up * h.rim, weight)
                    writer.share_by_angle(table, world, n - 1, a, b, share, 0, up, up)
                x = turn * h.rim
                if tilt2 < tilted2 and height + wp.dot(rise, x) < listing_gap:
                    n = writer.put_plane(table, world, n, a, b, vec3(), up, centre + x, weight)
                    writer.share_by_angle(table, world, n - 1, a, b, SHARE_UPRIGHT, 0, up, up)
        writer.lie_on_face(table, world, start, n, disc_arm, dtype(1.0), size)
        return n

    return types.SimpleNamespace(plane_cylinder=plane_cylinder)
