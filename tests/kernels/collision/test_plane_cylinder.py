"""A cylinder on a plane: the lowest points of its rims, shares of the stiffness, and a force without jumps."""

from types import SimpleNamespace

import numpy as np
import pytest
import warp as wp

from carom.kernels.collision import features as F  # noqa: N812
from carom.kernels.core.shape_types import ShapeType
from carom.sim import ModelBuilder
from carom.sim.stepping.device_hulls import hull_arrays

from . import feature_reference as ref
from .test_pair_continuity import find_jumps

DEVICES = [str(d) for d in wp.get_devices()]
RADIUS, HALF = 0.05, 0.03


def cylinder_on_plane(dtype, device, sides=24):
    b = ModelBuilder()
    b.add_cylinder(b.add_body(), RADIUS, HALF, sides=sides)
    mesh = b.finalize().meshes[0]
    model = SimpleNamespace(meshes=[mesh], shape_mesh=np.array([-1, 0], dtype=np.int32), device=device)
    hulls = hull_arrays(model, dtype)
    types = (int(ShapeType.PLANE), int(ShapeType.CONVEX))
    return ref.Pair(types, [[0, 0, 0], mesh.size], dtype, device, capacity=4 * F.RIM_POINTS, hulls=hulls)


def poses_of(tilt, azimuth, turn, height):
    """Poses of a cylinder whose axis leans by ``tilt`` towards ``azimuth``, turned about its own axis by ``turn``."""

    def about(axis, angle):
        q = np.zeros((len(angle), 4))
        q[:, axis], q[:, 3] = np.sin(angle / 2), np.cos(angle / 2)
        return q

    q = np.zeros((len(tilt), 2, 7))
    q[:, 0, 6] = 1
    q[:, 1, 2] = height
    q[:, 1, 3:] = ref.multiply(ref.multiply(about(2, azimuth), about(1, tilt)), about(2, turn))
    return q


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
def test_lowest_point_and_shares(dtype, device):
    """The least gap is that of a cylinder, height - half |cos| - r sin of the tilt; and the shares add up."""
    rng = np.random.default_rng(0)
    count = 3000
    tilt = np.where(rng.random(count) < 0.5, rng.uniform(0, np.pi, count), 10 ** rng.uniform(-5, -1, count))
    q = poses_of(tilt, *rng.uniform(0, 2 * np.pi, (2, count)), rng.uniform(-0.1, 0.1, count))
    q[:, 1, :2] = rng.normal(size=(count, 2))
    features, c = cylinder_on_plane(dtype, device).detect(q, margin=1.0)
    assert features.needed.numpy().max() <= 4 * F.RIM_POINTS
    lowest = q[:, 1, 2] - HALF * np.abs(np.cos(tilt)) - RADIUS * np.sin(tilt)
    gap = np.where(c.listed & (c.weight > 0), c.gap, np.inf).min(axis=1)
    tolerance = 1e-6 if dtype is wp.float32 else 1e-13
    assert (gap >= lowest - tolerance).all()
    followed = np.sin(tilt) > 1.01 * F.UPRIGHT
    np.testing.assert_allclose(gap[followed], lowest[followed], atol=tolerance)
    # fixed points miss the lowest point by at most half of the angle between two of them
    missed = RADIUS * np.sin(tilt) * (1 - np.cos(np.pi / F.RIM_POINTS))
    assert (gap <= lowest + missed + tolerance).all()
    # each cap has all of the stiffness upright and half of it lying
    np.testing.assert_allclose(c.weight.sum(axis=1), 2.0 - np.sin(tilt) ** 2, rtol=1e-5)
    # the points listed are points of the rims
    x = np.einsum("wji,wcj->wci", ref.rotation_matrices(q[:, 1, 3:]), c.point_b - q[:, None, 1, :3])[c.listed]
    np.testing.assert_allclose(np.hypot(x[:, 0], x[:, 1]), RADIUS, atol=tolerance)
    np.testing.assert_allclose(np.abs(x[:, 2]), HALF, atol=tolerance)


@pytest.mark.parametrize("dtype", [wp.float32, wp.float64])
def test_all_of_a_cap_touching_is_a_disc_whichever_points_do(dtype):
    """Pressed in all around, force and torque are those of a ring of springs: k times depth, and k r^2/2 times tilt.

    From exactly upright through the change from fixed to following points. k = 1 - sin^2/2 of a cap.
    """
    tilt = np.concatenate([[0.0], 10.0 ** np.linspace(-7, -2, 200)])
    azimuth = np.linspace(0, 40, len(tilt))
    q = poses_of(tilt, azimuth, 3 * azimuth, np.full(len(tilt), HALF - 0.002))
    _, c = cylinder_on_plane(dtype, "cpu").detect(q, margin=0.0)
    push = np.where(c.listed, -c.weight * c.gap, 0.0)
    arm = c.point_b - q[:, None, 1, :3]
    torque = np.cross(arm, push[..., None] * c.normal).sum(axis=1)
    assert (push.sum(axis=1) > 0.00199).all()
    assert (push.sum(axis=1) < 0.00201).all()
    along = torque @ [0, 0, 1.0]
    leaning = np.sum(torque * np.stack([-np.sin(azimuth), np.cos(azimuth), 0 * azimuth], axis=1), axis=1)
    # the springs' torque r^2/2 tilt rights it; the force's lever HALF tilt about the centre does not
    expected = (HALF * 0.002 - 0.5 * RADIUS**2) * tilt
    np.testing.assert_allclose(leaning, expected, rtol=0.02, atol=2e-9 if dtype is wp.float32 else 1e-15)
    assert np.abs(along).max() < 1e-9


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("tilt", "height"), [(1.5, 0.05), (0.02, 0.031), (2e-4, 0.0298), (0.0, 0.0298)])
def test_force_has_no_jumps(tilt, height, device):
    """Tumbling, wobbling on a rim, rocking through the change of points, and through the upright pose itself."""
    rng = np.random.default_rng(3)
    worlds = 60
    r = rng.normal(size=(5, worlds))

    def pose_at(t):
        if tilt:
            lean = tilt * (1 + 0.8 * r[0] * np.sin(3 * t + r[1]))
        else:
            lean = 5e-4 * (t - 0.5)
        return poses_of(lean, r[2] + 2 * r[3] * t, r[4] * t, height + 0.1 * abs(tilt) * np.sin(5 * t))

    jump, _, scale = find_jumps(cylinder_on_plane(wp.float64, device), pose_at, worlds, margin=0.001)
    assert scale > 1e-4
    assert jump.max() < 1e-6 * scale
