"""The pushing task: its cost against its formula, its gradient against differences, what each backend sees of it."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs import TaskError, make, tasks
from carom.gradients import Autodiff, Smoothing


@pytest.fixture(scope="module")
def touching():
    return make("push", dtype="float64")


@pytest.fixture(scope="module")
def apart():
    return make("push", start="apart", dtype="float64")


def box_term(task, theta):
    return task.box_term(task.outputs(theta)).to(theta.dtype)


def test_loss_is_the_formula(touching):
    x, y, yaw = touching.goal
    at_goal = torch.tensor([[x, y, yaw, 0.0], [x, y, yaw + 2 * math.pi, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(touching.loss(at_goal), torch.tensor([0.0, 0.25], dtype=torch.float64))
    off = torch.tensor([[x + 0.1, y - 0.2, yaw + math.pi, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(touching.loss(off), torch.tensor([1.0 + 4.0 + 4.0], dtype=torch.float64))


def test_effort_is_the_way_points_squared_moves(touching):
    theta = touching.initial_parameters()
    # a straight push of 10 cm in n equal parts: n (1/n)^2 times the weight
    expected = touching.effort / touching.way_point_count
    assert float(touching.outputs(theta[None])[0, 3]) == pytest.approx(expected, rel=1e-12)


def test_targets_pass_through_the_way_points(touching):
    torch.manual_seed(0)
    theta = touching.initial_parameters() + 0.01 * torch.randn(8, dtype=torch.float64)
    targets = touching.controls(theta[None])[:, 0]
    every = touching.steps // touching.way_point_count
    torch.testing.assert_close(targets[every - 1 :: every], theta.reshape(4, 2))
    first = torch.tensor(touching.pusher_start, dtype=torch.float64)
    torch.testing.assert_close(targets[every // 2 - 1], (first + theta[:2]) / 2)


def test_gradient_matches_central_differences(touching):
    # off the initial theta, where pusher and box touch with a gap of exactly zero
    generator = torch.Generator().manual_seed(1)
    theta = touching.initial_parameters()
    theta = theta + 0.004 * torch.randn(8, generator=generator, dtype=torch.float64)
    _, gradient = touching.value_and_gradient(theta[None])
    directions = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    directions = directions / directions.norm(dim=1, keepdim=True)
    # Richardson over 1e-5 and 2e-5: Taylor's error falls to their fourth power, rounding is 1e-16/1e-5
    values = [(touching(theta + e * directions) - touching(theta - e * directions)) / (2 * e) for e in (1e-5, 2e-5)]
    numeric = (4 * values[0] - values[1]) / 3
    torch.testing.assert_close(directions @ gradient[0], numeric, rtol=1e-6, atol=1e-6 * float(gradient.norm()))


def test_exact_gradient_is_blind_from_apart_and_smoothing_is_not(apart):
    """Way-points that stop 1 cm short of the box: nothing of the box is seen exactly; noise of 2 cm sees it."""
    theta = apart.initial_parameters().reshape(4, 2).clone()
    theta[:, 0] += torch.tensor([0.005, 0.010, 0.015, 0.020], dtype=torch.float64)
    theta = theta.reshape(-1)

    def box(rows):
        return box_term(apart, rows)

    exact = Autodiff().estimate(box, theta)
    assert torch.equal(exact.gradient, torch.zeros_like(theta))
    smoothed = Smoothing(scale=0.02, samples=4096).estimate(box, theta, seed=0)
    # one sided: each of four x derivatives would have to be a Gaussian's excursion of 3: 1e-3 false alarms each; the
    # first is the smallest, 6 standard errors of these samples (3 of 1024, which is as good as a coin)
    along = smoothed.gradient[0::2] / smoothed.standard_error[0::2]
    assert (along < -3).all()
    # the whole cost has the effort term besides: 2 w (move - next move) / (10 cm)^2 in x, equal moves but the last
    whole = Autodiff().estimate(apart, theta).gradient
    expected = torch.zeros_like(theta)
    expected[6] = 2 * apart.effort * 0.005 / 0.01
    torch.testing.assert_close(whole, expected, rtol=1e-9, atol=1e-12)


def test_a_batch_is_its_rows(touching):
    generator = torch.Generator().manual_seed(2)
    theta = touching.initial_parameters() + 0.01 * torch.randn(5, 8, generator=generator, dtype=torch.float64)
    values, gradients = touching.value_and_gradient(theta)
    for i in range(5):
        value, gradient = touching.value_and_gradient(theta[i : i + 1])
        assert torch.equal(value[0], values[i])
        torch.testing.assert_close(gradient[0], gradients[i], rtol=1e-12, atol=1e-13)


def test_rollouts_in_float32_do_not_depend_on_the_batch():
    task = make("push", duration=1.0, step=0.01, dtype="float32")
    noise = torch.randn(40, 8, generator=torch.Generator().manual_seed(3))
    theta = task.initial_parameters() + 0.05 * noise
    alone = torch.cat([task.rollout(row[None], record=False).final.body_q for row in theta])
    assert torch.equal(task.rollout(theta, record=False).final.body_q, alone)


def test_float32_agrees_with_float64(touching):
    single = make("push", dtype="float32")
    theta = touching.initial_parameters()[None]
    out32, out64 = single.outputs(theta.float()).double(), touching.outputs(theta)
    # solver tolerance 1e-4 of g h a step, friction keeps it from adding up: well under a tenth of a millimetre
    assert (out32 - out64).abs()[:, :2].max() < 1e-4
    assert (out32 - out64).abs()[:, 2].max() < 1e-3


def test_mirrored_push_is_mirrored():
    left, right = make("push", dtype="float64", offset=0.01), make("push", dtype="float64", offset=-0.01)
    a = left.outputs(left.initial_parameters()[None])[0]
    b = right.outputs(right.initial_parameters()[None])[0]
    torch.testing.assert_close(a * torch.tensor([1.0, -1.0, -1.0, 1.0]), b, rtol=0, atol=1e-9)


@pytest.mark.parametrize("friction", [0.0, 0.3, 0.5])
def test_a_centred_push_takes_the_force_of_friction(friction):
    """mu m g, half-way through a push at 5 cm/s; nothing without friction, where the box has slid ahead."""
    task = make("push", dtype="float64", offset=0.0, friction=friction)
    found = task.record(task.initial_parameters()[None])
    here = found.contacts(step=200)
    pushes = (found.contact_body[here] == 1).any(axis=1)
    force = abs(found.contact_force[here][pushes].sum(axis=0)[0]) if pushes.any() else 0.0
    assert force == pytest.approx(friction * 9.81, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "far"}, "unknown start 'far'; use one of touching, apart"),
        ({"way_points": 0}, "way_points must be at least 1"),
        ({"duration": math.nan}, "duration must be finite"),
        ({"steps": 3}, "unexpected keyword argument 'steps'"),
        ({"friction": -0.1}, "friction of shape 'table' must be finite and not negative"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises((TaskError, ValueError), match=message):
        make("push", **options)


def test_bad_theta(touching):
    with pytest.raises(TaskError, match=r"theta must be a tensor of shape \[batch, 8\], got \(3, 7\)"):
        touching(torch.zeros(3, 7))
    theta = touching.initial_parameters().repeat(3, 1)
    theta[1, 2] = math.nan
    with pytest.raises(TaskError, match="not finite at row 1, parameter 'x1'"):
        touching(theta)


def test_unknown_task():
    with pytest.raises(TaskError, match="did you mean 'push'"):
        make("pusch")
    assert {"push", "heaviside", "grazing_push", "gap_push", "quadratic"} <= set(tasks())
