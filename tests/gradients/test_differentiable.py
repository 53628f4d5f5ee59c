"""Backends behind torch's own interface."""

from __future__ import annotations

import pytest
import torch

from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import Autodiff, GradientError, Smoothing, Surrogate, differentiable


@pytest.mark.parametrize(
    "backend",
    [Autodiff(), Smoothing(scale=0.02, samples=64), Smoothing(scale=0.02, samples=64, order="first")],
    ids=["autodiff", "zeroth", "first"],
)
def test_an_optimizer_converges_on_the_quadratic(backend):
    objective = Quadratic()
    theta = objective.initial_parameters().requires_grad_()
    cost = differentiable(objective, backend)
    optimizer = torch.optim.Adam([theta], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        cost(theta).backward()
        optimizer.step()
    assert float(theta.detach().norm()) < 0.05


def test_descent_across_a_gap_needs_smoothing():
    # Cost (0.1 - pushed)^2: flat until contact at 0.03.
    push = GapPush(gap=0.03)

    def cost(theta):
        return (0.1 - push(theta)).square()

    ends = []
    for backend in (
        Autodiff(),
        Smoothing(scale=0.02, samples=256),
        Surrogate(scale=0.02, samples=64, steps=30, hidden=(16,)),
    ):
        theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([theta], lr=0.01)
        function = differentiable(cost, backend)
        for _ in range(60):
            optimizer.zero_grad()
            function(theta).backward()
            optimizer.step()
        ends.append(float(theta.detach()))
    assert ends[0] == 0.0
    assert ends[1] == pytest.approx(0.13, abs=0.02)
    assert ends[2] == pytest.approx(0.13, abs=0.02)


def test_chain_rule_and_batches():
    objective = Quadratic()
    cost = differentiable(objective, Autodiff())
    batch = torch.tensor([[1.0, -0.5], [0.2, 0.3], [0.0, 1.0]], dtype=torch.float64)
    inner = batch.clone().requires_grad_()
    values = cost(2.0 * inner)
    assert values.shape == (3,)
    (values * torch.tensor([1.0, 10.0, 0.0])).sum().backward()
    expected = batch.clone().requires_grad_()
    (objective(2.0 * expected) * torch.tensor([1.0, 10.0, 0.0])).sum().backward()
    torch.testing.assert_close(inner.grad, expected.grad)


def test_value_and_last_estimate():
    objective = Quadratic()
    cost = differentiable(objective, Smoothing(scale=0.1, samples=32), seed=3)
    assert cost.last_estimate is None
    theta = objective.initial_parameters().requires_grad_()
    value = cost(theta)
    value.backward()
    torch.testing.assert_close(value.detach(), cost.last_estimate.value)
    torch.testing.assert_close(theta.grad, cost.last_estimate.gradient)
    assert not cost(theta.detach()).requires_grad


def test_every_call_has_noise_of_its_own_and_a_rerun_repeats_it():
    objective = Quadratic()
    theta = objective.initial_parameters()
    runs = []
    for _ in range(2):
        cost = differentiable(objective, Smoothing(samples=16), seed=9)
        runs.append([float(cost(theta)) for _ in range(5)])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 5
    other = differentiable(objective, Smoothing(samples=16), seed=10)
    assert float(other(theta)) not in runs[0]


def test_second_derivatives_are_refused():
    objective = Quadratic()
    theta = objective.initial_parameters().requires_grad_()
    cost = differentiable(objective, Autodiff())
    (gradient,) = torch.autograd.grad(cost(theta), theta, create_graph=True)
    with pytest.raises(GradientError, match="second derivative"):
        gradient.square().sum().backward()
    with pytest.raises(GradientError, match="second derivative"):
        torch.autograd.functional.hessian(cost, theta.detach())


def test_is_an_objective_itself():
    cost = differentiable(Quadratic(), Autodiff())
    theta = Quadratic().initial_parameters()
    again = Autodiff().estimate(cost, theta)
    torch.testing.assert_close(again.gradient, Quadratic().smoothed_gradient(theta, 1.0))


def test_refusals():
    with pytest.raises(GradientError, match="give an instance"):
        differentiable(Quadratic(), Smoothing)
    with pytest.raises(GradientError, match="objective"):
        differentiable(3, Autodiff())
    with pytest.raises(GradientError, match="seed"):
        differentiable(Quadratic(), Autodiff(), seed="x")
    infinite = differentiable(lambda t: t.abs().sqrt().sum(1), Autodiff())
    with pytest.raises(GradientError, match="not finite"):
        infinite(torch.zeros(2, requires_grad=True))
