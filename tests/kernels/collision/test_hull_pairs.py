"""Contacts of convex polyhedra against a least-distance solver and against separating axes in numpy."""

import itertools
from types import SimpleNamespace

import convex_shapes as shapes
import numpy as np
import pytest
import warp as wp
from scipy.optimize import nnls

from carom.kernels.collision import features as F  # noqa: N812
from carom.kernels.collision.pairs.box_box import SWITCH
from carom.kernels.core.shape_types import ShapeType
from carom.sim.scene.convex_hull import convex_hull
from carom.sim.stepping.device_hulls import hull_arrays

from . import feature_reference as ref
from .test_box_box import cut, perimeter

PLANE, SPHERE, CAPSULE, BOX, CONVEX = (int(t) for t in ShapeType)
POSES = 250
DEVICES = [str(d) for d in wp.get_devices()]
TOLERANCE = {wp.float32: 2e-6, wp.float64: 1e-11}  # of distances below 1 m

HULLS = {
    "tetrahedron": convex_hull(shapes.tetrahedron(), "tetrahedron")[0],
    "dodecahedron": convex_hull(shapes.dodecahedron(), "dodecahedron")[0],
    "icosahedron": convex_hull(shapes.icosahedron(), "icosahedron")[0],
    "wedge": convex_hull(shapes.wedge(), "wedge")[0],
    "cloud": convex_hull(shapes.cloud(), "cloud")[0],
    "box": convex_hull(shapes.box(), "box")[0],
}

devices_and_dtypes = pytest.mark.parametrize(
    ("dtype", "device"), list(itertools.product([wp.float32, wp.float64], DEVICES))
)


def pair_of(first, second, dtype, device, capacity=16):
    """A pair of (type, size) or hull's name with a hull's name."""
    meshes, numbers, sizes, types = [], [], [], []
    for one in (first, second):
        if isinstance(one, str):
            numbers.append(len(meshes))
            meshes.append(HULLS[one])
            types.append(CONVEX)
            sizes.append(HULLS[one].size)
        else:
            numbers.append(-1)
            types.append(one[0])
            sizes.append(one[1])
    model = SimpleNamespace(meshes=meshes, shape_mesh=np.array(numbers, dtype=np.int32), device=device)
    arrays = hull_arrays(model, dtype)
    return ref.Pair(types, sizes, dtype, device, capacity=capacity, hulls=arrays)


def distance(a, b):
    """Distance [m] of the hulls of points a and b: the least point of their differences (Lawson and Hanson)."""
    differences = (b[None] - a[:, None]).reshape(-1, 3)
    u, _ = nnls(np.vstack([differences.T, np.ones(len(differences))]), np.array([0, 0, 0, 1.0]))
    return np.linalg.norm(differences.T @ (u / u.sum()))


def placed(points, pose):
    return points @ ref.rotation_matrices(pose[3:]).T + pose[:3]


def random_poses(rng, count, spread):
    q = np.zeros((count, 2, 7))
    q[:, :, :3] = rng.uniform(-0.5, 0.5, (count, 1, 3))
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    q[:, 1, :3] += direction * rng.uniform(*spread, (count, 1))
    q[:, :, 3:] = ref.random_quaternions(rng, 2 * count).reshape(count, 2, 4)
    turn = 0.1 * rng.normal(size=(count, 4)) * [1, 1, 1, 0] + [0, 0, 0, 1]
    aligned = ref.multiply(q[:, 0, 3:], turn / np.linalg.norm(turn, axis=1, keepdims=True))
    q[::3, 1, 3:] = aligned[::3]  # a third is nearly aligned
    return q


CORES = {SPHERE: (0.03, np.zeros((1, 3))), CAPSULE: (0.03, np.array([[0, 0, -0.15], [0, 0, 0.15]]))}


@devices_and_dtypes
@pytest.mark.parametrize("hull", ["tetrahedron", "dodecahedron", "wedge", "cloud"])
@pytest.mark.parametrize("kind", [SPHERE, CAPSULE])
def test_distance_of_round_shapes(kind, hull, dtype, device):
    rng = np.random.default_rng(kind)
    poses = random_poses(rng, POSES, (0.05, 0.35))
    radius, core = CORES[kind]
    expected = np.array([distance(placed(core, q[0]), placed(HULLS[hull].vertices, q[1])) for q in poses])
    pair = pair_of((kind, (radius, np.abs(core).max(), 0.0)), hull, dtype, device)
    features, c = pair.detect(poses, margin=2.0)
    assert features.needed.numpy().max() <= 6
    gap = np.where(c.listed & (c.weight > 1e-9), c.gap, np.inf).min(axis=1)
    apart = expected > 1e-3
    assert apart.sum() > POSES / 2
    assert (gap[~apart] < -radius + 1e-3).all()
    assert np.abs(gap + radius - expected)[apart].max() < TOLERANCE[dtype]
    shown = c.listed & apart[:, None]
    across = np.sum((c.point_b - c.point_a) * c.normal, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(c.normal[shown], axis=-1), 1.0, atol=1e-6)
    assert (across[shown] > 0).all()
    total = np.sum(c.weight, axis=1)  # the shares of the closest point and of the two points add up
    assert (total > 0.0).all()
    assert (total < 1.0 + 1e-5).all()


@devices_and_dtypes
def test_box_and_its_hull_are_the_same(dtype, device):
    poses = random_poses(np.random.default_rng(5), POSES, (0.05, 0.35))
    size = (0.1, 0.08, 0.06)
    for kind in (SPHERE, CAPSULE):
        first = (kind, (0.03, 0.0 if kind == SPHERE else 0.15, 0.0))
        _, box = ref.Pair((kind, BOX), [first[1], size], dtype, device).detect(poses, margin=0.05)
        _, hull = pair_of(first, "box", dtype, device).detect(poses, margin=0.05)
        # forces: share times gap times normal, and its moment about the hull
        core = CORES[kind][1]
        for w in range(POSES):
            if distance(placed(core, poses[w, 0]), placed(shapes.box(), poses[w, 1])) < 1e-3 and kind == CAPSULE:
                continue  # where the axis enters the hull the two choose the deepest point differently
            results = []
            for c in (box, hull):
                m = c.listed[w]
                direction = np.where(c.shape_a[w, m] == 1, 1.0, -1.0)[:, None] * c.normal[w, m]
                force = direction * (c.weight[w, m] * (0.05 - c.gap[w, m]))[:, None]
                results.append([force.sum(axis=0), np.cross(c.point_a[w, m] - poses[w, 1, :3], force).sum(axis=0)])
            np.testing.assert_allclose(results[0], results[1], atol=2e-5 if dtype is wp.float32 else 1e-10)


def separations(a, b, pose):
    """Greatest separation [m] along the faces of a, of b, and along crossing edges."""
    result, turns, points = [], [ref.rotation_matrices(q[3:]) for q in pose], []
    for mesh, q in zip((a, b), pose, strict=True):
        points.append(placed(mesh.vertices, q))
    edges = [(m.vertices[m.edges[:, 1]] - m.vertices[m.edges[:, 0]]) @ t.T for m, t in zip((a, b), turns, strict=True)]
    cross = np.cross(edges[0][:, None], edges[1][None]).reshape(-1, 3)
    scale = np.linalg.norm(edges[0], axis=1)[:, None] * np.linalg.norm(edges[1], axis=1)[None]
    length = np.linalg.norm(cross, axis=1)
    cross = cross[length > 0.01 * scale.ravel()] / length[length > 0.01 * scale.ravel(), None]
    for axes in (a.normals @ turns[0].T, b.normals @ turns[1].T, cross):
        pa, pb = points[0] @ axes.T, points[1] @ axes.T
        result.append(np.maximum(pb.min(axis=0) - pa.max(axis=0), pa.min(axis=0) - pb.max(axis=0)).max())
    return result


def expected_polygon(meshes, pose, reference, normal):
    """The incident face cut to the outline of the face with this normal."""
    loops = []
    for i, direction in ((reference, normal), (1 - reference, -normal)):
        mesh, q = meshes[i], pose[i]
        f = int(np.argmax(mesh.normals @ ref.rotation_matrices(q[3:]).T @ direction))
        loops.append(placed(mesh.vertices[mesh.loop[mesh.loop_start[f] : mesh.loop_start[f + 1]]], q))
    polygon = loops[1]
    for p, q in zip(loops[0], np.roll(loops[0], -1, axis=0), strict=True):
        polygon = cut(polygon, p, np.cross(q - p, normal) / np.linalg.norm(q - p)) if len(polygon) else polygon
    return polygon


PAIRS = [
    ("tetrahedron", "dodecahedron"),
    ("wedge", "cloud"),
    ("box", "cloud"),
    ("dodecahedron", "icosahedron"),
    ("wedge", "tetrahedron"),
]


@devices_and_dtypes
@pytest.mark.parametrize("names", PAIRS)
def test_convex_pairs(names, dtype, device):
    rng = np.random.default_rng(len(names[0]))
    meshes = [HULLS[name] for name in names]
    poses = random_poses(rng, POSES, (0.05, 0.35))
    first = (BOX, (0.1, 0.08, 0.06)) if names[0] == "box" else names[0]
    features, c = pair_of(first, names[1], dtype, device).detect(poses, margin=1.0)
    assert features.needed.numpy().max() <= 8
    blend, tolerance = features.blend.numpy(), TOLERANCE[dtype] * 5
    switch = SWITCH * min(m.size[2] for m in meshes)
    met = {"polygon": 0, "cross": 0, "closest": 0, "overlap": 0}
    for w, q in enumerate(poses):
        face_a, face_b, edge = separations(*meshes, q)
        face = max(face_a, face_b)
        count = c.listed[w].sum()
        assert count > 0
        np.testing.assert_allclose(c.weight[w].sum(), 1.0, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(c.normal[w, :count], axis=1), 1.0, atol=1e-6)
        kinds, gap = c.kind[w, :count], c.gap[w, :count].min()
        apart = distance(*(placed(m.vertices, p) for m, p in zip(meshes, q, strict=True)))
        met["overlap"] += max(face, edge) < 0
        if kinds[0] in (F.POINT, F.LINE, F.CROSS) and max(face, edge) > 0:
            assert abs(gap - apart) < tolerance  # the closest points
            met["closest"] += 1
        elif kinds[0] == F.CROSS:
            assert abs(gap - edge) < tolerance
            met["cross"] += 1
        else:
            if max(face, edge) < 0:
                assert gap > max(face, edge) - 2.01 * switch - tolerance
            else:
                assert gap > apart - tolerance
            reference = c.shape_a[w, 0]
            # of two faces the better one, or, where edges separate by more, the one that faces them
            assert max((face_a, face_b)[reference], edge) > face - 1.01 * switch - tolerance
            alone = count - (blend[w, count - 1] >= 0)  # corners: without the edges that share with them
            assert c.gap[w, :alone].min() > (face_a, face_b)[reference] - tolerance
            polygon = expected_polygon(meshes, q, reference, c.normal[w, 0])
            found = c.point_b[w, :alone]
            if 1 < len(polygon) <= 8 and perimeter(polygon) > 1e-4:
                assert abs(perimeter(polygon) - perimeter(found)) < 20 * tolerance + 1e-3 * (dtype is wp.float32)
            met["polygon"] += 1
    assert met["polygon"] > POSES / 10
    assert met["cross"] + met["closest"] > POSES / 20
    assert met["overlap"] > POSES / 20


@devices_and_dtypes
def test_no_contact_beyond_the_margin_and_always_one_within(dtype, device):
    names = ("cloud", "dodecahedron")
    poses = random_poses(np.random.default_rng(9), 2 * POSES, (0.1, 0.35))
    _, c = pair_of(*names, dtype, device).detect(poses, margin=0.02)
    for w, q in enumerate(poses):
        apart = distance(*(placed(HULLS[n].vertices, p) for n, p in zip(names, q, strict=True)))
        if apart > 0.02 + 1e-5:
            assert not (c.gap[w][c.listed[w]] < 0.02 - 1e-5).any()
        if max(separations(*(HULLS[n] for n in names), q)) > 0.02 + 1e-5:
            assert not c.listed[w].any()
        if apart < 0.02 - 1e-5:
            assert c.listed[w].any()


@devices_and_dtypes
def test_polygon_of_many_corners_keeps_its_extent(dtype, device):
    """Two prisms of 24 sides on top of each other: at most 8 corners that span nearly the whole outline."""
    angle = 2 * np.pi * np.arange(24) / 24
    ring = 0.1 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    prism = np.concatenate([np.column_stack([ring, np.full(24, z)]) for z in (-0.05, 0.05)])
    HULLS["prism"] = convex_hull(prism, "prism")[0]
    pose = np.tile([0, 0, 0, 0, 0, 0, 1.0], (1, 2, 1))
    pose[0, 1, :3] = [0.005, 0.003, 0.0999]
    pose[0, 1, 3:] = [0, 0, np.sin(0.03), np.cos(0.03)]
    _, c = pair_of("prism", "prism", dtype, device).detect(pose, margin=0.01)
    assert 6 <= c.listed.sum() <= 8
    np.testing.assert_allclose(c.weight.sum(), 1.0, atol=1e-6)
    np.testing.assert_allclose(c.gap[0, : c.listed.sum()], -0.0001, atol=1e-6)
    assert perimeter(c.point_b[0, : c.listed.sum()]) > 0.9 * 2 * np.pi * 0.097
