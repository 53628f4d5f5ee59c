"""Costs from hand-made piles, and the occupancy image against an independent raster and against areas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.path import Path
from scenes import rotate
from scipy.spatial import ConvexHull

from carom.envs import TaskError, make
from carom.envs.carrots import Square, cut_carrot
from carom.envs.carrots.lyapunov import image_lyapunov, mean_distance
from carom.envs.carrots.occupancy import Occupancy

TARGET = Square((0.2, -0.1), 0.05)
VIEW = Square((0.05, 0.02), 0.08)


def poses_of(count, seed, spread=0.05):
    """Random poses, [2, count, 7]."""
    gen = torch.Generator().manual_seed(seed)
    at = torch.tensor([*VIEW.centre, 0.03]).double() + spread * torch.randn(2, count, 3, generator=gen).double()
    turn = torch.randn(2, count, 4, generator=gen).double()
    return torch.cat([at, turn / turn.norm(dim=-1, keepdim=True)], -1)


def outline(piece, pose):
    """Corners of a piece's shadow, counter-clockwise, and its area."""
    world = rotate(pose[3:].expand(len(piece.vertices), 4), torch.from_numpy(piece.vertices)) + pose[:3]
    hull = ConvexHull(world[:, :2].numpy())
    return hull.points[hull.vertices], hull.volume


def test_distance_to_the_square_by_hand():
    points = torch.tensor(
        [[0.2, -0.1], [0.249, -0.051], [0.28, -0.1], [0.2, -0.19], [0.28, -0.01], [0.1, -0.2]], dtype=torch.float64
    )
    expected = torch.tensor([0.0, 0.0, 0.03, 0.04, 0.05, 0.05 * math.sqrt(2)], dtype=torch.float64)
    torch.testing.assert_close(TARGET.distance(points), expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(mean_distance(points[None], TARGET), expected.mean()[None])


def test_gradient_of_the_distance_is_the_unit_vector_and_zero_inside():
    points = torch.tensor(
        [[0.28, -0.01], [0.2, -0.1], [0.25, -0.1], [0.25, -0.05], [0.1, -0.1]], dtype=torch.float64, requires_grad=True
    )
    (g,) = torch.autograd.grad(TARGET.distance(points).sum(), points)
    expected = torch.tensor([[0.6, 0.8], [0, 0], [0, 0], [0, 0], [-1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(g, expected, rtol=0, atol=1e-12)


def test_image_lyapunov_by_hand():
    view = Square((0.0, 0.0), 0.16)  # 32 pixels of 1 cm
    target = Square((0.105, 0.005), 0.02)
    image = torch.zeros(3, 32, 32, dtype=torch.float64)
    image[0, 16, 26] = 1.0  # x = 0.105, y = 0.005: the middle of the target
    image[1, 16, 16] = 0.5  # x = 0.005: 8 cm from it
    image[2, 16, 16], image[2, 20, 26] = 0.25, 0.75  # and 2 cm above it
    expected = torch.tensor([0.0, 0.08, 0.25 * 0.08 + 0.75 * 0.02], dtype=torch.float64)
    torch.testing.assert_close(image_lyapunov(image, view, target), expected)
    with pytest.raises(TaskError, match=r"occupancy image of world 3 is empty"):
        image_lyapunov(torch.cat([image, torch.zeros(1, 32, 32, dtype=torch.float64)]), view, target)


@pytest.mark.parametrize("seed", range(3))
def test_occupancy_is_that_of_polygons(seed):
    """The shadows' hulls by scipy, the points in them by matplotlib: the same sample points, one by one."""
    pieces = cut_carrot(12, seed)
    poses = poses_of(12, seed)  # some of them partly or wholly out of view
    image = Occupancy([p.mesh for p in pieces], VIEW, pixels=32, samples=4).image(poses)
    assert image.shape == (2, 32, 32)
    fine = VIEW.pixels(128, dtype=torch.float64, device="cpu").reshape(-1, 2).numpy()
    for world in range(2):
        covered = np.zeros(len(fine), dtype=bool)
        for piece, pose in zip(pieces, poses[world], strict=True):
            covered |= Path(outline(piece, pose)[0]).contains_points(fine)
        expected = covered.reshape(32, 4, 32, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(image[world].numpy(), expected, atol=1e-12)


def test_occupancy_adds_up_to_the_area_of_a_shadow():
    """One piece, many small pixels: their sum is the shadow's area; their mean, the shadow's middle."""
    pieces = cut_carrot(6, 1)
    pixel = (2 * VIEW.half_side / 256) ** 2
    centres = VIEW.pixels(256, dtype=torch.float64, device="cpu")
    for i, piece in enumerate(pieces):
        pose = poses_of(6, 7, spread=0.01)[:1, i : i + 1]
        image = Occupancy([piece.mesh], VIEW, pixels=256, samples=2).image(pose)[0]
        corners, area = outline(piece, pose[0, 0])
        # points miscounted along an outline of length L: a spacing s wide, of random sign: sqrt(L s) s in all
        assert float(image.sum()) * pixel == pytest.approx(area, rel=0.01)
        x, y = corners.T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        middle = [((a + np.roll(a, -1)) * cross).sum() / (3 * cross.sum()) for a in (x, y)]
        mean = (image[..., None] * centres).sum(dim=(0, 1)) / image.sum()
        np.testing.assert_allclose(mean.numpy(), middle, atol=5e-5)  # spacing 0.3 mm


def test_row_is_y_and_column_is_x():
    (piece,) = cut_carrot(1, 0)
    pose = torch.tensor([[[VIEW.centre[0] + 0.05, VIEW.centre[1] - 0.03, 0.0, 0, 0, 0, 1]]], dtype=torch.float64)
    image = Occupancy([piece.mesh], VIEW).image(pose)[0]
    rows, columns = torch.nonzero(image).double().mean(dim=0).tolist()
    assert columns == pytest.approx(15.5 + 0.05 / 0.005, abs=1.0)
    assert rows == pytest.approx(15.5 - 0.03 / 0.005, abs=1.0)


def test_image_and_poses_agree_on_a_pile():
    """Areas instead of centres: for pieces small against the distance the two costs agree to half a piece."""
    task = make("carrots", pieces=10, threads=1)
    state = task.pile_state(2)
    state.body_q[1, :10, 0] += 0.05
    by_pose, by_image = task.cost(state), task.cost(state, "image")
    assert (by_pose - by_image).abs().max() < 0.01
    moved = by_pose[0] - by_pose[1], by_image[0] - by_image[1]
    assert float(moved[1]) == pytest.approx(float(moved[0]), abs=0.005)
    poses = task.observe(state)
    assert poses.shape == (2, 10, 7)
    torch.testing.assert_close(task.loss(poses[..., :2].flatten(1)), by_pose)
    assert task.observe(state, kind="image").shape == (2, 32, 32)
    with pytest.raises(TaskError, match="unknown kind of observation 'depth'; use 'poses' or 'image'"):
        task.observe(state, "depth")
