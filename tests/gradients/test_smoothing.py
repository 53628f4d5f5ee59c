"""Smoothing against closed forms. Seeds are fixed; each test states how often a right estimator would fail it.

A z-test at 4.5 fails a right estimator with probability 7e-6 a coordinate, a little more by the tails of few samples.
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import GapPush, GrazingPush, Heaviside, Quadratic
from carom.gradients import Smoothing

from .repeats import repeat

Z = 4.5
SEEDS = 400
OBJECTIVES = [Heaviside(), Heaviside(dimension=3), GrazingPush(), GapPush(gap=0.01), Quadratic()]
ZEROTH = [
    Smoothing(scale=0.05, samples=64),
    Smoothing(scale=0.05, samples=64, antithetic=False),
    Smoothing(scale=0.05, samples=64, antithetic=False, baseline="value"),
    Smoothing(scale=0.05, samples=64, antithetic=False, baseline="none"),
]


def label(thing):
    if isinstance(thing, Smoothing):
        return f"{thing.order}-{'pairs' if thing.antithetic else thing.baseline}"
    return f"{thing.name}{len(thing.parameter_names)}"


def linear(theta):
    return theta @ torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=theta.dtype)


def linear_gradient(theta):
    return linear(theta), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=theta.dtype).expand_as(theta)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=label)
@pytest.mark.parametrize("backend", ZEROTH, ids=label)
def test_zeroth_order_is_unbiased_with_an_honest_error(backend, objective):
    theta = objective.initial_parameters() * 0.5
    runs = repeat(backend, objective, theta, SEEDS)
    z = runs.z_of_mean(objective.smoothed_gradient(theta, 0.05))
    assert float(z.abs().max()) < Z  # 40 coordinates over all cases: 3e-4
    # The variance over 400 seeds is known to sqrt(2/400) = 7 % (1 sigma); 30 % is more than 4 sigma.
    assert 0.7 < runs.honesty() < 1.3


@pytest.mark.parametrize("objective", OBJECTIVES, ids=label)
def test_value_is_the_smoothed_value(objective):
    theta = objective.initial_parameters() * 0.5
    estimate = Smoothing(scale=0.05, samples=20000, antithetic=False).estimate(objective, theta)
    z = (estimate.value - objective.smoothed_value(theta, 0.05)) / estimate.diagnostics["value_standard_error"]
    assert abs(float(z)) < Z
    paired = Smoothing(scale=0.05, samples=20000).estimate(objective, theta)
    z = (paired.value - objective.smoothed_value(theta, 0.05)) / paired.diagnostics["value_standard_error"]
    assert abs(float(z)) < Z


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("objective", [Heaviside(), GrazingPush()], ids=label)
def test_first_order_is_blind_to_jumps(objective, antithetic):
    theta = objective.initial_parameters()
    estimate = Smoothing(scale=0.05, samples=64, order="first", antithetic=antithetic).estimate(objective, theta)
    assert torch.equal(estimate.gradient, torch.zeros_like(theta))
    assert torch.equal(estimate.standard_error, torch.zeros_like(theta))
    assert estimate.diagnostics["zero_share"] == 1.0


def test_first_order_of_a_gap():
    objective, samples = GapPush(gap=0.03), 64
    theta = torch.zeros(1, dtype=torch.float64)
    p = float(objective.smoothed_gradient(theta, 0.05))
    runs = repeat(Smoothing(scale=0.05, samples=samples, order="first", antithetic=False), objective, theta, SEEDS)
    assert abs(float(runs.z_of_mean(torch.tensor([p])))) < Z
    # Chi-square with 399 degrees of freedom: 7 % (1 sigma).
    assert float(runs.variance()) == pytest.approx(p * (1 - p) / samples, rel=0.3)
    assert runs.honesty() == pytest.approx(1.0, rel=0.3)


def test_first_order_of_a_quadratic():
    objective, samples, scale = Quadratic(), 16, 0.3
    theta = objective.initial_parameters()
    squared = torch.tensor(objective.hessian, dtype=torch.float64).square().sum()
    runs = repeat(Smoothing(scale=scale, samples=samples, order="first", antithetic=False), objective, theta, SEEDS)
    assert float(runs.z_of_mean(objective.smoothed_gradient(theta, scale)).abs().max()) < Z
    assert float(runs.variance()) == pytest.approx(float(scale**2 * squared / samples), rel=0.3)
    assert runs.honesty() == pytest.approx(1.0, rel=0.3)
    # Pairs cancel the linear part of the gradient: no variance is left.
    paired = Smoothing(scale=scale, samples=samples, order="first").estimate(objective, theta)
    torch.testing.assert_close(paired.gradient, objective.smoothed_gradient(theta, scale), rtol=1e-13, atol=1e-13)
    assert float(paired.standard_error.max()) < 1e-15


def test_zeroth_order_variance_on_a_linear_cost():
    samples, d, square = 32, 4, 1.0 + 4.0 + 0.25 + 9.0
    theta = torch.tensor([0.1, 0.2, -0.3, 0.4], dtype=torch.float64)
    expected = (d + 1) * square / samples
    value = repeat(Smoothing(samples=samples, antithetic=False, baseline="value"), linear, theta, SEEDS)
    pairs = repeat(Smoothing(samples=samples), linear, theta, SEEDS)
    # Four coordinates, unequal and correlated: 1 sigma is about 6 %; false alarms below 1e-4.
    assert float(value.variance()) == pytest.approx(expected, rel=0.25)
    assert float(pairs.variance()) == pytest.approx(2 * expected, rel=0.25)
    # Leave-one-out costs one part in the number of samples.
    out = repeat(Smoothing(samples=samples, antithetic=False), linear, theta, SEEDS)
    assert float(out.variance()) == pytest.approx(expected, rel=0.25)
    for runs in (value, pairs, out):
        assert runs.honesty() == pytest.approx(1.0, rel=0.25)


def test_leave_one_out_is_unbiased_with_few_samples():
    # Four samples, 3000 seeds: a baseline that kept its own sample would be off by a factor 3/4, one that kept
    # the antithetic partner by 4/3; the standard error of the mean is about 3 %.
    theta = torch.tensor([0.1, 0.2, -0.3, 0.4], dtype=torch.float64)
    truth = linear_gradient(theta)[1]
    for antithetic in (False, True):
        runs = repeat(Smoothing(samples=4, antithetic=antithetic), linear, theta, 3000)
        z = runs.z_of_mean(truth)
        assert float(z.abs().max()) < Z
        wrong = runs.z_of_mean(truth * (4 / 3 if antithetic else 3 / 4))
        assert float(wrong.abs().max()) > 1.5 * Z  # the test can tell


def test_z_scores_have_unit_spread():
    # One seed's own z-score: 1000 of them. With 256 samples their standard deviation is 1 to about 3 % (1 sigma, tails
    # included); 15 % is 5 sigma.
    objective = GrazingPush()
    theta = objective.initial_parameters()
    for antithetic in (False, True):
        runs = repeat(Smoothing(scale=0.03, samples=256, antithetic=antithetic), objective, theta, 1000)
        z = (runs.gradients - objective.smoothed_gradient(theta, 0.03)) / runs.errors
        assert float(z.std()) == pytest.approx(1.0, abs=0.15)


def test_per_coordinate_scale():
    objective = Heaviside(dimension=2)
    theta = torch.tensor([0.05, -0.1], dtype=torch.float64)
    scale = torch.tensor([0.1, 0.3])
    runs = repeat(Smoothing(scale=scale, samples=128), objective, theta, SEEDS)
    assert float(runs.z_of_mean(objective.smoothed_gradient(theta, scale.double())).abs().max()) < Z
    assert Smoothing(scale=scale) == Smoothing(scale=tuple(scale.double().tolist()))


@pytest.mark.parametrize(
    "backend",
    [
        *ZEROTH,
        Smoothing(scale=0.05, samples=64, order="first"),
        Smoothing(scale=0.05, samples=64, order="first", antithetic=False),
    ],
    ids=label,
)
def test_a_batch_equals_single_calls_and_chunks_change_nothing(backend):
    objective = GapPush(gap=0.01)
    batch = torch.tensor([[0.0], [0.03], [-0.02]], dtype=torch.float64)
    together = backend.estimate(objective, batch, seed=5)
    assert together.gradient.shape == batch.shape
    assert together.value.shape == (3,)
    for i in range(3):
        single = backend.estimate(objective, batch[i], seed=5)
        torch.testing.assert_close(single.gradient, together.gradient[i], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(single.standard_error, together.standard_error[i], rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(single.value, together.value[i], rtol=1e-12, atol=1e-14)
        assert single.evaluations * 3 == together.evaluations
    for chunk in (1, 2, 5, 7, 64, 1000):
        rows = []

        class Counting:
            def __call__(self, theta, rows=rows):
                rows.append(len(theta))
                return objective(theta)

            def value_and_gradient(self, theta, rows=rows):
                rows.append(len(theta))
                return objective.value_and_gradient(theta)

        chunked = Smoothing(**{**backend.__dict__, "chunk": chunk}).estimate(Counting(), batch, seed=5)
        torch.testing.assert_close(chunked.gradient, together.gradient, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(chunked.standard_error, together.standard_error, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(chunked.value, together.value, rtol=1e-12, atol=1e-14)
        assert sum(rows) == chunked.evaluations
        assert max(rows) <= max(chunk, 2 if backend.antithetic else 1)


def test_one_call_of_the_objective():
    calls = []

    def objective(theta):
        calls.append(len(theta))
        return theta.square().sum(1)

    theta = torch.ones(3, 2)
    Smoothing(samples=10).estimate(objective, theta)
    Smoothing(samples=10, antithetic=False, baseline="value").estimate(objective, theta)
    assert calls == [30, 33]


def test_constant_cost_gives_exact_zeros():
    theta = torch.zeros(3, dtype=torch.float64)
    for antithetic in (True, False):
        estimate = Smoothing(antithetic=antithetic).estimate(lambda t: torch.full(t.shape[:1], 0.1), theta)
        assert torch.equal(estimate.gradient, theta)
        assert torch.equal(estimate.standard_error, theta)
        assert estimate.diagnostics["zero_share"] == 1.0
        assert math.isclose(float(estimate.value), 0.1, rel_tol=1e-7)


def test_a_large_offset_costs_no_precision_in_float32_moments():
    theta = torch.tensor([0.3, -0.2], dtype=torch.float64)
    plain = Smoothing(scale=0.1, antithetic=False).estimate(lambda t: t.square().sum(1), theta)
    moved = Smoothing(scale=0.1, antithetic=False).estimate(lambda t: t.square().sum(1) + 1e6, theta)
    torch.testing.assert_close(moved.gradient, plain.gradient, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(moved.standard_error, plain.standard_error, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    objective = Quadratic()
    for order in ("zeroth", "first"):
        estimate = Smoothing(order=order).estimate(objective, objective.initial_parameters(dtype=dtype))
        assert estimate.gradient.dtype == estimate.value.dtype == estimate.standard_error.dtype == dtype
