"""The control variate against closed forms: no bias from any surrogate, less variance from a good one.

Seeds are fixed. A z-test at 4.5 fails a right estimator with probability 7e-6 a coordinate, a little more by tails.
"""

from __future__ import annotations

import pytest
import torch

from carom.envs.testbeds import GapPush, Heaviside, Quadratic
from carom.gradients import GradientError, Smoothing
from carom.gradients.learned import Box, Cloud, ControlVariate, fit_surrogate

from .repeats import repeat

Z, SEEDS, SCALE = 4.5, 150, 0.05


class WrongNetwork:
    """tanh layers with random weights, as large as the cost or larger, and nothing to do with it."""

    def __init__(self, parameters, seed=0):
        generator = torch.Generator().manual_seed(seed)
        sizes = [(parameters, 16), (16, 1)]
        self.weights = [3 * torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]

    def __call__(self, theta):
        return (torch.tanh(5 * theta.double() @ self.weights[0]) @ self.weights[1])[:, 0].to(theta)

    def value_and_gradient(self, theta):
        leaf = theta.detach().clone().requires_grad_()
        with torch.enable_grad():
            values = self(leaf)
            return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]


@pytest.mark.parametrize("antithetic", [True, False], ids=["pairs", "single"])
@pytest.mark.parametrize("objective", [Heaviside(dimension=3), GapPush(gap=0.01), Quadratic()], ids=lambda o: o.name)
def test_a_wrong_network_costs_variance_and_no_bias(objective, antithetic):
    theta = objective.initial_parameters() * 0.5
    wrong = WrongNetwork(len(theta))
    backend = ControlVariate(wrong, scale=SCALE, samples=64, control_samples=64, antithetic=antithetic)
    runs = repeat(backend, objective, theta, SEEDS)
    z = runs.z_of_mean(objective.smoothed_gradient(theta, SCALE))
    assert float(z.abs().max()) < Z  # 12 coordinates over all cases: 1e-4
    # The variance over 150 seeds is known to sqrt(2/150) = 12 % (1 sigma); 50 % is more than 4 sigma.
    assert 0.5 < runs.honesty() < 1.5
    # it is a wrong network: far from the gradient it is added to, and dearer than none
    off = wrong.value_and_gradient(theta[None])[1][0] - objective.smoothed_gradient(theta, SCALE)
    assert float(off.norm()) > 1.0
    estimate = backend.estimate(objective, theta)
    assert estimate.diagnostics["variance_ratio"] > 1.0


def test_a_biased_surrogate_alone_fails_the_same_test():
    objective = Quadratic()
    theta = objective.initial_parameters() * 0.5
    wrong = WrongNetwork(2)
    runs = repeat(Smoothing(scale=SCALE, samples=64, order="first"), wrong, theta, 50)
    assert float(runs.z_of_mean(objective.smoothed_gradient(theta, SCALE)).abs().max()) > 10 * Z


def test_a_good_surrogate_saves_rollouts():
    def cost(theta):
        return torch.sin(8 * theta).sum(1) + theta[:, 0] * theta[:, 1]

    theta = torch.tensor([0.2, -0.1, 0.4], dtype=torch.float64)
    # fitted over more than the noise reaches: where a network extrapolates, its residual has long tails
    surrogate = fit_surrogate(cost, Cloud(theta, 0.15), samples=256, hidden=(32, 32), steps=300)
    backend = ControlVariate(surrogate, scale=0.1, samples=64, control_samples=4096)
    runs = repeat(backend, cost, theta, 40, first=100)
    plain = repeat(Smoothing(scale=0.1, samples=64), cost, theta, 40, first=100)
    # The variance of zeroth order is that of the residual, a few percent by the held-out error, and a little for the
    # surrogate's own.
    assert surrogate.report.held_out_error < 0.15
    assert float(runs.variance() / plain.variance()) < 0.1
    assert 0.5 < runs.honesty() < 2.0  # 120 numbers: known to 13 % (1 sigma) were they normal
    estimate = backend.estimate(cost, theta)
    assert estimate.diagnostics["variance_ratio"] < 0.1
    assert estimate.evaluations == 64
    assert estimate.diagnostics["inside_data"] is True
    # e^(-(8 sigma)^2 / 2) 8 cos 8x + the product's
    factor = 8 * torch.exp(torch.tensor(-0.5 * 0.8**2, dtype=torch.float64))
    truth = factor * torch.cos(8 * theta) + torch.stack([theta[1], theta[0], 0 * theta[0]])
    assert float(((estimate.gradient - truth) / estimate.standard_error).abs().max()) < Z


def test_the_cost_as_its_own_surrogate_leaves_nothing_to_sample():
    objective = Quadratic()
    theta = objective.initial_parameters()
    estimate = ControlVariate(objective, samples=8, control_samples=8).estimate(objective, theta)
    torch.testing.assert_close(estimate.gradient, objective.smoothed_gradient(theta, 0.02))
    torch.testing.assert_close(estimate.standard_error, torch.zeros_like(theta), atol=1e-12, rtol=0)


def test_a_batch_a_seed_and_chunks():
    objective, theta = GapPush(gap=0.01), torch.tensor([[0.0], [0.05]], dtype=torch.float64)
    backend = ControlVariate(WrongNetwork(1), samples=16, control_samples=16)
    together = backend.estimate(objective, theta, seed=1)
    for i in range(2):
        torch.testing.assert_close(backend.estimate(objective, theta[i], seed=1).gradient, together.gradient[i])
    chunked = ControlVariate(WrongNetwork(1), samples=16, control_samples=16, chunk=3)
    assert torch.equal(chunked.estimate(objective, theta, seed=1).gradient, together.gradient)
    assert not torch.equal(backend.estimate(objective, theta, seed=2).gradient, together.gradient)


def test_refusals():
    with pytest.raises(GradientError, match="value_and_gradient"):
        ControlVariate(lambda theta: theta.sum(1))
    for options, words in [
        ({"samples": 63}, "even number"),
        ({"control_samples": 1}, "control_samples"),
        ({"control_samples": 63}, "even number"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"distribution": "gauss"}, "gaussian"),
    ]:
        with pytest.raises(GradientError, match=words):
            ControlVariate(WrongNetwork(1), **options)
    surrogate = fit_surrogate(Quadratic(), Box((-1.0, -1.0), (1.0, 1.0)), samples=32, hidden=(4,), steps=5)
    with pytest.raises(GradientError, match=r"takes \[batch, 2\]"):
        ControlVariate(surrogate).estimate(lambda theta: theta.sum(1), torch.zeros(3, dtype=torch.float64))
