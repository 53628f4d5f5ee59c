"""Gradients of a window: against differences, quadrature and each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss
from point_task import PointTask

from carom.envs.control import make_control
from carom.gradients.estimators.mixing import InverseVariance
from carom.training import LAX, Analytic, Mixture, Policy, ScoreFunction
from carom.training.analytic import expected_cost
from carom.training.lax import variate_pulls
from carom.training.mixture import first_order_estimate
from carom.training.modules import seeded
from carom.training.policy import critic_network, perceptron
from carom.training.score_function import score_function_estimate
from carom.training.window import Setting, Window

NOISE = 0.3


def make(task, worlds: int, *, length: int = 3, noise: float = NOISE, seed: int = 0):
    with seeded(1):
        policy, critic = Policy.of(task, (8, 8)), critic_network(task, (8,))
    with torch.no_grad():
        policy.network[-1].weight.mul_(10.0)  # a policy that reacts
    critic.requires_grad_(False)
    setting = Setting(task, length, 0.95, noise, lambda cost: (cost + 1e-2).sqrt())
    return setting, policy, Window(task.reset(worlds, seed=3), lambda seen: critic(seen)[:, 0], seed)


def flat(parts) -> torch.Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def differences(setting, policy, window, directions: torch.Tensor, size: float) -> torch.Tensor:
    vector = torch.nn.utils.parameters_to_vector(policy.parameters()).detach()
    slopes = []
    with torch.no_grad():
        for direction in directions:
            costs = []
            for sign in (1.0, -1.0):
                torch.nn.utils.vector_to_parameters(vector + sign * size * direction, policy.parameters())
                costs.append(expected_cost(setting, policy, window)[0])
            slopes.append((costs[0] - costs[1]) / (2.0 * size))
    torch.nn.utils.vector_to_parameters(vector, policy.parameters())
    return torch.stack(slopes)


def test_analytic_gradient_against_differences():
    setting, policy, window = make(PointTask(), 5)
    gradient = flat(Analytic(outliers=None).estimate(setting, policy, window, {})[0])
    generator = torch.Generator().manual_seed(2)
    directions = torch.randn(6, len(gradient), generator=generator, dtype=torch.float64)
    expected = differences(setting, policy, window, directions, 1e-5)
    torch.testing.assert_close(directions @ gradient, expected, rtol=1e-7, atol=1e-9)


def test_analytic_gradient_through_the_simulator_against_differences():
    """Push in float64, two control intervals of twenty steps: contact made, friction sliding."""
    task = make_control("push", dtype="float64", threads=1)
    setting, policy, window = make(task, 3, length=2)
    with torch.no_grad():
        policy.network[-1].bias[0] = 0.6  # into the box
    gradient = flat(Analytic(outliers=None).estimate(setting, policy, window, {})[0])
    generator = torch.Generator().manual_seed(2)
    directions = torch.randn(3, len(gradient), generator=generator, dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    expected = differences(setting, policy, window, directions, 1e-5)
    assert float(expected.abs().min()) > 1e-4
    torch.testing.assert_close(directions @ gradient, expected, rtol=2e-4, atol=1e-8)


def test_outliers_are_shortened_to_medians():
    """The gradient with limited worlds is the mean of single worlds' gradients by the action, those limited."""
    setting, policy, window = make(PointTask(), 9)
    loss, played, raws = expected_cost(setting, policy, window)
    pulls = torch.stack(torch.autograd.grad(9 * loss, raws))
    lengths = pulls.square().sum((0, 2)).sqrt()
    limit = 1.1 * lengths.median()
    assert 0 < int((lengths > limit).sum()) < 9
    total = 0.0
    for world in range(9):
        raw = policy(played.observations[:-1, world])
        factor = min(1.0, float(limit / lengths[world]))
        total = total + flat(torch.autograd.grad((raw * pulls[:, world]).sum(), list(policy.parameters()))) * factor / 9
    found = flat(Analytic(outliers=1.1).estimate(setting, policy, window, {})[0])
    torch.testing.assert_close(found, total, rtol=1e-10, atol=1e-12)


def test_first_order_of_the_mixture_is_the_analytic_gradient():
    setting, policy, window = make(PointTask(), 7)
    expected = flat(Analytic(outliers=None).estimate(setting, policy, window, {})[0])
    estimate, _ = first_order_estimate(setting, policy, window)
    torch.testing.assert_close(estimate.gradient, expected, rtol=1e-10, atol=1e-12)


def test_orders_agree_within_their_errors():
    """On a smooth task both orders estimate the same: sums of groups of coordinates, within five bounds of errors."""
    setting, policy, window = make(PointTask(), 4000)
    first, _ = first_order_estimate(setting, policy, window)
    zeroth, _ = score_function_estimate(setting, policy, Window(window.start, window.value, 9), 1.0)
    groups = torch.arange(len(first.gradient)) % 8
    first_error, zeroth_error = (float(e.standard_error.norm()) for e in (first, zeroth))
    assert first_error < 0.5 * zeroth_error  # on a smooth task the first order is the one to take
    apart = (first.gradient - zeroth.gradient).double()
    variance = first.standard_error.double() ** 2 + zeroth.standard_error.double() ** 2
    for group in range(8):
        of = groups == group
        # coordinates of one gradient are correlated: the sum's error is at most the sum of errors
        assert abs(float(apart[of].sum())) < 5.0 * float(variance[of].sqrt().sum())


@pytest.mark.parametrize("gradient", [ScoreFunction(decay=1.0), LAX(decay=1.0), Mixture(InverseVariance("gradient"))])
def test_estimates_point_along_the_analytic_gradient(gradient):
    """Projected on the analytic gradient of many draws, the mean of 16 draws is one within five standard errors."""
    task = PointTask()
    setting, policy, window = make(task, 20)
    many = window.start.select(torch.arange(20).repeat(400))
    window = replace(window, start=window.start.select(torch.arange(20).repeat(20)))  # every part has the same starts
    exact = flat(Analytic(outliers=None).estimate(setting, policy, Window(many, window.value, 77), {})[0])
    carried = gradient.begin(task, 0)
    found = []
    for seed in range(16):  # LAX has its control variate from the second on
        parts, played, carried = gradient.estimate(setting, policy, Window(window.start, window.value, seed), carried)
        found.append(float(flat(parts) @ exact / (exact @ exact)))
        assert played.end.worlds == window.start.worlds
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1)) / 4.0
    assert error < 0.15
    assert abs(mean - 1.0) < 5.0 * error + 0.01


def test_control_variate_has_mean_zero_by_quadrature():
    """Stein's identity, E c w = E dc/dw, integrated exactly enough: any network leaves the mean as it is."""
    with seeded(4):
        network = perceptron(1 + 2, (6,), 1).double()
    nodes, weights = hermegauss(60)
    grid = torch.tensor([[a, b] for a in nodes for b in nodes], dtype=torch.float64)
    mass = torch.tensor([a * b for a in weights for b in weights], dtype=torch.float64)
    seen = torch.full((len(grid), 1), 0.3, dtype=torch.float64)
    advantages = torch.zeros(len(grid), dtype=torch.float64)
    pulls = variate_pulls(network, 2.0, seen, grid, advantages).detach()
    mean, size = (mass[:, None] * pulls).sum(0) / mass.sum(), (mass[:, None] * pulls.abs()).sum(0) / mass.sum()
    assert float(size.min()) > 0.05
    assert float(mean.abs().max()) < 2e-3 * float(size.min())


def test_training_the_control_variate_lowers_the_variance():
    """On windows that it was not trained on."""
    task = PointTask()
    setting, policy, window = make(task, 128)
    lax = LAX(decay=1.0, hidden=(16,), learning_rate=1e-2, epochs=8)

    def spread(carried: dict) -> float:
        found = [
            flat(lax.estimate(setting, policy, Window(window.start, window.value, 100 + seed), carried)[0])
            for seed in range(8)
        ]
        return float(torch.stack(found).var(0).sum())

    carried = lax.begin(task, 0)
    before = spread(carried)
    for seed in range(6):
        carried = lax.estimate(setting, policy, Window(window.start, window.value, seed), carried)[2]
    assert spread(carried) < 0.8 * before
