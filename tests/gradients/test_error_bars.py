"""Error bars: intervals against scipy, coverage against closed forms, and none where the samples say too little.

Seeds are fixed. With 400 repetitions a coverage of 95 % is known to 1.1 %: a right bar falls below 91 % once in 8,000.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from carom.envs.testbeds import Bounce, GapPush, Heaviside, Linear
from carom.gradients import (
    AlphaOrder,
    Boundary,
    CentralDifferences,
    Estimate,
    InverseVariance,
    Mixed,
    Smoothing,
    Surrogate,
    compare_backends,
)
from carom.gradients.core.error_bars import joined, of_samples
from carom.gradients.noise.counter_random import derive_seed
from carom.gradients.statistics.moments import CovarianceMoments, MeanMoments
from carom.report.table import comparison_caption, row_texts

from .repeats import repeat

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import coverage as study

Z = 4.5
FLOAT = torch.float64


def numbers(*values):
    return torch.tensor(values, dtype=FLOAT)


def made(gradient, error, degrees, **diagnostics):
    return Estimate(numbers(0.0)[0], numbers(*gradient), error, 1, 0.0, diagnostics, degrees)


def expected_degrees(samples, *, remainder=False):
    """Written out anew, from scipy's skewness and kurtosis."""
    skewness, kurtosis = scipy.stats.skew(samples) ** 2, scipy.stats.kurtosis(samples, fisher=False)
    ratio = (kurtosis - 1.0 - skewness) / skewness
    if remainder:
        skewness /= (1.0 - skewness / len(samples)) ** 2
    return (len(samples) - 1) / (1.0 + skewness * (1.0 + 4.0 * ratio) / (1.0 + ratio**2))


def test_intervals_are_students():
    estimate = made((1.0, 2.0, 3.0, 4.0), numbers(0.1, 0.1, 0.2, 0.3), numbers(3.0, 27.5, math.inf, 0.0))
    for level in (0.5, 0.95, 0.999):
        low, high = estimate.interval(level)
        half = scipy.stats.t.ppf(0.5 + level / 2, [3.0, 27.5, 1e9]) * [0.1, 0.1, 0.2]
        np.testing.assert_allclose(low[:3], estimate.gradient[:3].numpy() - half, rtol=1e-7)
        np.testing.assert_allclose(high[:3], estimate.gradient[:3].numpy() + half, rtol=1e-7)
        assert low[3] == -math.inf
        assert high[3] == math.inf
    normal = made((1.0,), numbers(0.5), None)
    assert float(normal.interval(0.95)[1]) == pytest.approx(1.0 + 0.5 * scipy.stats.norm.ppf(0.975))
    assert made((1.0,), None, None).interval() is None
    with pytest.raises(ValueError, match=r"level is 95: give a probability between 0 and 1"):
        normal.interval(95)


@pytest.mark.parametrize("cuts", [(0, 40), (0, 1, 40), (0, 9, 25, 25, 40)])
def test_degrees_of_freedom_from_streamed_moments(cuts):
    generator = np.random.default_rng(0)
    weights, factors = 7.0 + generator.exponential(size=(40, 2)), generator.normal(size=(40, 3))
    products = np.einsum("kt,kc->ktc", weights, factors)
    centred = np.einsum("kt,kc->ktc", weights - weights.mean(0), factors)
    sums = {}
    for low, high in itertools.pairwise(cuts):
        parts = {
            "mean": MeanMoments.zeros(1, 2, 3),
            "product": CovarianceMoments.zeros(1, 2, 3, centred=False),
            "centred": CovarianceMoments.zeros(1, 2, 3, centred=True),
        }
        for name, part in parts.items():
            if high > low:
                rows = slice(low, high)
                if name == "mean":
                    part.add(0, torch.from_numpy(products[rows]))
                else:
                    part.add(0, torch.from_numpy(weights[rows]), torch.from_numpy(factors[rows]))
            sums[name] = sums[name].merge(part) if name in sums else part
    for name, samples in (("mean", products), ("product", products), ("centred", centred)):
        truth = [[expected_degrees(samples[:, t, c]) for c in range(3)] for t in range(2)]
        np.testing.assert_allclose(sums[name].degrees(), truth, rtol=1e-8)
        truth[1] = [expected_degrees(samples[:, 1, c], remainder=True) for c in range(3)]
        np.testing.assert_allclose(sums[name].degrees(torch.tensor([[False], [True]])), truth, rtol=1e-8)
    direct = of_samples(torch.from_numpy(products).transpose(0, 1))
    np.testing.assert_allclose(direct, sums["mean"].degrees(), rtol=1e-8)


def test_two_values_have_the_least_kurtosis():
    # 8 of 100 samples are 1: g^2 = (1 - 2p)^2/(p(1 - p)), and the kurtosis adds nothing.
    samples = torch.zeros(1, 100, 1, dtype=FLOAT)
    samples[0, :8] = 1.0
    assert float(of_samples(samples)) == pytest.approx(99 / (1 + 0.84**2 / (0.08 * 0.92)))


def test_parts_are_joined_as_by_welch():
    a, b = numbers(1.0, 1.0, 0.0), numbers(3.0, 1.0, 2.0)
    found = joined([a, b], [numbers(4.0, 0.0, 0.0), numbers(9.0, 5.0, 6.0)])
    assert found.tolist() == pytest.approx([16 / (1 / 4 + 9 / 9), 0.0, 6.0])
    assert joined([a, b], [None, None]) is None


@pytest.mark.parametrize("title", ["jump", "kink, met by 7 %", "exponential", "the same on a slope"])
def test_coverage_of_the_zeroth_order(title):
    found = study.measured("smoothing", study.PROBLEMS[title], 400)
    assert 0.91 < found.inside < 0.99
    assert found.shown > 0.98


def test_coverage_of_what_is_left_beside_a_plane():
    # Terms of fourth moments and more: 90.2 % with the degrees of freedom of plain samples.
    found = study.measured("mixed", study.PROBLEMS["exponential"], 400)
    assert 0.92 < found.inside < 0.98
    assert found.shown > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["smoothing", "smoothing-first", "mixed", "boundary"])
def test_coverage_of_all_problems(backend):
    """As docs/measurements/error_bars.md has it: 93 to 97 % in most, named exceptions below, few events above."""
    low = {"boundary": 0.82}.get(backend, 0.88)
    right = 0
    for title, problem in study.PROBLEMS.items():
        found = study.measured(backend, problem, 400)
        if found.shown > 0.1:
            assert found.inside > low, title
            right += 0.93 <= found.inside <= 0.97
    assert right >= {"smoothing": 20, "mixed": 16, "boundary": 12, "smoothing-first": 12}[backend]


def test_no_bar_without_events():
    theta = numbers(0.0, 0.0)
    few = Smoothing(scale=0.05, samples=256).estimate(lambda x: (x[:, 0] > 0.125).to(x.dtype), theta, seed=2)
    assert few.degrees_of_freedom.tolist() == [0.0, 0.0]
    count = round((1.0 - few.diagnostics["zero_share"]) * 128)
    assert 0 < count < 5
    assert few.no_error_bar.startswith(f"only {count} of 128 antithetic pairs are not zero")
    flat = Smoothing().estimate(lambda x: 0.0 * x.sum(1) + 2.0, theta)
    assert "all 128 antithetic pairs are equal" in flat.no_error_bar
    assert "rarer than 3 in 128" in flat.no_error_bar
    exact = Smoothing(order="first").estimate(Linear(), Linear().initial_parameters())
    assert not bool(exact.degrees_of_freedom.any())
    one = Smoothing(order="first").estimate(lambda x: x[:, 0] + x[:, 1] ** 3, theta)
    assert [d > 0 for d in one.degrees_of_freedom.tolist()] == [False, True]
    assert "in 1 of 2 parameters" in one.no_error_bar
    points = Smoothing(sampling="rqmc").estimate(Linear(), Linear().initial_parameters())
    assert points.interval() is None
    assert "depend on each other" in points.no_error_bar


def test_dropped_and_fixed_parameters_keep_their_shapes():
    theta = numbers(0.1, 0.2, 0.3)
    fixed = Smoothing(parameters=[1], others="fixed").estimate(lambda x: x.square().sum(1), theta)
    assert fixed.degrees_of_freedom.shape == (3,)
    low, high = fixed.interval()
    assert float(low[0]) == float(high[0]) == 0.0  # no variable, known to be constant
    assert float(low[1]) < float(fixed.gradient[1]) < float(high[1])
    batch = Smoothing().estimate(lambda x: x.square().sum(1), torch.stack([theta, theta + 1.0]))
    assert batch.degrees_of_freedom.shape == (2, 3)
    main, scale = Smoothing(scale=[0.1, 0.1, 0.2]).estimate_with_scale(lambda x: x.square().sum(1), theta)
    assert main.degrees_of_freedom.shape == scale.degrees_of_freedom.shape == (3,)


def test_the_remainder_has_no_bias_at_jumps():
    # 200 seeds, a coordinate of each problem: 7e-6 for each. AoBG has 17 % on the first.
    for objective, theta in ((Heaviside(), [0.02]), (GapPush(gap=0.01), [0.0])):
        runs = repeat(
            Mixed(Smoothing(order="first", scale=0.05), Smoothing(scale=0.05)), objective, numbers(*theta), 200
        )
        truth = objective.smoothed_gradient(numbers(*theta), 0.05)
        assert float(runs.z_of_mean(truth).abs().max()) < Z
        assert 0.7 < runs.honesty() < 1.4


def test_the_remainder_has_little_of_the_noise_of_the_zeroth_order():
    # Ten parameters and a kink, equal rollouts; measured 300 times less variance, and 60 seeds know it to 20 %.
    problem = study.PROBLEMS["kink in 10 parameters"]
    theta, scale = problem.point(), problem.noise()
    orders = [Smoothing(order=order, scale=scale, samples=128) for order in ("first", "zeroth")]
    both = repeat(Mixed(*orders), problem.objective, theta, 60)
    alone = repeat(Smoothing(scale=scale, samples=256), problem.objective, theta, 60)
    assert float(both.variance()) < 0.05 * float(alone.variance())
    assert float(both.z_of_mean(problem.objective.smoothed_gradient(theta, scale)).abs().max()) < Z


def test_noise_of_the_first_order_is_not_used():
    # A ripple far finer than the noise: |F1| is chance, and F0 alone answers.
    def cost(x):
        return x.sum(1) + torch.sin(5e4 * x).sum(1)

    estimate = Mixed(Smoothing(order="first"), Smoothing()).estimate(cost, numbers(0.1, 0.2))
    assert estimate.diagnostics["alpha"] < 0.7
    assert float(((estimate.gradient - 1.0) / estimate.standard_error).abs().max()) < Z


class Product:
    """x_2 x_0 + x_1^2."""

    def __call__(self, x):
        return x[:, 2] * x[:, 0] + x[:, 1] ** 2

    def value_and_gradient(self, x):
        return self(x), torch.stack([x[:, 2], 2.0 * x[:, 1], x[:, 0]], dim=1)


def test_a_remainder_of_some_parameters():
    # The third parameter is not perturbed: its gradient is the mean exact one, counted once.
    orders = [Smoothing(order=order, scale=0.1, samples=512, parameters=[0, 1]) for order in ("first", "zeroth")]
    found = Mixed(*orders).estimate(Product(), numbers(1.0, 2.0, 3.0))
    torch.testing.assert_close(found.gradient, numbers(3.0, 4.0, 1.0), rtol=0, atol=0.05)


def test_mixtures_that_may_be_biased_have_no_bar():
    theta = numbers(0.0)
    orders = Smoothing(order="first", scale=0.05), Smoothing(scale=0.05)
    found = Mixed(*orders, rule=AlphaOrder()).estimate(GapPush(), theta)
    assert found.degrees_of_freedom.tolist() == [0.0]
    assert "its bias at jumps" in found.no_error_bar
    refused = Mixed(*orders, rule=AlphaOrder(gamma=1e-9, unit="absolute")).estimate(GapPush(), theta)
    assert float(refused.degrees_of_freedom) > 0  # alpha = 0: the zeroth order
    unsplit = Mixed(*orders, rule=InverseVariance(split=False)).estimate(GapPush(), theta)
    assert "split=True" in unsplit.no_error_bar
    split = Mixed(*orders, rule=InverseVariance()).estimate(GapPush(), theta)
    assert float(split.degrees_of_freedom) > 0


def test_equal_tables_of_the_boundary_term_have_no_bar():
    # The only sampled part counts touches, and four tables of 16 points can have equal counts.
    theta = numbers(0.0)
    backend = Boundary(scale=0.05, samples=64, sampling="rqmc", replications=4)
    found = [backend.estimate(GapPush(), theta, seed=seed) for seed in range(10)]
    equal = [estimate for estimate in found if float(estimate.standard_error) == 0.0]
    assert equal
    for estimate in equal:
        assert "all 4 replications are equal" in estimate.no_error_bar
        assert float(estimate.interval()[1]) == math.inf


def test_missed_jumps_take_the_bar_away():
    # The fixed step's impact moves from step to step: many small jumps, and an exact gradient of the wrong sign.
    objective = Bounce(method="fixed_step")
    theta = objective.initial_parameters()
    found = Boundary(scale=objective.smoothing_scale, samples=16).estimate(objective, theta)
    truth = objective.smoothed_gradient(theta[None], objective.smoothing_scale)[0]
    assert float((found.gradient - truth).norm() / truth.norm()) > 0.2
    assert found.degrees_of_freedom.tolist() == [0.0] * len(theta)
    assert "jumps were missed" in found.no_error_bar
    line = Boundary(scale=objective.smoothing_scale, samples=16, continuous="line").estimate(objective, theta)
    assert float((line.gradient - truth).norm() / truth.norm()) < 0.1


def test_repeats_of_a_surrogate_are_its_bar():
    quick = {"samples": 64, "steps": 30, "ensemble": 2, "hidden": (8,)}
    objective, theta = GapPush(), numbers(0.02)
    one = Surrogate(**quick).estimate(objective, theta, seed=3)
    assert one.standard_error is None
    assert "repeats=" in one.no_error_bar
    found = Surrogate(**quick, repeats=5).estimate(objective, theta, seed=3)
    seeds = [derive_seed(3, "surrogate repeat", k) for k in range(5)]
    gradients = torch.stack([Surrogate(**quick).estimate(objective, theta, seed=seed).gradient for seed in seeds])
    torch.testing.assert_close(found.gradient, gradients.mean(0))
    torch.testing.assert_close(found.standard_error, gradients.std(0) / 5**0.5)
    assert found.degrees_of_freedom.tolist() == [4.0]
    assert found.evaluations == 5 * 64


def test_tables_say_why_there_is_no_bar():
    objective, theta = GapPush(), numbers(0.0)
    backends = {"fit": Surrogate(samples=64, steps=20), "zeroth": Smoothing(scale=0.05)}
    found = compare_backends(objective, theta, backends, CentralDifferences(scale=0.05, samples=512))
    fit, zeroth = found.rows
    assert row_texts(fit)[4:6] == ("-", "-")
    assert row_texts(zeroth)[4] != "-"
    assert fit.error_bar is None
    low, high = backends["zeroth"].estimate(objective, theta).interval()
    assert zeroth.error_bar == pytest.approx((0.5 * (high - low)).tolist())
    caption = comparison_caption(found, "noise")
    assert f"fit: no error bar, as {fit.no_error_bar}." in caption
    partial = dataclasses.replace(zeroth, error_bar=(0.1, math.inf), no_error_bar="of a reason")
    assert row_texts(partial)[4] != "-"
    assert partial.as_dict()["error_bar"] == [0.1, None]
