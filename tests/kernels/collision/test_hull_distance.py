"""Convex pairs against distance and depth computed by Qhull and least squares, against boxes, and against spheres.

The reference is the Minkowski difference of the two hulls, all differences of their vertices: the depth of an overlap
is the least distance of its faces from the origin (Qhull), the distance of hulls apart its least point (Lawson and
Hanson).
"""

from collections import Counter

import numpy as np
import pytest
import warp as wp
from scipy.spatial import ConvexHull

from carom.kernels.collision import features as F  # noqa: N812
from carom.kernels.collision.pairs.box_box import SWITCH
from carom.sim.scene.convex_hull import convex_hull, prism_points

from . import feature_reference as ref
from .test_hull_pairs import BOX, CAPSULE, HULLS, PAIRS, PLANE, SPHERE, distance, pair_of, placed, random_poses
from .test_pair_continuity import wrench

HULLS["coin"], _ = convex_hull(prism_points(0.08, 0.02, 16), "coin")
HULLS["cylinder"], _ = convex_hull(prism_points(0.06, 0.07, 24), "cylinder")
PAIRS = [*PAIRS, ("cloud", "icosahedron")]
ROUND = [("box", "cylinder"), ("cylinder", "cylinder"), ("coin", "coin"), ("coin", "cylinder")]
"""Polygons of more than eight corners."""
POSES = 500
EXACT = 1e-9
SIZE = (0.1, 0.08, 0.06)


def signed_distance(a, b):
    """Distance [m] of the hulls of points a and b, negative where they overlap: how far to move until they part."""
    depth = ConvexHull((b[None] - a[:, None]).reshape(-1, 3)).equations[:, 3].max()
    return depth if depth < 0 else distance(a, b)


def signed_distances(names, poses):
    return np.array(
        [signed_distance(*(placed(HULLS[n].vertices, p) for n, p in zip(names, q, strict=True))) for q in poses]
    )


def listed(names, poses, margin, dtype=wp.float64):
    first = (BOX, SIZE) if names[0] == "box" else names[0]
    return pair_of(first, names[1], dtype, "cpu").detect(poses, margin)


def least_gap(contacts, margin=np.inf):
    """The least gap of each world, infinite where nothing nearer than the margin is listed."""
    gap = np.where(contacts.listed, contacts.gap, np.inf).min(axis=1)
    return np.where(gap < margin, gap, np.inf)


def test_gap_is_the_signed_distance_or_a_polygon():
    """3000 poses. A contact of two edges, or of closest points, is exact. A polygon differs for one of two reasons:

    * it is preferred: faces hand over to edges while their polygon is deeper by half to 1.5 times SWITCH of the
      inscribed radius, and the first hull's win against the second's up to SWITCH of it. This is the only reason why a
      gap is less than the distance;
    * the lowest vertex over the reference face lies outside of the outline, by so little that the polygon lies higher
      by less than SWITCH of the inscribed radius. Of hulls that are apart it is always this.
    """
    count = Counter()
    for names in PAIRS:
        poses = random_poses(np.random.default_rng(1), POSES, (0.02, 0.25))
        exact = signed_distances(names, poses)
        _, c = listed(names, poses, 1.0)
        gap = least_gap(c)
        off = gap - exact
        polygon = c.share[:, 0] == F.SHARE_POLYGON
        assert c.listed.any(axis=1).all()
        assert np.abs(off[~polygon]).max() < EXACT
        apart = exact >= 0
        assert off[apart].min() > -EXACT
        switch = SWITCH * min(HULLS[n].size[2] for n in names)
        assert off[~apart].min() > -2 * switch - EXACT
        assert off.max() < switch + EXACT
        lowest = np.array(
            [
                (placed(HULLS[names[1 - s]].vertices, q[1 - s]) @ n).min() - p @ n
                for s, q, n, p in zip(c.shape_a[:, 0], poses, c.normal[:, 0], c.point_a[:, 0], strict=True)
            ]
        )
        differs, outside = polygon & (np.abs(off) > EXACT), gap > lowest + EXACT
        assert (outside | ~apart | ~differs).all()
        assert (outside | (off < EXACT)).all()
        count.update(apart=apart.sum(), overlap=(~apart).sum())
        count.update(apart_differs=(apart & differs).sum(), overlap_differs=(~apart & differs).sum())
    assert count["overlap"] > 2000  # 2083 and 917; of these 590 and 94 differ
    assert count["apart"] > 900
    assert count["overlap_differs"] < 0.3 * count["overlap"]
    assert count["apart_differs"] < 0.11 * count["apart"]


@pytest.mark.parametrize("names", ROUND)
def test_the_eight_corners_that_are_kept_hold_the_deepest(names):
    """Faces of many corners at all angles: the depth is that of the polygon before it is reduced.

    The tolerances are those of the test above. Corners chosen by their place in the face alone lost up to 7 mm.
    """
    poses = random_poses(np.random.default_rng(1), POSES, (0.02, 0.25))
    exact = signed_distances(names, poses)
    off = least_gap(listed(names, poses, 1.0)[1]) - exact
    switch = SWITCH * min(HULLS[n].size[2] for n in names)
    assert (exact < 0).sum() > 200
    assert off.max() < switch + EXACT
    assert off.min() > -2 * switch - EXACT


@pytest.mark.parametrize(("names", "dtype"), [(PAIRS[0], wp.float32), *((names, wp.float64) for names in PAIRS)])
def test_small_margin_sees_what_overlaps_and_nothing_that_is_apart(names, dtype):
    """Also where only an edge of each separates hulls, whose faces' separations are less than minus the margin."""
    margin = 0.001
    poses = random_poses(np.random.default_rng(2), POSES, (0.02, 0.25))
    exact = signed_distances(names, poses)
    rounding = 1e-6 if dtype is wp.float32 else EXACT
    _, c = listed(names, poses, margin, dtype)
    gap = least_gap(c, margin)
    assert (gap[exact > margin + rounding] == np.inf).all()
    assert (gap[exact < -rounding] < margin).all()
    every = least_gap(listed(names, poses, 1.0, dtype)[1])
    clear = exact < -3 * SWITCH * HULLS[names[0]].size[2]
    np.testing.assert_allclose(gap[clear], every[clear], atol=rounding)


@pytest.mark.parametrize("margin", [0.002, 1.0])
def test_boxes_given_as_hulls(margin):
    """2000 poses: the force and torque of two boxes, but where hulls hand over between polygon and edges.

    There boxes take one or the other, also at angles at which the edges of hulls do not count yet. And boxes take lines
    for edges where hulls know the distance, in 3 % of the poses apart.
    """
    poses = random_poses(np.random.default_rng(2), 2000, (0.03, 0.25))
    exact = signed_distances(("box", "box"), poses)
    apart = exact > 0
    switch = SWITCH * min(SIZE)
    _, box = ref.Pair((BOX, BOX), [SIZE, SIZE], wp.float64, "cpu").detect(poses, margin)
    for first in ("box", (BOX, SIZE)):
        features, c = pair_of(first, "box", wp.float64, "cpu").detect(poses, margin)
        same = np.abs(wrench(c, margin) - wrench(box, margin)).max(axis=1) < EXACT
        handing = (c.listed & (features.blend.numpy() >= 0)).any(axis=1)
        flat = (box.kind[:, 0] == F.CROSS) & (c.share[:, 0] == F.SHARE_POLYGON)
        assert (same | handing | flat)[~apart].mean() > 0.998
        assert same[~apart].mean() > 0.75  # 0.78
        assert (same | handing | flat)[apart].mean() > 0.97
        off = (least_gap(c) - exact)[~same]
        assert off.min() > -2 * switch - EXACT
        assert off.max() < switch + EXACT


def test_a_hull_of_a_sphere_is_nearly_a_sphere():
    """Against plane, sphere and capsule the gap of a hull of 64 points lies between those of its two spheres."""
    k = np.arange(64) + 0.5
    z, angle = 1 - 2 * k / 64, k * np.pi * (3 - 5**0.5)
    flat = np.sqrt(1 - z * z)
    HULLS["ball"], _ = convex_hull(0.1 * np.column_stack([flat * np.cos(angle), flat * np.sin(angle), z]), "ball")
    outer, _, inner = HULLS["ball"].size
    assert inner > 0.09
    poses = random_poses(np.random.default_rng(3), 1000, (0.05, 0.3))
    for kind, radius, half in ((PLANE, 0.0, 0.0), (SPHERE, 0.05, 0.0), (CAPSULE, 0.04, 0.1)):
        position = poses[:, 1, :3] - poses[:, 0, :3]
        axis = ref.rotation_matrices(poses[:, 0, 3:])[:, :, 2]
        along = np.clip(np.sum(position * axis, axis=1), -half, half)
        centre = np.linalg.norm(position - along[:, None] * axis, axis=1)  # from the core of the other shape
        if kind == PLANE:
            centre = poses[:, 1, 2]
        pair = pair_of((kind, (radius, half, 0.0)), "ball", wp.float64, "cpu", capacity=64)
        gap = least_gap(pair.detect(poses, 1.0)[1]) + radius
        outside = centre > outer if kind != PLANE else centre > -1.0
        assert outside.sum() > 500
        assert (gap > centre - outer - EXACT)[outside].all()
        assert (gap < centre - inner + EXACT)[outside].all()
