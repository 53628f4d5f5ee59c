"""The k-sample median: its closed sum against all subsets, its gradient against quadrature, and wild costs.

z-tests are at 4.5 standard errors (t-tails of 31 degrees of freedom: a false alarm in 12,000 for each coordinate).
"""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pytest
import torch
from scipy import special, stats

from carom.envs import testbeds
from carom.gradients import GradientError, MedianSmoothing, Smoothing
from carom.gradients.estimators.median_smoothing import mean_median

from .repeats import repeat


@pytest.mark.parametrize(("samples", "k"), [(7, 3), (8, 5), (6, 1), (5, 5), (9, 7)])
def test_mean_over_all_subsets(samples, k):
    costs = torch.sin(3.7 * torch.arange(2 * samples, dtype=torch.float64)).view(samples, 2)
    costs[2] = costs[1]  # a tie
    value, shares = mean_median(costs, k)
    subsets = list(itertools.combinations(range(samples), k))
    for column in range(2):
        medians = [statistics.median(costs[list(subset), column].tolist()) for subset in subsets]
        assert float(value[column]) == pytest.approx(sum(medians) / len(subsets), abs=1e-12)
        for j in range(samples):
            part = sum(m for m, subset in zip(medians, subsets, strict=True) if j in subset) / len(subsets)
            assert float(shares[j, column]) == pytest.approx(part, abs=1e-12)


def slope_by_quadrature(quantile, theta, sigma, k, width=1e-3):
    """E median and its derivative, for costs of which the level at probability u is quantile(theta, sigma, u)."""
    r = (k - 1) // 2
    z = np.linspace(-7.5, 7.5, 241)  # trapezoidal: the integrand and its slopes vanish at both ends
    u = stats.norm.cdf(z)
    mass = stats.beta(r + 1, r + 1).pdf(u) * stats.norm.pdf(z) * (z[1] - z[0])

    def mean(x):
        return float(mass @ quantile(x, sigma, u))

    return mean(theta), (mean(theta + width) - mean(theta - width)) / (2.0 * width)


def exponential(x, sigma, u):
    """Level of exp(x + sigma w), Gaussian w."""
    return np.exp(x + sigma * stats.norm.ppf(u))


def square(x, sigma, u):
    """Level of (x + sigma w)^2: a noncentral chi-square law."""
    return sigma**2 * stats.ncx2.ppf(u, 1, (x / sigma) ** 2)


@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize(
    ("cost", "quantile"),
    [(lambda t: torch.exp(t[:, 0]), exponential), (lambda t: t[:, 0].square(), square)],
    ids=["exponential", "square"],
)
@pytest.mark.parametrize("baseline", ["leave_one_out", "value", "none"])
def test_value_and_gradient_by_quadrature(cost, quantile, k, baseline):
    theta, sigma = torch.tensor([0.4], dtype=torch.float64), 0.7
    value, slope = slope_by_quadrature(quantile, 0.4, sigma, k)
    noise = Smoothing(scale=sigma, samples=8000, antithetic=False, baseline=baseline)
    found = MedianSmoothing(noise, k=k).estimate(cost, theta, seed=4)
    assert abs(float(found.gradient) - slope) < 4.5 * float(found.standard_error)
    assert abs(float(found.value) - value) < 4.5 * found.diagnostics["value_standard_error"]
    assert float(found.standard_error) < 0.3 * abs(slope)


@pytest.mark.parametrize("k", [3, 11])
def test_jump_is_a_binomial_tail(k):
    # The median of k zeros and ones is 1 with the probability that r + 1 of them are: I_p(r + 1, r + 1).
    testbed, theta, sigma = testbeds.HalfPlane(), torch.tensor([0.05, -0.02], dtype=torch.float64), 0.1
    r = (k - 1) // 2
    p = float(testbed.smoothed_value(theta, sigma))
    slope = p**r * (1.0 - p) ** r / special.beta(r + 1, r + 1) * testbed.smoothed_gradient(theta, sigma)
    noise = Smoothing(scale=sigma, samples=8000, antithetic=False)
    found = MedianSmoothing(noise, k=k).estimate(testbed, theta, seed=8)
    assert bool(((found.gradient - slope).abs() < 4.5 * found.standard_error).all())
    value = special.betainc(r + 1, r + 1, p)
    assert abs(float(found.value) - value) < 4.5 * found.diagnostics["value_standard_error"]


def test_unbiased_at_few_samples_with_an_honest_error():
    theta = torch.tensor([0.4], dtype=torch.float64)
    square_cost = lambda t: t[:, 0].square()  # noqa: E731
    few = Smoothing(scale=0.7, samples=12, antithetic=False)
    runs = repeat(MedianSmoothing(few, k=3), square_cost, theta, 200)
    assert abs(float(runs.z_of_mean(torch.tensor([slope_by_quadrature(square, 0.4, 0.7, 3)[1]])))) < 4.5
    # The jackknife's variance errs on the high side for a U-statistic of order 3 on 12 samples, by O(1/12) or so.
    assert 0.8 < runs.honesty() < 2.0
    many = Smoothing(scale=0.7, samples=400, antithetic=False)
    runs = repeat(MedianSmoothing(many, k=3, groups=16), square_cost, theta, 60)
    assert runs.honesty() == pytest.approx(1.0, abs=0.6)


def test_one_sample_median_is_the_mean():
    noise = Smoothing(scale=0.3, samples=100, antithetic=False)
    theta = testbeds.Quadratic().initial_parameters()
    median = MedianSmoothing(noise, k=1, groups=100).estimate(testbeds.Quadratic(), theta, seed=2)
    mean = noise.estimate(testbeds.Quadratic(), theta, seed=2)
    torch.testing.assert_close(median.gradient, mean.gradient, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(median.value, mean.value, rtol=1e-12, atol=0)
    torch.testing.assert_close(median.standard_error, mean.standard_error, rtol=1e-9, atol=0)


def test_heavy_tails_have_a_median():
    # x^2 under Cauchy noise has no mean; its median of 9 has moments enough, and a slope.
    theta, sigma = torch.tensor([1.0], dtype=torch.float64), 0.3

    def level(x, s, u):
        # P(|x + s c| <= q) = u, by bisection on q
        low, high = np.zeros_like(u), np.full_like(u, 1e9)
        for _ in range(120):
            q = 0.5 * (low + high)
            share = (np.arctan((q - x) / s) - np.arctan((-q - x) / s)) / np.pi
            low, high = np.where(share < u, q, low), np.where(share < u, high, q)
        return low**2

    nodes, weights = np.polynomial.legendre.leggauss(60)
    r = 4
    u = 0.5 * (nodes + 1.0)
    density = 0.5 * weights * stats.beta(r + 1, r + 1).pdf(u)

    def mean(x):
        return float(density @ level(x, sigma, u))

    slope = (mean(1.0 + 1e-3) - mean(1.0 - 1e-3)) / 2e-3
    noise = Smoothing(scale=sigma, samples=8000, distribution="cauchy", antithetic=False)
    found = MedianSmoothing(noise, k=9).estimate(lambda t: t[:, 0].square(), theta, seed=3)
    assert abs(float(found.gradient) - slope) < 4.5 * float(found.standard_error)
    assert float(found.standard_error) < 0.2 * slope


def test_chunks_and_batches_change_nothing():
    batch = torch.tensor([[0.4], [0.1]], dtype=torch.float64)
    found = [
        MedianSmoothing(Smoothing(scale=0.7, samples=90, antithetic=False, chunk=chunk)).estimate(
            lambda t: t[:, 0].square(), theta, seed=1
        )
        for chunk, theta in ((None, batch), (7, batch), (None, batch[1]))
    ]
    torch.testing.assert_close(found[0].gradient, found[1].gradient, rtol=1e-12, atol=0)
    torch.testing.assert_close(found[0].gradient[1], found[2].gradient, rtol=1e-12, atol=0)
    assert found[0].evaluations == 180
    constant = MedianSmoothing(Smoothing(antithetic=False)).estimate(lambda t: torch.full_like(t[:, 0], 7.0), batch)
    assert float(constant.gradient.abs().max()) == 0.0
    assert float(constant.standard_error.abs().max()) == 0.0


def test_refusals():
    for wrong, words in (
        ({"smoothing": Smoothing()}, "independent"),
        ({"smoothing": Smoothing(antithetic=False, sampling="rqmc")}, "independent"),
        ({"smoothing": Smoothing(antithetic=False, order="first")}, "zeroth"),
        ({"smoothing": Smoothing(antithetic=False, samples=6), "k": 5}, "smaller k"),
        ({"k": 4}, "odd"),
        ({"k": 0}, "k is"),
        ({"groups": 1}, "groups"),
        ({"smoothing": "gaussian"}, "Smoothing"),
    ):
        with pytest.raises(GradientError, match=words):
            MedianSmoothing(**wrong)
