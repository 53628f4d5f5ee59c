"""The reference: central differences of the smoothed objective."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import GapPush, GrazingPush, Heaviside, Quadratic
from carom.gradients import CentralDifferences, Gaussian

from .repeats import repeat


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize(
    "objective",
    [Heaviside(), Heaviside(dimension=3), GrazingPush(), GapPush(gap=0.01), Quadratic()],
    ids=lambda o: f"{o.name}{len(o.parameter_names)}",
)
def test_against_closed_forms(objective, antithetic):
    theta = objective.initial_parameters() * 0.5
    runs = repeat(CentralDifferences(scale=0.05, samples=256, antithetic=antithetic), objective, theta, 300)
    truth = objective.smoothed_gradient(theta, 0.05)
    if objective.name == "quadratic":
        torch.testing.assert_close(runs.gradients.mean(0), truth, rtol=1e-11, atol=1e-11) if antithetic else None
    if objective.name != "quadratic" or not antithetic:
        # z-test at 4.5, 7e-6 a coordinate; the remaining bias (0.1 %) is a tenth of the standard error of the mean.
        assert float(runs.z_of_mean(truth).abs().max()) < 4.5
        # Known to sqrt(2/300) = 8 % (1 sigma).
        assert 0.65 < runs.honesty() < 1.35


@pytest.mark.parametrize("x", [-0.1, -0.03, 0.0, 0.05, 0.12])
def test_bias_on_a_step_is_as_documented(x):
    # Closed form of the estimator's mean: the step convolved with its noise and its difference; no sampling.
    scale, step = 0.05, 0.5
    h = step * scale
    narrow = math.sqrt(scale**2 - h**2 / 3)
    cdf = lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2)))  # noqa: E731
    mean = (cdf((x + h) / narrow) - cdf((x - h) / narrow)) / (2 * h)
    plain = (cdf((x + h) / scale) - cdf((x - h) / scale)) / (2 * h)
    truth = float(Heaviside().smoothed_gradient(torch.tensor([x], dtype=torch.float64), scale))
    peak = 1 / (scale * math.sqrt(2 * math.pi))
    assert abs(mean - truth) < 1.5e-3 * peak
    if x == 0.0:
        assert abs(mean - truth) < 0.03 * abs(plain - truth)


def test_a_cubic_has_no_bias():
    # E (x + s w)^3 has gradient 3 x^2 + 3 s^2; without the narrower noise the difference would add h^2.
    x, scale = 0.2, 0.3
    theta = torch.tensor([x], dtype=torch.float64)
    estimate = CentralDifferences(scale=scale, samples=200000, step=1.0).estimate(lambda t: t[:, 0] ** 3, theta)
    z = (estimate.gradient - (3 * x**2 + 3 * scale**2)) / estimate.standard_error
    assert abs(float(z)) < 4.5
    assert float((scale**2) / estimate.standard_error) > 30  # it could tell


def test_noise_is_common_to_both_sides():
    # Without it the variance would be that of two values over h: 4 Var f / (2h)^2, hundreds of times more.
    theta = torch.tensor([0.1, 0.2], dtype=torch.float64)
    estimate = CentralDifferences(scale=0.05, samples=256).estimate(lambda t: torch.sin(20 * t[:, 0]) + t[:, 1], theta)
    assert float(estimate.standard_error[1]) < 1e-12


def test_plain_differences():
    objective = Quadratic()
    batch = torch.tensor([[1.0, -0.5], [20.0, 0.3]], dtype=torch.float64)
    estimate = CentralDifferences(scale=0).estimate(objective, batch)
    torch.testing.assert_close(estimate.gradient, objective.value_and_gradient(batch)[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(estimate.value, objective(batch))
    assert estimate.standard_error is None
    sine = CentralDifferences(scale=0.0, step=1e-3).estimate(lambda t: t.sin().sum(1), batch)
    torch.testing.assert_close(sine.gradient, batch.cos() * math.sin(1e-3) / 1e-3, rtol=1e-9, atol=1e-11)


def test_value_batches_and_chunks():
    objective = GapPush(gap=0.01)
    batch = torch.tensor([[0.0], [0.02]], dtype=torch.float64)
    together = CentralDifferences(scale=0.05, samples=2000, chunk=None).estimate(objective, batch, seed=3)
    chunked = CentralDifferences(scale=0.05, samples=2000, chunk=100).estimate(objective, batch, seed=3)
    torch.testing.assert_close(chunked.gradient, together.gradient, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(chunked.standard_error, together.standard_error, rtol=1e-10, atol=1e-14)
    single = CentralDifferences(scale=0.05, samples=2000).estimate(objective, batch[1], seed=3)
    torch.testing.assert_close(single.gradient, together.gradient[1], rtol=1e-12, atol=1e-14)
    # Value: its standard deviation is below that of the noise, 0.05, over sqrt(2000).
    truth = objective.smoothed_value(batch, 0.05)
    assert float((together.value - truth).abs().max()) < 4.5 * 0.05 / 2000**0.5


def test_noise_differs_from_smoothing():
    rows = {}

    def spy(name):
        def objective(theta):
            rows[name] = theta.clone()
            return theta.sum(1)

        return objective

    from carom.gradients import Smoothing

    theta = torch.zeros(1, dtype=torch.float64)
    Smoothing(scale=1.0, samples=8, antithetic=False).estimate(spy("smoothing"), theta)
    CentralDifferences(scale=1.0, samples=8, antithetic=False).estimate(spy("reference"), theta)
    assert not torch.isclose(rows["smoothing"][:8], rows["reference"][:8]).any()
    assert Gaussian.symmetric
