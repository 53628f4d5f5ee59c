"""Contact features, the result of detection and the input of contact geometry.

Detection is not differentiated. It freezes for every contact a *feature*: points and directions that are fixed in the
frames of the two bodies. ``contact_geometry.py`` computes gap, normal and point from feature and poses, and is
differentiated. Features are in body frames (the world frame for static shapes), so that geometry needs neither shape
types nor shape poses.

Every contact has an ordered pair of shapes (a, b), a being the one that holds the reference feature. The unit normal
points from a to b. ``na``, ``nb`` are unit directions, the rest are points [m]:

=====  ==================  ===================  ==============================================================
kind   on a                on b                 gap (before the radii are subtracted)
=====  ==================  ===================  ==============================================================
POINT  a0 point            b0 point             distance of the points
LINE   a0, a1 = direction  b0 point             distance of the point from the line
FLAT   a0, a1 = normal     b0 point             height of the point over the plane
CROSS  a0, a1 = direction  b0, b1 = direction   sign * (a1 x b1)/|a1 x b1| . (b0 - a0)
CLIP   a0, a1 = normal,    b0, b1 = direction   height over the plane (a0, a1) of the point where the line
       a2 = side normal                         (b0, b1) meets the side plane (a0, a2)
DROP   a0, a1 = normal     b0, b1 = normal      height over the plane (a0, a1) of the point where the line
                                                (a0, direction a1) meets the plane (b0, b1)
RIM    a0, a1 = normal     b0, b1 = axis        height over the plane (a0, a1) of a point of the circle about b0 whose
                                                axis is b1 and whose radius is the length of b1 [m]: the lowest point,
                                                turned about the axis by the angle of cosine a2[0] and sine a2[1]
=====  ==================  ===================  ==============================================================

``weight`` is the contact's share of the pair's stiffness, so that a patch is as stiff with two corners as with eight:

* SHARE_FIXED: ``weight`` alone.
* SHARE_CROSSED: ``weight * s^2/(s^2 + PARALLEL^2)``, s the sine of the angle between the directions a1 and b1: fades in
  as two axes cross. (For a plane on a, s is the *sine of the angle between the direction b1 and the plane*.)
* SHARE_PARALLEL: ``weight * PARALLEL^2/(s^2 + PARALLEL^2)``: the rest beside SHARE_CROSSED.
* SHARE_POLYGON: ``weight`` times half of the length of the two polygon edges that meet in this corner over the
  perimeter. The corners of the polygon are the contacts ``patch_start .. patch_start + patch_count - 1``, in order
  around it. Continuous when a corner splits in two or two corners merge.

* SHARE_RIM: ``weight * g * (1 - s^2)``, g a smooth step from 0 to 1 as s goes from UPRIGHT to TILTED, x^2 (3 - 2 x) of
  x = (s^2 - UPRIGHT^2)/(TILTED^2 - UPRIGHT^2): nothing where a RIM has no lowest point.
* SHARE_LOWEST: ``weight * g * (1 + (RIM_POINTS/2 - 1) s^2)``: from one of RIM_POINTS to half of the stiffness.
* SHARE_UPRIGHT: ``weight * (1 - g)``: the rest beside these two.

A pair of hulls between a face's polygon and a crossing of edges lists both, blended (``edge_blend.py``). Each
of these contacts has ``blend`` = 4 * slot of the polygon's first corner + 2 if it is the crossing + 1 if its shape a
is the polygon's b; all others -1. The rows of ``blend_edges`` in that first slot are, in the frames of the bodies of
the polygon's a and b: a point and the unit direction of a's edge, the same of b's edge, b's lowest vertex over the
face, and (sign of the normal, width w [m] of the change, offset of the slot of the lowest corner).

Contacts of a pair that lie on one flat face are a *patch*: ``patch_start``, ``patch_count`` as for polygons; a count of
0 stands for a contact of its own. Friction of a patch acts as under even pressure, see ``contact/face_friction.py``:
``patch_arm``, in the slot of its first corner, holds (arm, roundness, size): the even face's mean distance from its
centre over that of its corners, how round these lie, and their mean distance [m]. For polygons they follow from
the corners.

For all but the polygon the directions are ``s0`` (on a) and ``s1`` (on b); ``share_plane`` says whether s0
is a plane's normal instead of a direction.
"""

import functools
from dataclasses import dataclass
from typing import Any

import warp as wp

from ..core.precision import precision
from ..core.struct_arguments import filled

__all__ = [
    "CLIP", "CROSS", "DISC_ARM", "DROP", "FACE_TILT", "FLAT", "LINE", "LINE_ARM", "PARALLEL", "POINT",
    "POLYGON_CORNERS", "RIM", "RIM_POINTS", "SHARE_CROSSED", "SHARE_FIXED", "SHARE_LOWEST", "SHARE_PARALLEL",
    "SHARE_POLYGON", "SHARE_RIM", "SHARE_UPRIGHT", "TILTED", "UPRIGHT", "Features", "make",
]  # fmt: skip

POLYGON_CORNERS = 8
"""Contacts that a polygon may have."""

POINT = wp.constant(0)
LINE = wp.constant(1)
FLAT = wp.constant(2)
CROSS = wp.constant(3)
CLIP = wp.constant(4)
DROP = wp.constant(5)
RIM = wp.constant(6)

SHARE_FIXED = wp.constant(0)
SHARE_CROSSED = wp.constant(1)
SHARE_PARALLEL = wp.constant(2)
SHARE_POLYGON = wp.constant(3)
SHARE_RIM = wp.constant(4)
SHARE_LOWEST = wp.constant(5)
SHARE_UPRIGHT = wp.constant(6)

PARALLEL = 0.05
"""Sine of the angle [1] at which a pair of axes counts as half parallel."""

RIM_POINTS = 8
"""Points of a cylinder's rim that a plane may touch; an even number."""

LINE_ARM = 0.5
"""Mean distance of an even line from its middle, over that of its ends [1]."""

FACE_TILT = 0.03
"""Height in parts of a face's size (the mean distance of its corners from their centre) at which a corner that lifts
off ceases to count for friction: a degree or two. All corners of a face that touches are listed up to there."""

DISC_ARM = 2.0 / 3.0
"""Mean distance of a disc from its middle, over that of its rim [1]."""

UPRIGHT, TILTED = 1e-4, 3e-4
"""Sines of the angle [1] between a cylinder's axis and a plane's normal between which its contact points, fixed on the
rim below, begin to follow the lowest point."""


@functools.cache
def make(dtype: Any) -> Any:
    """The struct ``FeatureTable`` for one precision: the arrays of ``Features`` as one argument of kernels."""
    p = precision(dtype)
    vec3 = p.vec3

    @wp.struct
    class FeatureTable:
        """Contact features; fields as in ``Features``."""

        count: wp.array(dtype=wp.int32)
        needed: wp.array(dtype=wp.int32)
        kind: wp.array2d(dtype=wp.int32)
        shape_a: wp.array2d(dtype=wp.int32)
        shape_b: wp.array2d(dtype=wp.int32)
        a0: wp.array2d(dtype=vec3)
        a1: wp.array2d(dtype=vec3)
        a2: wp.array2d(dtype=vec3)
        b0: wp.array2d(dtype=vec3)
        b1: wp.array2d(dtype=vec3)
        radius_a: wp.array2d(dtype=dtype)
        radius_b: wp.array2d(dtype=dtype)
        sign: wp.array2d(dtype=dtype)
        weight: wp.array2d(dtype=dtype)
        share: wp.array2d(dtype=wp.int32)
        share_plane: wp.array2d(dtype=wp.int32)
        s0: wp.array2d(dtype=vec3)
        s1: wp.array2d(dtype=vec3)
        patch_start: wp.array2d(dtype=wp.int32)
        patch_count: wp.array2d(dtype=wp.int32)
        patch_arm: wp.array2d(dtype=vec3)
        blend: wp.array2d(dtype=wp.int32)
        blend_edges: wp.array2d(dtype=p.mat63)

    return FeatureTable


@dataclass(frozen=True)
class Features:
    """Contact features of every world; see the module's table. All shapes are [worlds, capacity] unless noted.

    Frozen, since ``struct`` is filled once.
    """

    count: wp.array  # int32 [worlds]: contacts listed (never more than the capacity)
    needed: wp.array  # int32 [worlds]: contacts found, running maximum until it is more than the capacity: overflow
    kind: wp.array  # int32
    shape_a: wp.array  # int32
    shape_b: wp.array  # int32
    a0: wp.array  # vec3, frame of a's body
    a1: wp.array  # vec3, frame of a's body
    a2: wp.array  # vec3, frame of a's body
    b0: wp.array  # vec3, frame of b's body
    b1: wp.array  # vec3, frame of b's body
    radius_a: wp.array  # scalar [m]
    radius_b: wp.array  # scalar [m]
    sign: wp.array  # scalar, +1 or -1: orients CROSS, and the normal of POINT and LINE where their distance is 0
    weight: wp.array  # scalar [1]
    share: wp.array  # int32
    share_plane: wp.array  # int32
    s0: wp.array  # vec3, frame of a's body
    s1: wp.array  # vec3, frame of b's body
    patch_start: wp.array  # int32
    patch_count: wp.array  # int32
    patch_arm: wp.array  # vec3 (1, 1, m)
    blend: wp.array  # int32
    blend_edges: wp.array  # mat63

    @functools.cached_property
    def struct(self) -> Any:
        """The struct ``FeatureTable`` of these arrays."""
        struct = make(self.weight.dtype)
        return filled(struct, **{name: getattr(self, name) for name in struct.vars})

    @classmethod
    def allocate(cls, worlds: int, capacity: int, dtype: Any, device: Any) -> "Features":
        """Empty feature table for ``worlds`` worlds of at most ``capacity`` contacts each."""
        p = precision(dtype)
        shape = (worlds, capacity)

        def ints() -> wp.array:
            return wp.zeros(shape, dtype=wp.int32, device=device)

        def scalars() -> wp.array:
            return wp.zeros(shape, dtype=p.scalar, device=device)

        def vectors() -> wp.array:
            return wp.zeros(shape, dtype=p.vec3, device=device)

        return cls(
            count=wp.zeros(worlds, dtype=wp.int32, device=device),
            needed=wp.zeros(worlds, dtype=wp.int32, device=device),
            kind=ints(), shape_a=ints(), shape_b=ints(),
            a0=vectors(), a1=vectors(), a2=vectors(), b0=vectors(), b1=vectors(),
            radius_a=scalars(), radius_b=scalars(), sign=scalars(), weight=scalars(),
            share=ints(), share_plane=ints(), s0=vectors(), s1=vectors(),
            patch_start=ints(), patch_count=ints(), patch_arm=vectors(),
            blend=wp.full(shape, -1, dtype=wp.int32, device=device),
            blend_edges=wp.zeros(shape, dtype=p.mat63, device=device),
        )  # fmt: skip
