"""Persistent evolution strategies and IVW-H: closed forms of the cost averaged over noise that is fresh by window.

x+ = theta x with noise of its own in every window: E x_T is x_0 times the product over windows of the moment
m_k = E (theta + scale w)^k of as many steps k. A z-test at 4.5 fails a right estimator with probability 7e-6 a
coordinate, a little more by the tails of few samples; there are 13 coordinates here.
"""

from __future__ import annotations

import pytest
import torch

from carom.envs.testbeds import Horizon, TentMap
from carom.gradients import IVWH, GradientError, PersistentES, Smoothing

from .recurrences import driven, growing, states_of
from .repeats import repeat

Z = 4.5
SCALE = 0.4
THETA = torch.tensor([0.9], dtype=torch.float64)


def moment(k: int, theta: torch.Tensor, scale: float) -> torch.Tensor:
    """E (theta + scale w)^k, w standard normal, k up to 4."""
    s = scale**2
    return [
        torch.ones_like(theta),
        theta,
        theta**2 + s,
        theta**3 + 3.0 * theta * s,
        theta**4 + 6.0 * theta**2 * s + 3.0 * s**2,
    ][k]


def slope(of, theta: torch.Tensor = THETA) -> torch.Tensor:
    leaf = theta.clone().requires_grad_()
    return torch.autograd.grad(of(leaf).sum(), leaf)[0]


@pytest.mark.parametrize(("window", "lengths"), [(1, [1] * 4), (2, [2, 2]), (3, [3, 1]), (4, [4]), (9, [4])])
def test_unbiased_for_the_noise_of_its_windows_with_an_honest_error(window, lengths):
    def averaged(theta):
        product = torch.ones_like(theta)
        for k in lengths:
            product = product * moment(k, theta, SCALE)
        return product

    backend = PersistentES(scale=SCALE, samples=128, window=window)
    runs = repeat(backend, growing(4), THETA, 300)
    assert float(runs.z_of_mean(slope(averaged)).abs().max()) < Z
    assert 0.7 < runs.honesty() < 1.4  # the variance over 300 seeds is known to 8 %, more with these tails
    estimate = PersistentES(scale=SCALE, samples=200_000, window=window).estimate(growing(4), THETA)
    error = estimate.diagnostics["value_standard_error"]
    assert abs(float(estimate.value - averaged(THETA))) < Z * error
    assert estimate.diagnostics["windows"] == len(lengths)


def test_costs_along_the_way_are_weighed_by_the_scores_before_them():
    # Sum over t of x_t^2/2 with fresh noise at every step: sum of (theta^2 + scale^2)^t / 2.
    def averaged(theta):
        return sum(0.5 * moment(2, theta, SCALE) ** t for t in range(1, 5))

    runs = repeat(PersistentES(scale=SCALE, samples=128, window=1), growing(4, running=True), THETA, 300)
    assert float(runs.z_of_mean(slope(averaged)).abs().max()) < Z


def test_with_the_whole_horizon_it_is_smoothing_to_the_noise():
    theta = torch.stack([Horizon().initial_parameters(), 0.5 * Horizon().initial_parameters()])
    for window in (20, 33):
        found = PersistentES(scale=0.1, samples=64, window=window).estimate(Horizon(), theta, seed=7)
        known = Smoothing(scale=0.1, samples=64).estimate(Horizon(), theta, seed=7)
        assert torch.allclose(found.gradient, known.gradient, rtol=1e-12)
        assert torch.allclose(found.standard_error, known.standard_error, rtol=1e-12)
        assert torch.allclose(found.value, known.value, rtol=1e-14)
        assert found.evaluations == known.evaluations
    matrix = ((0.3, 0.1), (0.0, 0.2))
    objective, small = driven(torch.eye(1, dtype=torch.float64), torch.ones(1).double(), 2), torch.zeros(2).double()
    found = PersistentES(scale=matrix, samples=64, window=2).estimate(objective, small)
    assert torch.allclose(found.gradient, Smoothing(scale=matrix, samples=64).estimate(objective, small).gradient)


def test_a_costs_window_too_short_is_not_truncated():
    # The tent map's parameter enters the first state alone; its smoothed slope, with T = 1, is in closed form.
    tent = TentMap(steps=2)
    theta = torch.tensor([0.1], dtype=torch.float64)
    runs = repeat(PersistentES(scale=0.1, samples=256, window=1), tent, theta, 200)
    assert float(runs.z_of_mean(tent.smoothed_gradient(theta[None], 0.1)[0]).abs().max()) < Z


@pytest.mark.parametrize("running", [False, True])
def test_ivwh_is_unbiased_with_an_honest_error(running):
    def averaged(theta):
        if running:
            return sum(0.5 * moment(2, theta, SCALE) ** t for t in range(1, 5))
        return theta**4

    runs = repeat(IVWH(scale=SCALE, samples=256, split=True), growing(4, running=running), THETA, 150)
    assert float(runs.z_of_mean(slope(averaged)).abs().max()) < Z
    assert 0.65 < runs.honesty() < 1.5


def test_ivwh_of_controls_is_unbiased_for_smoothing_of_them():
    matrix, start = torch.tensor([[1.3]], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    objective, theta = driven(matrix, start, 3), torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64)
    last = states_of(matrix, start, theta)[-1]
    expected = torch.cat([1.3 ** (2 - t) * last for t in range(3)])  # smoothing leaves the slope of a square as it is
    runs = repeat(IVWH(scale=0.3, samples=128, split=True), objective, theta, 150)
    assert float(runs.z_of_mean(expected).abs().max()) < Z
    for order in ("first", "zeroth"):
        alone = Smoothing(order=order, scale=0.3, samples=128, antithetic=False)
        assert float(runs.variance()) < 1.3 * float(repeat(alone, objective, theta, 150).variance())


def test_ivwh_weights_are_those_of_its_formula():
    # Two steps, no split: both estimates, their variances and the weights, written out anew.
    objective = growing(2, running=True)
    found = IVWH(scale=SCALE, samples=50).estimate(objective, THETA, seed=11)
    from carom.gradients.estimators.unrolled.window_noise import WindowNoise

    noise = WindowNoise.of(SCALE, THETA[None], windows=2, rows=50, seed=11)
    (w0, s0), (w1, s1) = ((part[:, 0] for part in noise.window(t)) for t in range(2))
    a, b = THETA + w0, THETA + w1
    costs = [0.5 * a**2, 0.5 * (a * b) ** 2]
    first = [a + a * b**2, a**2 * b]
    to_go = [costs[0] + costs[1], costs[1]]
    zeroth = [(x - x.mean()) * 50 / 49 * (s - s.mean()) for x, s in zip(to_go, (s0, s1), strict=True)]
    weights = [float(z.var() / (z.var() + f.var())) for f, z in zip(first, zeroth, strict=True)]
    mixed = sum(k * f + (1.0 - k) * z for k, f, z in zip(weights, first, zeroth, strict=True))
    assert float(found.gradient) == pytest.approx(float(mixed.mean()), rel=1e-12)
    assert float(found.standard_error) == pytest.approx(float(mixed.std() / 50**0.5), rel=1e-12)
    assert found.diagnostics["alpha"].tolist() == pytest.approx(weights, rel=1e-12)


def test_ivwh_leaves_chaos_to_the_zeroth_order():
    # 20 tents: one sample of the first order has a variance of 4^20, one of the zeroth about 20.
    found = IVWH(scale=0.1, samples=256).estimate(TentMap(steps=20), TentMap().initial_parameters())
    assert found.diagnostics["alpha"][0] < 1e-6
    assert float(found.standard_error) < 1.0
    halves = repeat(IVWH(scale=0.1, samples=8, split=True), TentMap(steps=20), TentMap().initial_parameters(), 64)
    whole = repeat(IVWH(scale=0.1, samples=64), TentMap(steps=20), TentMap().initial_parameters(), 64)
    # four slopes of +-2^20 with one sign have no variance, in one half of eight: then the other half is all noise
    assert float(halves.variance()) > 1e6 > 10.0 > float(whole.variance())
    # a stable system: the reverse
    found = IVWH(scale=0.1, samples=256).estimate(Horizon(growth=0.5), Horizon().initial_parameters())
    assert float(found.diagnostics["alpha"].min()) > 0.8


def test_a_gradient_that_is_not_finite_is_refused():
    exploding = growing(400, 1e30)
    with pytest.raises(GradientError, match="not finite"):
        IVWH(scale=0.1, samples=8).estimate(exploding, torch.tensor([9.0], dtype=torch.float64))


def test_error_bars_are_there_where_the_samples_can_give_one():
    rare = PersistentES(scale=0.1, samples=40, window=1)
    some = rare.estimate(growing(3), THETA)
    assert 0 < float(some.degrees_of_freedom) <= 19
    assert some.no_error_bar is None
    nothing = rare.estimate(growing(3, start=0.0), THETA)
    assert "equal" in nothing.no_error_bar
    assert float(nothing.degrees_of_freedom) == 0.0
    own, halves = (IVWH(scale=0.1, samples=40, split=split).estimate(growing(3), THETA) for split in (False, True))
    assert "split=True" in own.no_error_bar
    assert float(own.degrees_of_freedom) == 0.0
    assert halves.no_error_bar is None
    assert float(halves.degrees_of_freedom) > 0.0
