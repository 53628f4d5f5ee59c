"""Targets of critics, and the interval of a success rate, against closed forms and scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from carom.gradients.policy import generalized_advantages
from carom.training import td_lambda_targets, wilson_interval

T, W = 6, 3
DISCOUNT, DECAY = 0.9, 0.7


@pytest.fixture
def window() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    costs = torch.rand(T, W, generator=generator, dtype=torch.float64)
    return costs, torch.rand(T + 1, W, generator=generator, dtype=torch.float64)


def test_td_lambda_is_the_geometric_mean_of_n_step_returns(window):
    costs, values = window
    targets = td_lambda_targets(costs, values[1:], DISCOUNT, DECAY)
    for t in range(T):
        left = T - t
        n_step = [
            sum(DISCOUNT**k * costs[t + k] for k in range(n)) + DISCOUNT**n * values[t + n] for n in range(1, left + 1)
        ]
        mean = sum((1 - DECAY) * DECAY ** (n - 1) * n_step[n - 1] for n in range(1, left))
        expected = mean + DECAY ** (left - 1) * n_step[-1]
        torch.testing.assert_close(targets[t], expected, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_ends_of_lambda(window, decay):
    costs, values = window
    targets = td_lambda_targets(costs, values[1:], DISCOUNT, decay)
    if decay == 0.0:
        expected = costs + DISCOUNT * values[1:]
    else:
        powers = DISCOUNT ** torch.arange(T, dtype=torch.float64)
        expected = torch.stack(
            [(powers[: T - t, None] * costs[t:]).sum(0) + DISCOUNT ** (T - t) * values[T] for t in range(T)]
        )
    torch.testing.assert_close(targets, expected, rtol=1e-13, atol=0.0)


def test_less_the_values_they_are_generalized_advantages(window):
    """Two ways to the same: target - V = GAE, where the last value belongs to the costs."""
    costs, values = window
    with_end = torch.cat([costs[:-1], costs[-1:] + DISCOUNT * values[-1:]])
    still = torch.cat([values[:-1], torch.zeros_like(values[:1])])
    advantages = generalized_advantages(with_end, still, DISCOUNT, DECAY)
    targets = td_lambda_targets(costs, values[1:], DISCOUNT, DECAY)
    torch.testing.assert_close(targets - values[:-1], advantages, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (461, 512), (3, 7)])
def test_wilson_interval_is_that_of_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-7)
