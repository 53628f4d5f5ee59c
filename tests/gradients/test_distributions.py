"""The six noise distributions against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from carom.gradients import DISTRIBUTIONS, GradientError, Smoothing

from .closed_forms import SCIPY

FEW = torch.tensor([-0.93, -0.4, -1e-3, 0.2, 0.71, 0.999], dtype=torch.float64)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_quantiles_and_densities(name):
    density = DISTRIBUTIONS[name]()
    u = torch.tensor([1e-12, 1e-3, 0.2, 0.5, 0.77, 1 - 1e-3, 1 - 1e-12], dtype=torch.float64)
    np.testing.assert_allclose(density.sample(u).numpy(), SCIPY[name].ppf(u.numpy()), rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(SCIPY[name].cdf(density.sample(u).numpy())[:5], u.numpy()[:5], rtol=1e-9)
    np.testing.assert_allclose(density.log_density(FEW).numpy(), SCIPY[name].logpdf(FEW.numpy()), rtol=1e-12)
    ends = density.sample(torch.tensor([2.0**-53, 1.0 - 2.0**-53], dtype=torch.float64))
    assert torch.isfinite(ends).all()
    assert torch.isfinite(density.score(ends)).all()
    assert density.symmetric == bool(torch.allclose(density.log_density(FEW), density.log_density(-FEW)))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_score_is_minus_the_slope_of_the_log_density(name):
    w = FEW.clone().requires_grad_()
    (slope,) = torch.autograd.grad(DISTRIBUTIONS[name]().log_density(w).sum(), w)
    torch.testing.assert_close(DISTRIBUTIONS[name]().score(w.detach()), -slope)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_stated_moments(name):
    density = DISTRIBUTIONS[name]
    mean, variance = (float(part) for part in SCIPY[name].stats(moments="mv"))
    np.testing.assert_allclose([density.mean, density.variance], [mean, variance if name != "cauchy" else np.inf])
    # E s = 0, E s w = 1 and E s^2 by midpoints of the quantile function.
    noise = density().sample((torch.arange(10**6, dtype=torch.float64) + 0.5) / 10**6)
    score = density().score(noise)
    assert float(score.mean()) == pytest.approx(0.0, abs=1e-4)
    assert float((score * noise).mean()) == pytest.approx(1.0, abs=2e-3)
    if name != "triangular":
        assert float(score.square().mean()) == pytest.approx(density.information, rel=1e-3)


def test_variance_of_the_triangular_score_diverges_logarithmically():
    # Of n midpoints the mean of s^2 is the integral of 1/(1 - |w|) to about sqrt(1/n) from the end, log(n) plus a
    # constant: a hundredfold n adds log(100).
    triangular = DISTRIBUTIONS["triangular"]()
    means = []
    for n in (10**4, 10**6):
        noise = triangular.sample((torch.arange(n, dtype=torch.float64) + 0.5) / n)
        means.append(float(triangular.score(noise).square().mean()))
    assert means[1] - means[0] == pytest.approx(np.log(100.0), rel=1e-3)
    assert DISTRIBUTIONS["triangular"].information == np.inf
    theta = torch.zeros(1, dtype=torch.float64)
    for order, infinite in (("zeroth", True), ("first", False)):
        estimate = Smoothing(distribution="triangular", order=order, samples=16).estimate(lambda t: t[:, 0] ** 2, theta)
        assert estimate.diagnostics["infinite_variance"] is infinite
    with pytest.raises(GradientError, match="beyond it the density is zero"):
        triangular.score(torch.tensor([1.2]))


def test_cauchy_averages_of_an_unbounded_cost_never_settle():
    # The mean of n Cauchy numbers is a Cauchy number: over 200 seeds its quartiles stay where one draw's are, at 1,
    # however large n is (median of |x|, its standard error is pi / (2 sqrt(200)) = 0.11).
    for samples in (16, 1024):
        backend = Smoothing(scale=1.0, samples=samples, distribution="cauchy", antithetic=False)
        values = [
            float(backend.estimate(lambda t: t[:, 0], torch.zeros(1, dtype=torch.float64), seed=seed).value)
            for seed in range(200)
        ]
        assert float(np.median(np.abs(values))) == pytest.approx(1.0, abs=0.5)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_step_function_has_the_mirrored_density_as_slope(name):
    # E H(x + w) has the derivative m(-x) for every density. Cartesian midpoints in one dimension: the error is of the
    # order of one cell, s / n.
    for x in (-0.3, 0.45):
        backend = Smoothing(
            scale=1.0, samples=20000, distribution=name, antithetic=False, sampling="cartesian", baseline="value"
        )
        estimate = backend.estimate(lambda t: (t[:, 0] > 0).double(), torch.tensor([x], dtype=torch.float64))
        assert float(estimate.gradient) == pytest.approx(float(SCIPY[name].pdf(-x)), abs=8e-3)
        assert estimate.standard_error is None


def test_a_new_distribution_is_one_small_class():
    class Uniform:
        name = "uniform"
        symmetric = True
        orders = ("first",)

        def sample(self, uniforms):
            return 2.0 * uniforms - 1.0

        def score(self, noise):
            return torch.zeros_like(noise)

        def log_density(self, noise):
            return torch.full_like(noise, -np.log(2.0))

    with pytest.raises(GradientError, match=r"uniform noise cannot give order 'zeroth', only first.*gaussian"):
        Smoothing(distribution=Uniform())
    estimate = Smoothing(distribution=Uniform(), order="first", scale=0.5, samples=4096).estimate(
        lambda t: t[:, 0] ** 3, torch.tensor([0.2], dtype=torch.float64)
    )
    z = (estimate.gradient - 3 * (0.2**2 + 0.5**2 / 3)) / estimate.standard_error
    assert abs(float(z)) < 4.5
    assert stats.norm.sf(4.5) * 2 < 1e-5  # the false-alarm rate of that
