"""DDCG: what its test lets through, and the estimate on either side of it.

A z-test at 4.5 fails a right estimator with probability 7e-6 a coordinate.
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import BallWithWall, GapPush, Heaviside, Linear, Quadratic
from carom.gradients import DDCG, GradientError, Smoothing

from .repeats import repeat

Z = 4.5
ZERO = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("objective", "theta"),
    [
        (Heaviside(), torch.tensor([0.1], dtype=torch.float64)),
        (Heaviside(dimension=3), torch.tensor([0.1, 0.0, -0.2], dtype=torch.float64)),
    ],
)
def test_at_a_jump_it_is_the_zeroth_order_to_the_noise(objective, theta):
    found = DDCG(scale=0.3, samples=200).estimate(objective, theta, seed=4)
    known = Smoothing(scale=0.3, samples=200, antithetic=False).estimate(objective, theta, seed=4)
    assert found.diagnostics["alpha"] == 0.0
    assert not found.diagnostics["continuous"]
    assert found.diagnostics["ratio"] == 0.0
    assert torch.allclose(found.gradient, known.gradient, rtol=1e-12)
    # a jackknife there: 1/samples
    assert torch.allclose(found.standard_error, known.standard_error, rtol=0.02)
    off = found.gradient - objective.smoothed_gradient(theta[None], 0.3)[0]
    assert float((off / found.standard_error).abs().max()) < Z


@pytest.mark.parametrize(("objective", "scale"), [(Linear(), 0.5), (Quadratic(), 0.3), (GapPush(gap=0.01), 0.05)])
def test_on_continuous_costs_it_is_unbiased_with_the_least_variance(objective, scale):
    theta = objective.initial_parameters() * 0.5
    runs = repeat(DDCG(scale=scale, samples=256), objective, theta, 200)
    truth = objective.smoothed_gradient(theta[None], scale)[0]
    if isinstance(objective, Linear):
        assert torch.allclose(runs.gradients, truth.expand_as(runs.gradients), rtol=1e-10)
        return
    # alpha depends on the samples: its bias, of order 1/samples, is below the noise of 200 seeds
    assert float(runs.z_of_mean(truth).abs().max()) < Z
    assert 0.6 < runs.honesty() < 1.5
    alone = repeat(Smoothing(scale=scale, samples=256, antithetic=False), objective, theta, 200).variance()
    assert float(runs.variance()) < 0.7 * float(alone)


def hermite(k: int):
    """Polynomial whose derivatives' energies are known: for scale 1 at 0 the ratio is (k + [k = 1]) / 2."""
    return {
        1: lambda x: x[:, 0],
        2: lambda x: x[:, 0] ** 2 - 1.0,
        3: lambda x: x[:, 0] ** 3 - 3.0 * x[:, 0],
    }[k]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_the_ratio_of_a_polynomial_is_that_of_its_order(k, scale):
    found = DDCG(scale=scale, samples=200_000).estimate(lambda x: hermite(k)(x / scale), ZERO, seed=1)
    assert found.diagnostics["ratio"] == pytest.approx({1: 1.0, 2: 1.0, 3: 1.5}[k], rel=0.05)
    assert found.diagnostics["continuous"]


@pytest.mark.parametrize("f", [torch.abs, torch.relu, torch.sin, torch.exp, lambda x: torch.sin(5.0 * x), torch.tanh])
@pytest.mark.parametrize("at", [0.0, 0.7, -2.0])
def test_every_continuous_cost_passes_without_slack(f, at):
    # At these 18 places the true ratio is at least 1; with 200,000 samples it is known to a few percent.
    found = DDCG(scale=1.0, samples=200_000).estimate(lambda x: f(x[:, 0]), ZERO + at)
    assert found.diagnostics["ratio"] > 0.97


@pytest.mark.parametrize(("height", "passes"), [(0.40, True), (0.45, True), (0.49, False), (2.0, False)])
def test_the_largest_jump_that_passes(height, passes):
    # f = x + a [x > 0] at 0, scale 1: Var f = 1 + a^2/4 + 2 a phi(0), V1 = 0, g = 1; (1) holds up to a = 0.468.
    def cost(x):
        return x[:, 0] + height * (x[:, 0] > 0)

    found = DDCG(scale=1.0, samples=400_000).estimate(cost, ZERO)
    density = 1.0 / math.sqrt(2.0 * math.pi)
    variance = 1.0 + 0.25 * height**2 + 2.0 * height * density
    assert found.diagnostics["ratio"] == pytest.approx(1.0 / variance, rel=0.01)
    assert found.diagnostics["continuous"] is passes
    truth = 1.0 + height * density
    if passes:  # short by the jump's density, and the error bar does not show it
        assert float(found.gradient) == pytest.approx(1.0, abs=1e-9)
        assert truth - 1.0 > 20.0 * float(found.standard_error)
    else:
        assert abs(float(found.gradient) - truth) < Z * float(found.standard_error)


def test_a_scale_for_each_coordinate_is_a_change_of_units():
    objective, scales = Quadratic(), torch.tensor([0.3, 0.03], dtype=torch.float64)
    theta = objective.initial_parameters()
    found = DDCG(scale=scales, samples=64).estimate(objective, theta, seed=2)

    def in_units(x):
        return objective(x * scales / 0.1)

    other = DDCG(scale=0.1, samples=64).estimate(in_units, theta * 0.1 / scales, seed=2)
    assert found.diagnostics["ratio"] == pytest.approx(other.diagnostics["ratio"], rel=1e-10)
    assert found.diagnostics["continuous"] == other.diagnostics["continuous"]


def test_the_wall_is_seen_and_the_flight_before_it_is_not():
    wall = BallWithWall(angle=0.6)
    theta, plan = wall.initial_parameters(), wall.experiment
    near = DDCG(scale=plan.noise, samples=4000).estimate(wall, theta)
    truth = wall.smoothed_gradient(theta[None], plan.noise)[0]
    assert not near.diagnostics["continuous"]
    assert float(((near.gradient - truth) / near.standard_error).abs().max()) < Z
    far = DDCG(scale=plan.noise, samples=4000).estimate(BallWithWall(), BallWithWall().initial_parameters())
    assert far.diagnostics["continuous"]
    assert far.diagnostics["alpha"] > 0.5


def test_a_constant_cost_and_faults():
    flat = DDCG(samples=16).estimate(lambda x: 0.0 * x.sum(1) + 3.0, torch.zeros(2))
    assert flat.diagnostics["ratio"] == math.inf
    assert flat.gradient.tolist() == [0.0, 0.0]
    with pytest.raises(GradientError, match="no exact gradient"):
        DDCG(samples=16).estimate(lambda x: (x > 0).double().sum(1), torch.zeros(2))
    with pytest.raises(GradientError, match="gradient that is not finite"):
        DDCG(samples=16).estimate(lambda x: (0.0 * x).sum(1).sqrt(), torch.ones(2))
    with pytest.raises(GradientError, match="samples is 2"):
        DDCG(samples=2)


def test_an_error_bar_at_a_jump_and_none_of_a_mixture():
    jump = DDCG(scale=0.3, samples=200).estimate(Heaviside(), ZERO)
    assert jump.no_error_bar is None
    assert float(jump.degrees_of_freedom) > 0.0
    smooth = DDCG(scale=0.3, samples=200).estimate(Quadratic(), Quadratic().initial_parameters())
    assert "jump too small for the test" in smooth.no_error_bar
    assert smooth.degrees_of_freedom.tolist() == [0.0, 0.0]
