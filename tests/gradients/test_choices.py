"""Expected costs of choices: enumeration, and the noise behind the choices, against independent ways to get them."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from carom.envs.testbeds import Choice
from carom.gradients import REINFORCE, Enumeration, GradientError
from carom.gradients.categorical.gumbel import conditional_gumbels, draw_gumbels

from .choice_problems import problem


@pytest.mark.parametrize(("factors", "categories"), [(1, 2), (1, 5), (3, 2), (2, 3)])
def test_enumeration_is_the_derivative_of_the_sum(factors, categories):
    objective, logits = problem(factors, categories)
    estimate = Enumeration(categories).estimate(objective, logits)
    leaf = logits.clone().requires_grad_()
    # the relaxed cost is linear in each factor's weights: at the probabilities it is the expected cost
    expected = objective.relaxed(leaf.view(1, factors, categories).softmax(-1))[0]
    expected.backward()
    torch.testing.assert_close(estimate.value, expected.detach())
    torch.testing.assert_close(estimate.gradient, leaf.grad)
    assert estimate.evaluations == categories**factors
    best = estimate.diagnostics["best_choice"]
    assert float(objective(best[None])) == estimate.diagnostics["best_cost"]


def test_enumeration_of_a_testbed():
    choice = Choice()
    theta = torch.tensor([[0.3, -1.0, 0.2, 0.0], [2.0, 0.0, 0.0, 5.0]], dtype=torch.float64)
    estimate = Enumeration(4).estimate(lambda choices: choice.cost(choices[:, 0]), theta)
    value, gradient = choice.value_and_gradient(theta)
    torch.testing.assert_close(estimate.value, value)
    torch.testing.assert_close(estimate.gradient, gradient)


def test_enumeration_says_when_there_are_too_many():
    with pytest.raises(GradientError, match=r"5 categories of 9 factors make 1953125 choices.*REINFORCE"):
        Enumeration(5).estimate(lambda c: c.sum(1), torch.zeros(45))


def test_gumbels_given_the_choice_have_the_law_of_gumbels_with_that_choice():
    # Kolmogorov-Smirnov between z' and z with the same choice: 9 pairs of samples and 3 maxima, each false with 1e-4.
    count, p = 60_000, torch.tensor([0.15, 0.25, 0.6], dtype=torch.float64)
    free = p.log() + draw_gumbels(1, "a", first=0, count=count, factors=1, categories=3)[:, 0]
    fresh = draw_gumbels(2, "b", first=0, count=count, factors=1, categories=3)[:, 0]
    chosen = free.argmax(1)
    given = conditional_gumbels(p.log(), chosen, fresh)
    assert torch.equal(given.argmax(1), chosen)
    frequencies = torch.bincount(chosen, minlength=3) / count
    assert float(((frequencies - p) / (p * (1 - p) / count).sqrt()).abs().max()) < 4.5
    for b in range(3):
        mine, theirs = given[chosen == b], free[chosen == b]
        assert stats.kstest(mine[:, b].numpy(), stats.gumbel_r.cdf).pvalue > 1e-4
        for j in range(3):
            assert stats.ks_2samp(mine[:, j].numpy(), theirs[:, j].numpy()).pvalue > 1e-4


def test_gumbels_given_the_choice_do_not_remember_the_free_ones():
    # Given b, z' and z are independent: correlations of 4000 or more, false alarm 9 x 7e-6.
    p = torch.tensor([0.4, 0.6], dtype=torch.float64)
    free = p.log() + draw_gumbels(1, "a", first=0, count=10_000, factors=1, categories=2)[:, 0]
    fresh = draw_gumbels(2, "b", first=0, count=10_000, factors=1, categories=2)[:, 0]
    chosen = free.argmax(1)
    given = conditional_gumbels(p.log(), chosen, fresh)
    for b in range(2):
        both = torch.cat([given[chosen == b], free[chosen == b]], 1)
        correlation = torch.corrcoef(both.T)[:2, 2:] * math.sqrt(len(both))
        assert float(correlation.abs().max()) < 4.5


def test_extreme_logits_stay_finite():
    log_p = torch.tensor([0.0, -700.0], dtype=torch.float64).log_softmax(-1).requires_grad_()
    fresh = draw_gumbels(0, "b", first=0, count=100, factors=1, categories=2)[:, 0]
    given = conditional_gumbels(log_p, torch.zeros(100, dtype=torch.long), fresh)
    (slope,) = torch.autograd.grad(given.sum(), log_p)
    assert bool(torch.isfinite(given).all())
    assert bool(torch.isfinite(slope).all())


def test_the_mean_baseline_shrinks_by_what_it_says():
    objective, logits = problem(1, 3)
    one = REINFORCE(3, samples=10).estimate(objective, logits)
    other = REINFORCE(3, samples=10, baseline="mean").estimate(objective, logits)
    torch.testing.assert_close(other.gradient, 0.9 * one.gradient)
    torch.testing.assert_close(other.standard_error, 0.9 * one.standard_error)


def test_a_batch_equals_single_calls_and_chunks_change_nothing():
    objective, logits = problem(2, 3)
    batch = torch.stack([logits, -logits, 0 * logits])
    together = REINFORCE(3, samples=20).estimate(objective, batch, seed=3)
    sizes = []

    def counting(choices):
        sizes.append(len(choices))
        return objective(choices)

    chunked = REINFORCE(3, samples=20, chunk=7).estimate(counting, batch, seed=3)
    assert max(sizes) == 7
    assert sum(sizes) == chunked.evaluations == 60
    torch.testing.assert_close(chunked.gradient, together.gradient)
    for i in range(3):
        single = REINFORCE(3, samples=20).estimate(objective, batch[i], seed=3)
        torch.testing.assert_close(single.gradient, together.gradient[i])
        torch.testing.assert_close(single.standard_error, together.standard_error[i])
