"""Box against box: separating axes and contact polygons computed in numpy from vertices and half-planes."""

import itertools

import numpy as np
import pytest
import warp as wp

from carom.kernels.collision import features as F  # noqa: N812
from carom.kernels.collision.pairs.box_box import SWITCH
from carom.kernels.core.shape_types import ShapeType

from . import feature_reference as ref

BOX = int(ShapeType.BOX)
POSES = 1500
DEVICES = [str(d) for d in wp.get_devices()]
TOLERANCE = {wp.float32: 1e-5, wp.float64: 1e-12}
MARGIN = 0.05

devices_and_dtypes = pytest.mark.parametrize(
    ("dtype", "device"), list(itertools.product([wp.float32, wp.float64], DEVICES))
)


def box_vertices(half, pose):
    signs = np.array(list(itertools.product([-1, 1], repeat=3)))
    return (signs * half) @ ref.rotation_matrices(pose[3:]).T + pose[:3]


def separations(sizes, poses):
    """Separation [m] along every candidate axis: faces of a [3], faces of b [3], edge pairs [9] (nan if parallel)."""
    va, vb = box_vertices(sizes[0], poses[0]), box_vertices(sizes[1], poses[1])
    ra, rb = (ref.rotation_matrices(pose[3:]) for pose in poses)
    axes = [*ra.T, *rb.T, *(np.cross(ra[:, i], rb[:, j]) for i in range(3) for j in range(3))]
    result = []
    for axis in axes:
        length = np.linalg.norm(axis)
        if length < 0.01:
            result.append(np.nan)
            continue
        pa, pb = va @ axis / length, vb @ axis / length
        result.append(max(pb.min() - pa.max(), pa.min() - pb.max()))
    return np.array(result)


def cut(polygon, origin, outward):
    """The part of a convex polygon [corners, 3] on the inner side of a plane (Sutherland and Hodgman)."""
    kept = []
    for p, q in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        hp, hq = (p - origin) @ outward, (q - origin) @ outward
        if hp <= 0:
            kept.append(p)
        if hp * hq < 0:
            kept.append(p + (q - p) * hp / (hp - hq))
    return np.array(kept).reshape(-1, 3)


def face_polygon(half, pose, direction):
    """The face whose normal is nearest to a direction: its corners in order, centre, axes and half extents."""
    turn = ref.rotation_matrices(pose[3:])
    i = int(np.argmax(np.abs(turn.T @ direction)))
    j, k = (i + 1) % 3, (i + 2) % 3
    centre = pose[:3] + np.sign(turn[:, i] @ direction) * half[i] * turn[:, i]
    x, y = half[j] * turn[:, j], half[k] * turn[:, k]
    return np.array([centre + x + y, centre - x + y, centre - x - y, centre + x - y]), centre, (x, y)


def expected_polygon(sizes, poses, reference, normal):
    """Corners of the incident face, cut to the reference face's outline; ``normal`` points out of the reference."""
    _, centre, axes = face_polygon(sizes[reference], poses[reference], normal)
    polygon, _, _ = face_polygon(sizes[1 - reference], poses[1 - reference], -normal)
    for axis in axes:
        for side in (axis, -axis):
            polygon = cut(polygon, centre + side, side / np.linalg.norm(side))
    return polygon


def perimeter(polygon):
    return np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1).sum()


def random_boxes(rng, count):
    sizes = rng.uniform(0.1, 0.3, (count, 2, 3))
    poses = np.zeros((count, 2, 7))
    poses[:, 0, :3] = rng.uniform(-0.3, 0.3, (count, 3))
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    poses[:, 1, :3] = poses[:, 0, :3] + direction * rng.uniform(0.25, 0.6, (count, 1))
    poses[:, :, 3:] = ref.random_quaternions(rng, 2 * count).reshape(count, 2, 4)
    turn = 0.15 * rng.normal(size=(count, 4)) * [1, 1, 1, 0] + [0, 0, 0, 1]
    near = rng.random(count) < 0.5  # half of the poses are nearly aligned, as in a stack
    aligned = ref.multiply(poses[:, 0, 3:], turn / np.linalg.norm(turn, axis=1, keepdims=True))
    poses[near, 1, 3:] = aligned[near]
    return sizes, poses


@devices_and_dtypes
def test_smallest_gap_is_the_greatest_separation_and_polygons_match(dtype, device):
    rng = np.random.default_rng(1)
    sizes, poses = random_boxes(rng, POSES)
    features, c = ref.Pair((BOX, BOX), np.zeros((2, 3)), dtype, device).detect(poses, margin=MARGIN, sizes=sizes)
    assert features.needed.numpy().max() <= 8
    tested = {"faces": 0, "edges": 0, "polygons": 0, "apart": 0}
    for w in range(POSES):
        s = separations(sizes[w], poses[w])
        faces, edges = s[:6].max(), np.nanmax(s[6:])
        count = c.listed[w].sum()
        if np.nanmax(s) > MARGIN + 1e-5:
            assert count == 0
            tested["apart"] += 1
            continue
        unclear = SWITCH * sizes[w].min()
        if count == 0:  # all corners of a polygon, or the closest edges, lie beyond the margin
            assert max(faces, edges) > 0
            continue
        np.testing.assert_allclose(c.weight[w].sum(), 1.0, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(c.normal[w, :count], axis=1), 1.0, atol=1e-6)
        outward = np.where(c.shape_a[w, :count] == 0, 1, -1) * (c.normal[w, :count] @ (poses[w, 1] - poses[w, 0])[:3])
        gap = c.gap[w, :count].min()
        if edges > faces + 1.01 * unclear:
            assert c.kind[w, :count].tolist() == [F.CROSS]
            np.testing.assert_allclose(gap, edges, atol=10 * TOLERANCE[dtype])
            assert outward[0] > 0
            tested["edges"] += 1
        elif edges < faces + 0.99 * unclear:
            polygon = c.share[w, 0] == F.SHARE_POLYGON
            by_margin = abs(s[:3].max() - s[3:6].max()) > 1.01 * unclear
            if faces < 0 and edges < faces and by_margin:
                # The least penetration over all axes is along a face: the deepest vertex lies within that face.
                np.testing.assert_allclose(gap, faces, atol=TOLERANCE[dtype])
                assert (outward > 0).all()
                tested["faces"] += 1
            if polygon:
                expected = expected_polygon(sizes[w], poses[w], c.shape_a[w, 0], c.normal[w, 0])
                got = c.point_b[w, :count]
                apart = np.linalg.norm(expected[:, None] - got[None], axis=-1)
                tolerance = 1e-3 if dtype is wp.float32 else 1e-7  # vertices count as inside up to sqrt(epsilon)
                assert apart.min(axis=1).max() < tolerance
                assert apart.min(axis=0).max() < tolerance
                np.testing.assert_allclose(perimeter(got), perimeter(expected), atol=4 * tolerance)
                tested["polygons"] += 1
    assert min(tested.values()) > 50, tested


@devices_and_dtypes
@pytest.mark.parametrize("yaw", [0.0, 1e-9, 1e-7, 1e-5, 1e-3, 0.3, np.pi / 4, np.pi / 2])
@pytest.mark.parametrize("flip", [False, True])
def test_box_flat_on_an_equal_box(yaw, flip, dtype, device):
    half = np.array([0.1, 0.1, 0.05])
    poses = np.zeros((1, 2, 7))
    poses[0, :, 6] = 1
    poses[0, 1, 2] = -0.0999 if flip else 0.0999
    poses[0, 1, 3:] = [0, 0, np.sin(yaw / 2), np.cos(yaw / 2)]
    _, c = ref.Pair((BOX, BOX), [half, half], dtype, device).detect(poses, margin=0.001)
    count = c.listed[0].sum()
    assert 4 <= count <= 8
    if yaw in (0.3, np.pi / 4):
        assert count == 8
    np.testing.assert_allclose(c.gap[0, :count], -1e-4, atol=1e-7)
    np.testing.assert_allclose(c.weight[0].sum(), 1.0, atol=1e-6)
    normal = [0, 0, -1 if flip else 1]
    np.testing.assert_allclose(c.normal[0, :count], np.tile(normal, (count, 1)), atol=1e-6)
    np.testing.assert_allclose(c.weight[0] @ c.point_b[0, :, :2], 0, atol=2e-4)  # no torque from a centred box
    # On a square outline with weights by length, sum of w x^2 = (2/3 .. 1) half^2, however many corners there are.
    spread = c.weight[0] @ c.point_b[0, :, 0] ** 2
    assert 0.5 * half[0] ** 2 < spread < 1.01 * half[0] ** 2


@devices_and_dtypes
def test_overhanging_box_is_carried_by_the_overlap(dtype, device):
    lower, upper = np.array([0.1, 0.1, 0.05]), np.array([0.02, 0.3, 0.05])
    poses = np.zeros((1, 2, 7))
    poses[0, :, 6] = 1
    poses[0, 1, :3] = [0.09, 0.0, 0.1]
    _, c = ref.Pair((BOX, BOX), [lower, upper], dtype, device).detect(poses, margin=0.001)
    corners = c.point_b[0, c.listed[0]]
    expected = [[x, y, 0.05] for x in (0.07, 0.1) for y in (-0.1, 0.1)]
    assert len(corners) == 4
    for corner in expected:
        assert np.linalg.norm(corners - corner, axis=1).min() < 1e-6


@devices_and_dtypes
def test_overflow_is_counted_and_stays_in_the_table(dtype, device):
    half = np.array([0.1, 0.1, 0.05])
    poses = np.zeros((2, 2, 7))
    poses[..., 6] = 1
    poses[0, 1, 2] = 0.0999
    poses[0, 1, 5:] = [np.sin(np.pi / 8), np.cos(np.pi / 8)]
    poses[1, 1, 2] = 5.0  # a world without contacts, whose row follows the overflowing one
    features, c = ref.Pair((BOX, BOX), [half, half], dtype, device, capacity=3).detect(poses, margin=0.001)
    assert features.needed.numpy().tolist() == [8, 0]
    assert features.count.numpy().tolist() == [3, 0]
    assert features.patch_count.numpy()[0].tolist() == [3, 3, 3]
    for name in features.__dataclass_fields__:
        if name not in ("count", "needed"):
            empty = -1 if name == "blend" else 0
            assert (getattr(features, name).numpy()[1] == empty).all(), name
    np.testing.assert_allclose(c.gap[0], -1e-4, atol=1e-7)
