"""Mixtures of orders: where the first is right, where it is wrong, and whether the error bar is honest.

A z-test at 4.5 fails a right estimator with probability 7e-6 a coordinate, a little more by the tails of few samples.
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import BallWithWall, GapPush, Heaviside, MomentumTransfer, Quadratic
from carom.gradients import AlphaOrder, Estimate, InverseVariance, Mixed, Remainder, Smoothing

from .repeats import repeat

Z = 4.5


def mixed(rule, scale, samples=128):
    plain = {"scale": scale, "samples": samples, "antithetic": False}
    return Mixed(Smoothing(order="first", **plain), Smoothing(**plain), rule)


CONTINUOUS = [(Quadratic(), 0.3), (GapPush(gap=0.01), 0.05)]
RULES = [
    InverseVariance(),
    InverseVariance(per="gradient"),
    AlphaOrder(gamma=1e6, unit="absolute"),  # always admitted, never capped: inverse variance of the whole gradient
    AlphaOrder(gamma=1e-6, unit="absolute"),  # never admitted: zeroth order
]


@pytest.mark.parametrize(("objective", "scale"), CONTINUOUS)
@pytest.mark.parametrize("rule", RULES, ids=["coordinate", "gradient", "admitted", "refused"])
def test_unbiased_with_an_honest_error_on_continuous_costs(rule, objective, scale):
    # 200 seeds; 12 coordinates in all: 1e-4. The variance is known to 10 % (1 sigma).
    theta = objective.initial_parameters() * 0.5
    runs = repeat(mixed(rule, scale), objective, theta, 200)
    assert float(runs.z_of_mean(objective.smoothed_gradient(theta, scale)).abs().max()) < Z
    assert 0.65 < runs.honesty() < 1.4


@pytest.mark.parametrize(("objective", "scale"), CONTINUOUS)
def test_no_more_variance_than_either_order(objective, scale):
    # Over 150 seeds each; a ratio of two variances is known to 16 % (1 sigma). Split parts are two of each order.
    theta = objective.initial_parameters() * 0.5
    rule = AlphaOrder(gamma=1e6, unit="absolute")
    both = repeat(mixed(rule, scale), objective, theta, 150).variance()
    split = repeat(mixed(InverseVariance(), scale), objective, theta, 150).variance()
    plain = {"scale": scale, "samples": 128, "antithetic": False}
    for order in ("first", "zeroth"):
        alone = repeat(Smoothing(order=order, **plain), objective, theta, 150).variance()
        assert float(both) < 1.5 * float(alone)
        assert float(split) < 0.75 * float(alone)


def test_the_formulas():
    # Equations (1) and (2) of AlphaOrder, written out anew from the two orders' own estimates.
    objective, n, d, delta = GapPush(gap=0.01), 400, 1, 0.1
    theta = objective.initial_parameters() * 0.5
    estimate = mixed(AlphaOrder(gamma=0.4, delta=delta, bound=3.0, unit="absolute"), 0.05, n).estimate(objective, theta)
    got = estimate.diagnostics
    log = math.log((d + 1) / delta)
    eps = math.sqrt(2 * (n * got["variance_zeroth"]) * log / n) + 2 * 3.0 / (3 * n) * log
    assert got["eps"] == pytest.approx(eps)
    free = got["variance_zeroth"] / (got["variance_zeroth"] + got["variance_first"])
    assert got["alpha"] == pytest.approx(min(free, (0.4 - eps) / got["difference"]))
    assert got["admitted"] is True
    assert estimate.evaluations == 2 * n


@pytest.mark.parametrize("gamma", [0.1, 0.6])
def test_falls_back_where_the_first_order_is_blind(gamma):
    # A step: F1 is exactly 0 with no variance, and inverse variance would believe it.
    objective = Heaviside()
    theta = objective.initial_parameters()
    truth = objective.smoothed_gradient(theta, 0.05)
    blind = mixed(InverseVariance(), 0.05).estimate(objective, theta)
    assert float(blind.gradient) == 0.0
    assert blind.diagnostics["disagreement"] > 5
    rule = AlphaOrder(gamma=gamma, unit="absolute")
    runs = repeat(mixed(rule, 0.05), objective, theta, 150)
    assert float(runs.z_of_mean(truth).abs().max()) < Z  # unbiased, as alpha = 0
    assert all(mixed(rule, 0.05).estimate(objective, theta, seed=s).diagnostics["alpha"] == 0.0 for s in range(10))


def test_the_bound_holds_where_the_first_order_is_wrong_and_admitted():
    # A step with a generous gamma: F1 is admitted and capped; the error exceeds gamma with probability delta at most.
    objective = Heaviside()
    theta = objective.initial_parameters()
    truth = objective.smoothed_gradient(theta, 0.05)
    rule = AlphaOrder(gamma=4.0, unit="absolute", delta=0.05)
    estimates = [mixed(rule, 0.05, 512).estimate(objective, theta, seed=s) for s in range(120)]
    assert all(e.diagnostics["capped"] and 0.2 < e.diagnostics["alpha"] < 0.5 for e in estimates)
    errors = torch.stack([e.gradient - truth for e in estimates]).norm(dim=1)
    assert int((errors > 4.0).sum()) <= 15  # binomial(120, 0.05): more with probability 3e-4
    # The bar is that of F0, as the step towards F1 is of fixed length; the bias is not in it, but in bias_bound.
    gradients = torch.stack([e.gradient for e in estimates])
    reported = torch.stack([e.standard_error for e in estimates]).square().mean()
    assert float(reported / gradients.var(0)) == pytest.approx(1.0, rel=0.5)
    bias = float((gradients.mean(0) - truth).norm())
    assert 1.0 < bias < sum(e.diagnostics["bias_bound"] for e in estimates) / 120


@pytest.mark.parametrize("unit", ["zeroth", "eps"])
def test_the_noise_of_a_capped_mixture(unit):
    # Three steps at once: capped, several coordinates. Variance to 12 % (1 sigma) plus what the propagation neglects.
    objective = Heaviside(dimension=3)
    theta = torch.tensor([0.02, 0.05, 0.0], dtype=torch.float64)
    rule = AlphaOrder(gamma={"zeroth": 0.6, "eps": 1.5}[unit], unit=unit)
    runs = repeat(mixed(rule, 0.05, 1024), objective, theta, 150)
    assert 0.65 < runs.honesty() < 1.5


def test_ball_with_wall():
    # Near the angle that clears the wall the cost jumps, and the first order misses that; low shots are smooth.
    objective = BallWithWall()
    rule = AlphaOrder(gamma=0.002, unit="absolute")
    backend = mixed(rule, 0.02, 1000)
    angles = torch.linspace(0.05, 0.7, 66, dtype=torch.float64)[:, None]
    jump = angles[objective(angles).diff().abs().argmax()]
    low = torch.tensor([0.1], dtype=torch.float64)
    at_jump = backend.estimate(objective, jump)
    assert at_jump.diagnostics["alpha"] == 0.0
    smooth = backend.estimate(objective, low)
    assert smooth.diagnostics["alpha"] > 0.5
    truth = objective.smoothed_gradient(low, 0.02)
    assert float(((smooth.gradient - truth) / smooth.standard_error).abs().max()) < Z


def test_smooth_costs_are_mostly_first_order():
    objective = MomentumTransfer()
    theta = objective.initial_parameters()
    estimate = mixed(AlphaOrder(), 0.02, 2000).estimate(objective, theta)
    assert estimate.diagnostics["admitted"] is True
    assert estimate.diagnostics["alpha"] > 0.9


def test_a_batch_equals_single_calls():
    objective = Quadratic()
    batch = torch.stack([objective.initial_parameters() * s for s in (0.5, -1.0, 0.1)])
    for rule in (AlphaOrder(), AlphaOrder(gamma=1.2, unit="eps"), InverseVariance()):
        backend = mixed(rule, 0.3)
        together = backend.estimate(objective, batch, seed=2)
        for i in range(3):
            single = backend.estimate(objective, batch[i], seed=2)
            torch.testing.assert_close(single.gradient, together.gradient[i], rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(single.standard_error, together.standard_error[i], rtol=1e-9, atol=1e-12)


def test_a_constant_cost_gives_exact_zeros():
    zero = torch.zeros(2, dtype=torch.float64)
    for rule in (AlphaOrder(), InverseVariance()):
        estimate = Mixed(rule=rule).estimate(lambda x: x.sum(1) * 0.0 + 3.0, zero)
        assert torch.equal(estimate.gradient, zero)
        assert torch.equal(estimate.standard_error, zero)


def test_nothing_is_used_of_a_first_order_that_is_noise():
    """Within three standard errors of zero: one parameter, 2,000 draws; beyond them by chance in 0.3 %, at most 1 %."""
    draws = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones = torch.ones_like(draws)
    noise = Estimate(draws[:, 0], draws, ones, 64, 0.0)
    assert float((Remainder().share(noise) > 0).double().mean()) < 0.01
    sure = Estimate(draws[:, 0], 30.0 * ones, ones, 64, 0.0)
    torch.testing.assert_close(Remainder().share(sure), 0.99 * ones[:, 0])
