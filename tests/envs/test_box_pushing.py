"""Box pushing against what is published and against the closed form of a straight, quasi-dynamic push."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs import TaskError, make
from carom.gradients import Smoothing


@pytest.fixture(scope="module")
def task():
    return make("box_pushing", dtype="float64", threads=1)


def steady(task, change=0.03):
    """Straight ahead by ``change`` [m] a step."""
    theta = torch.zeros(task.steps, 2, dtype=torch.float64)
    theta[:, 1] = change
    return theta.reshape(1, -1)


def test_published_initial_cost(task):
    """112.01, that of a box that never moves; the exact gradient there is zero, that over noise is not."""
    theta = task.initial_parameters()
    still = 2 * 3 * 0.25 + 1.2 * (math.pi / 4) ** 2
    value, gradient = task.value_and_gradient(theta[None])
    assert float(value) == pytest.approx(50 * still, rel=1e-12)
    assert round(float(value), 2) == 112.01
    assert torch.equal(gradient, torch.zeros_like(gradient))
    assert float(make("box_pushing", T=60, dtype="float64")(theta.new_zeros(1, 120))) == pytest.approx(70 * still)
    # noise of 4 cm on each of 40 changes takes the command to the box: the sum's standard deviation is 25 cm
    smoothed = Smoothing(scale=0.04, samples=256).estimate(task, theta, seed=0)
    assert float((smoothed.gradient / smoothed.standard_error).abs().max()) > 5  # 80 coordinates: 5e-5 false alarms


@pytest.mark.parametrize("damping", [100.0, 0.0])
def test_steady_straight_push(damping):
    """Pushed steadily along the middle the box follows at the command's speed, at the gap of the force balance.

    A quasi-dynamic step starts from rest: (M + h d) v = h f of the contact, m v = h k (c - x) - h f for the pusher, so
    h k (c - x) = (m + M + h d) v with x the pusher's position at the end of the step. Contact stiffness: two 1e6 N/m in
    series.
    """
    # what is left of the start falls by 1/4 a step, without damping by 1/2
    task = make("box_pushing", T=100, dtype="float64", threads=1, joint_damping=damping)
    h, speed = 0.1, 0.3
    before, q = task.rollout(steady(task)).body_q[-2:, 0]
    assert float(q[0, 1] - before[0, 1]) == pytest.approx(h * speed, rel=1e-6)
    lag = (task.pusher_mass + task.box_mass + h * damping) * speed / (h * task.stiffness)
    command = -0.2 + 0.03 * task.steps
    assert command - float(q[1, 1]) == pytest.approx(lag, rel=1e-6)
    push = (task.box_mass / h + damping) * speed
    gap = float(q[0, 1] - q[1, 1]) - 0.6
    assert gap == pytest.approx(-push / 5e5, rel=0.05)  # the contact's own damping apart: steady, so it has no part
    assert float(q[0, 0].abs()) < 1e-9


def test_gradient_matches_central_differences(task):
    generator = torch.Generator().manual_seed(0)
    theta = steady(task)[0] + 0.005 * torch.randn(80, generator=generator, dtype=torch.float64)
    _, gradient = task.value_and_gradient(theta[None])
    d = torch.randn(3, 80, generator=generator, dtype=torch.float64)
    d = d / d.norm(dim=1, keepdim=True)
    values = [(task(theta + e * d) - task(theta - e * d)) / (2 * e) for e in (1e-6, 2e-6)]
    numeric = (4 * values[0] - values[1]) / 3
    torch.testing.assert_close(d @ gradient[0], numeric, rtol=1e-6, atol=1e-6 * float(gradient.norm()))


def test_loss_is_the_formula(task):
    """The last state counts ten times, and an angle counts by what is left of whole turns."""
    x, y, yaw = task.goal
    poses = torch.tensor([x, y, yaw], dtype=torch.float64).repeat(task.steps + 1, 1)
    assert float(task.loss(poses.reshape(1, -1))) == 0.0
    poses[3, 0] += 0.1
    poses[-1, 2] += 2 * math.pi + 0.2
    assert float(task.loss(poses.reshape(1, -1))) == pytest.approx(3 * 0.01 + 10 * 1.2 * 0.04)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"T": 0}, "T must be an integer of at least 1, got 0"),
        ({"goal": (0.0, math.nan, 0.0)}, "goal must be three finite numbers"),
        ({"final_factor": -1.0}, "final_factor must be finite and not negative"),
        ({"joint_damping": math.inf}, "joint_damping must be finite and not negative"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(TaskError, match=message):
        make("box_pushing", **options)
