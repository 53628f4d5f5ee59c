"""The surrogate: right where it says so, and saying so where it is not."""

from __future__ import annotations

import math
import time

import pytest
import torch

from carom.envs.testbeds import GapPush, Heaviside, Quadratic
from carom.gradients import Autodiff, CentralDifferences, GradientError, Smoothing, Surrogate


def distance(estimate, truth):
    return float((estimate.gradient - truth).norm() / truth.norm())


def noise_cost(theta):
    """No function of theta that a fit could find, yet the same at every call."""
    return torch.frac(torch.sin((theta * 1e6).sum(1)) * 43758.5453)


@pytest.mark.parametrize("at", ["cloud", "theta"])
@pytest.mark.parametrize("hessian", [[[2.0, 0.5], [0.5, 1.0]], (50.0 * torch.eye(6)).tolist()])
def test_quadratic(at, hessian):
    objective = Quadratic(hessian=hessian)
    theta = objective.initial_parameters()
    estimate = Surrogate(at=at).estimate(objective, theta)
    truth = objective.smoothed_gradient(theta, 0.05)
    # The slope cannot be off by more than the fit: held-out error (in standard deviations of the cost, about
    # scale * |gradient|) plus three times the ensemble's spread.
    bound = estimate.diagnostics["held_out_error"] + 3 * float(
        estimate.diagnostics["gradient_spread"].norm() / truth.norm()
    )
    assert distance(estimate, truth) < bound
    assert estimate.diagnostics["held_out_error"] < 0.1
    assert estimate.diagnostics["held_out_r2"] == pytest.approx(1 - estimate.diagnostics["held_out_error"] ** 2)
    assert estimate.diagnostics["inside_data"] is True
    assert float(estimate.value) == pytest.approx(float(objective.smoothed_value(theta, 0.05)), rel=0.02)


def test_linear_cost_is_exact():
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    estimate = Surrogate(scale=(0.1, 0.5, 2.0)).estimate(lambda t: t @ slope + 7.0, torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(estimate.gradient, slope, rtol=1e-6, atol=1e-6)
    assert estimate.diagnostics["held_out_error"] < 1e-6


def test_the_cloud_sees_a_contact_that_theta_does_not():
    objective = GapPush(gap=0.03)
    theta = objective.initial_parameters()
    cloud = Surrogate(at="cloud").estimate(objective, theta)
    point = Surrogate(at="theta").estimate(objective, theta)
    truth = objective.smoothed_gradient(theta, 0.05)
    assert distance(cloud, truth) < 0.15
    assert abs(float(point.gradient)) < 0.4 * float(truth)


def test_held_out_error_tells_smooth_from_noise():
    theta = torch.tensor([0.3, -0.2], dtype=torch.float64)
    smooth = Surrogate().estimate(lambda t: torch.sin(8 * t).sum(1), theta)
    noise = Surrogate().estimate(noise_cost, theta)
    step = Surrogate().estimate(Heaviside(), theta[:1] * 0.0)
    assert smooth.diagnostics["held_out_error"] < 0.05
    assert noise.diagnostics["held_out_error"] > 0.9
    assert 0.05 < step.diagnostics["held_out_error"] < 0.5


def test_constant_cost():
    theta = torch.zeros(2, 3, dtype=torch.float64)
    estimate = Surrogate(samples=64).estimate(lambda t: torch.full(t.shape[:1], 0.1, dtype=t.dtype), theta)
    assert torch.equal(estimate.gradient, theta)
    assert estimate.diagnostics["constant"].tolist() == [True, True]
    assert estimate.value.tolist() == [0.1, 0.1]
    assert all(math.isnan(error) for error in estimate.diagnostics["held_out_error"].tolist())


def test_a_batch_equals_single_calls():
    objective = GapPush()
    batch = torch.tensor([[0.0], [0.05], [-5.0]], dtype=torch.float64)
    backend = Surrogate(samples=128, steps=100)
    together = backend.estimate(objective, batch, seed=2)
    assert together.diagnostics["constant"].tolist() == [False, False, True]
    for i in range(3):
        single = backend.estimate(objective, batch[i], seed=2)
        torch.testing.assert_close(single.gradient, together.gradient[i], rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(single.value, together.value[i], rtol=1e-3, atol=1e-6)
    chunked = Surrogate(samples=128, steps=100, chunk=10).estimate(objective, batch, seed=2)
    torch.testing.assert_close(chunked.gradient, together.gradient)


def test_dtype_and_sizes():
    objective = Quadratic()
    estimate = Surrogate(samples=64, steps=50).estimate(objective, objective.initial_parameters(dtype=torch.float32))
    assert estimate.gradient.dtype == estimate.value.dtype == torch.float32
    assert estimate.evaluations == 64


def test_few_samples_and_bad_options():
    with pytest.raises(GradientError, match=r"too few for a fit in 20 parameters: give at least 84"):
        Surrogate(samples=40).estimate(lambda t: t.sum(1), torch.zeros(20))
    for options, words in [
        ({"samples": 10}, "samples"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (8, 0)}, r"hidden\[1\]"),
        ({"ensemble": 1}, "ensemble"),
        ({"validation": 0.9}, "validation"),
        ({"held_out": 0.0}, "held_out"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"at": "clouds"}, "Did you mean 'cloud'"),
        ({"scale": -1.0}, "scale"),
        ({"steps": 0}, "steps"),
    ]:
        with pytest.raises(GradientError, match=words):
            Surrogate(**options)


def test_three_backends_agree_on_a_smooth_problem():
    objective = Quadratic()
    theta = objective.initial_parameters()
    exact = Autodiff().estimate(objective, theta)
    torch.testing.assert_close(exact.gradient, CentralDifferences(scale=0.05).estimate(objective, theta).gradient)
    for backend in (
        Smoothing(scale=0.05, samples=2048),
        Smoothing(scale=0.05, samples=2048, order="first", antithetic=False),
    ):
        estimate = backend.estimate(objective, theta)
        # Two coordinates at 4.5 sigma: 1.4e-5.
        assert float(((estimate.gradient - exact.gradient) / estimate.standard_error).abs().max()) < 4.5
    fit = Surrogate(scale=0.05).estimate(objective, theta)
    bound = fit.diagnostics["held_out_error"] * float(exact.gradient.norm()) + 3 * float(
        fit.diagnostics["gradient_spread"].norm()
    )
    assert float((fit.gradient - exact.gradient).norm()) < bound


def test_is_quick_enough_for_a_command_line():
    start = time.perf_counter()
    Surrogate().estimate(Quadratic(), Quadratic().initial_parameters())
    assert time.perf_counter() - start < 20.0  # about 0.6 s on one free core; only a hang would fail here
