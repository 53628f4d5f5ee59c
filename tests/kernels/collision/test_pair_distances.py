"""Gaps, normals and points of the contacts against distances from a solver that knows nothing of features."""

import itertools

import numpy as np
import pytest
import warp as wp
from scipy.optimize import lsq_linear

from carom.kernels.core.shape_types import ShapeType

from . import feature_reference as ref

PLANE, SPHERE, CAPSULE, BOX, *_ = (int(t) for t in ShapeType)
POSES = 1000
DEVICES = [str(d) for d in wp.get_devices()]
TOLERANCE = {wp.float32: 2e-6, wp.float64: 1e-11}  # of distances below 1 m


def core_generators(kind, size):
    """The core of a shape is {generators u: |u_i| <= 1}."""
    if kind == SPHERE:
        return np.zeros((3, 0)), size[0]
    if kind == CAPSULE:
        return np.array([[0.0], [0.0], [size[1]]]), size[0]
    return np.diag(size), 0.0


def distance_by_least_squares(types, size, pose):
    """Distance [m] of two cores by box-constrained least squares (an active-set solver), less the radii."""
    (ga, ra), (gb, rb) = (core_generators(types[i], size[i]) for i in range(2))
    ga = ref.rotation_matrices(pose[0, 3:]) @ ga
    gb = ref.rotation_matrices(pose[1, 3:]) @ gb
    matrix, offset = np.hstack([ga, -gb]), pose[1, :3] - pose[0, :3]
    if matrix.shape[1] == 0:
        return np.linalg.norm(offset) - ra - rb
    solution = lsq_linear(matrix, offset, bounds=(-1, 1), method="bvls", tol=1e-15)
    return np.linalg.norm(matrix @ solution.x - offset) - ra - rb


def random_sizes(rng, kinds, count):
    sizes = np.zeros((count, 2, 3))
    for i, kind in enumerate(kinds):
        if kind == SPHERE:
            sizes[:, i, 0] = rng.uniform(0.02, 0.1, count)
        elif kind == CAPSULE:
            sizes[:, i, 0] = rng.uniform(0.02, 0.1, count)
            sizes[:, i, 1] = rng.uniform(0.02, 0.3, count)
        else:
            sizes[:, i] = rng.uniform(0.05, 0.3, (count, 3))
    return sizes


def random_poses(rng, count, spread=0.5):
    q = np.zeros((count, 2, 7))
    q[:, :, :3] = rng.uniform(-0.5, 0.5, (count, 1, 3)) * [[1.0], [1.0]]
    q[:, 1, :3] += rng.uniform(-spread, spread, (count, 3))
    q[:, :, 3:] = ref.random_quaternions(rng, 2 * count).reshape(count, 2, 4)
    return q


PAIRS = [(SPHERE, SPHERE), (SPHERE, CAPSULE), (SPHERE, BOX), (CAPSULE, CAPSULE), (CAPSULE, BOX)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
@pytest.mark.parametrize("types", PAIRS)
def test_smallest_gap_is_the_distance(types, dtype, device):
    rng = np.random.default_rng(10 * types[0] + types[1])
    sizes, poses = random_sizes(rng, types, POSES), random_poses(rng, POSES)
    distance = np.array([distance_by_least_squares(types, s, q) for s, q in zip(sizes, poses, strict=True)])
    radii = np.array([[core_generators(types[i], s[i])[1] for i in range(2)] for s in sizes]).sum(axis=1)
    separated = distance + radii > 1e-3  # the cores are apart
    pair = ref.Pair(types, np.zeros((2, 3)), dtype, device)
    features, c = pair.detect(poses, margin=2.0, sizes=sizes)
    assert features.needed.numpy().max() <= pair.capacity
    gap = np.where(c.listed & (c.weight > 1e-3), c.gap, np.inf).min(axis=1)
    error = np.abs(gap - distance)[separated]
    assert separated.sum() > POSES / 2
    assert error.max() < TOLERANCE[dtype]

    # Normals are of unit length and point from a to b.
    shown = c.listed & separated[:, None]
    across = np.sum((c.point_b - c.point_a) * c.normal, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(c.normal[shown], axis=-1), 1.0, atol=1e-6)
    assert (across[shown] > 0).all()

    # Contacts beyond the margin are not listed, and those within it still are.
    _, near = pair.detect(poses, margin=0.05, sizes=sizes)
    listed = near.listed.any(axis=1)[separated]
    certain = np.abs(distance - 0.05)[separated] > 1e-5
    np.testing.assert_array_equal(listed[certain], (distance < 0.05)[separated][certain])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
def test_sphere_centre_inside_box_leaves_through_the_nearest_face(dtype, device):
    rng = np.random.default_rng(3)
    half = np.array([0.2, 0.3, 0.25])
    poses = random_poses(rng, 500)
    inside = rng.uniform(-0.999, 0.999, (500, 3)) * half
    turn = ref.rotation_matrices(poses[:, 1, 3:])
    poses[:, 0, :3] = poses[:, 1, :3] + np.einsum("wij,wj->wi", turn, inside)
    _, c = ref.Pair((SPHERE, BOX), [[0.02, 0, 0], half], dtype, device).detect(poses, margin=0.0)
    assert c.listed.sum(axis=1).tolist() == [1] * 500
    np.testing.assert_allclose(c.gap[:, 0], -(half - np.abs(inside)).min(axis=1) - 0.02, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
def test_capsule_axis_through_a_box_has_the_whole_stiffness(dtype, device):
    """However the axis runs through the inside: the shares add up to one, and the face of least penetration is met."""
    rng = np.random.default_rng(4)
    half, length, radius = np.array([0.2, 0.3, 0.25]), 0.35, 0.02
    poses = random_poses(rng, 2000)
    inside = rng.uniform(-0.95, 0.95, (2000, 3)) * half  # a point of the axis, somewhere along it
    turn_b, turn_a = (ref.rotation_matrices(poses[:, i, 3:]) for i in (1, 0))
    along = rng.uniform(-0.95, 0.95, (2000, 1)) * length
    poses[:, 0, :3] = poses[:, 1, :3] + np.einsum("wij,wj->wi", turn_b, inside) - along * turn_a[:, :, 2]
    _, c = ref.Pair((CAPSULE, BOX), [[radius, length, 0], half], dtype, device).detect(poses, margin=2.0)
    np.testing.assert_allclose(c.weight.sum(axis=1), 1.0, atol=TOLERANCE[dtype])
    # moving out along any of the six normals by the axis' support leaves it free: the shortest way is the depth
    relative = np.einsum("wji,wj->wi", turn_b, poses[:, 0, :3] - poses[:, 1, :3])
    u = np.einsum("wji,wj->wi", turn_b, turn_a[:, :, 2])
    depth = (half + length * np.abs(u) - np.abs(relative)).min(axis=1) + radius
    shallow = (
        depth < half.min()
    )  # deeper, the face that is nearest to the centre is met, not the one nearest to the end
    face_gap = np.where(c.listed, c.gap, np.inf).min(axis=1)
    assert (face_gap[shallow] >= -depth[shallow] - TOLERANCE[dtype]).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
@pytest.mark.parametrize(("kind", "number", "total"), [(SPHERE, 1, 1.0), (CAPSULE, 2, 1.0), (BOX, 8, 2.0)])
def test_plane_lists_every_vertex_near_it(kind, number, total, dtype, device):
    rng = np.random.default_rng(kind)
    poses = random_poses(rng, 300, spread=0.2)
    sizes = random_sizes(rng, (SPHERE, kind), 300)
    tilt = np.array([0.1, -0.2, 0.3, *ref.random_quaternions(rng, 1)[0]])
    shape_pose = np.array([tilt, [0, 0, 0, 0, 0, 0, 1.0]])
    pair = ref.Pair((PLANE, kind), np.zeros((2, 3)), dtype, device, shape_pose=shape_pose)
    _, every = pair.detect(poses, margin=5.0, sizes=sizes)
    assert (every.listed.sum(axis=1) == number).all()
    np.testing.assert_allclose(every.weight.sum(axis=1), total)

    normal = ref.rotation_matrices(tilt[3:])[:, 2]
    heights = np.zeros((300, number))
    for w in range(300):
        generators, radius = core_generators(kind, sizes[w, 1])
        signs = np.array(list(itertools.product([-1, 1], repeat=generators.shape[1])))
        vertices = signs @ (ref.rotation_matrices(poses[w, 1, 3:]) @ generators).T + poses[w, 1, :3]
        heights[w] = np.sort((vertices - tilt[:3]) @ normal - radius)
    gaps = np.sort(every.gap[:, :number], axis=1)
    np.testing.assert_allclose(gaps, heights, atol=TOLERANCE[dtype])
    _, some = pair.detect(poses, margin=0.03, sizes=sizes)
    certain = (np.abs(heights - 0.03) > 1e-5).all(axis=1)
    np.testing.assert_array_equal(some.listed.sum(axis=1)[certain], (heights < 0.03).sum(axis=1)[certain])
