"""The exact gradient, by either route."""

from __future__ import annotations

import pytest
import torch

from carom.envs.testbeds import GapPush, Heaviside, Quadratic
from carom.gradients import Autodiff, GradientError


def test_both_routes_agree_with_the_formula():
    objective = Quadratic()
    batch = torch.tensor([[1.0, -0.5], [0.2, 0.3]], dtype=torch.float64)
    offered = Autodiff().estimate(objective, batch)
    traced = Autodiff().estimate(lambda theta: objective(theta), batch)
    for estimate in (offered, traced):
        torch.testing.assert_close(estimate.gradient, batch @ torch.tensor(objective.hessian, dtype=torch.float64))
        torch.testing.assert_close(estimate.value, objective(batch))
        assert estimate.standard_error is None
        assert estimate.evaluations == 2
        assert estimate.diagnostics["finite"].tolist() == [True, True]
    single = Autodiff().estimate(objective, batch[1])
    assert single.gradient.shape == (2,)
    assert single.value.shape == ()
    torch.testing.assert_close(single.gradient, offered.gradient[1])


def test_works_without_grad_mode_and_leaves_theta_alone():
    theta = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.no_grad():
        estimate = Autodiff().estimate(lambda t: t.square().sum(1), theta)
    torch.testing.assert_close(estimate.gradient, torch.tensor([2.0, 4.0]))
    assert theta.grad is None
    assert not estimate.gradient.requires_grad


def test_blind_coordinates():
    theta = torch.tensor([0.0], dtype=torch.float64)
    assert Autodiff().estimate(GapPush(), theta).diagnostics["blind"].tolist() == [True]
    assert Autodiff().estimate(GapPush(), theta + 1.0).diagnostics["blind"].tolist() == [False]
    assert Autodiff().estimate(Heaviside(), theta).diagnostics["norm"] == 0.0


def test_a_gradient_that_is_not_finite_is_reported():
    estimate = Autodiff().estimate(lambda t: t.abs().sqrt().sum(1), torch.zeros(2))
    assert estimate.diagnostics["finite"] is False


@pytest.mark.parametrize("theta", [torch.ones(2), torch.ones(3, 2)])
def test_refuses_what_has_no_gradient(theta):
    def stepped(rows):
        return (rows > 0).float().sum(1)

    with pytest.raises(GradientError, match=r"'stepped' has no exact gradient.*Smoothing"):
        Autodiff().estimate(stepped, theta)
    with pytest.raises(GradientError, match="no exact gradient"):
        Autodiff().estimate(lambda rows: rows.detach().sum(1), theta)


def test_a_black_box_in_numpy_is_told_what_has_no_gradient():
    def black_box(theta):
        return torch.as_tensor((theta.numpy() ** 2).sum(1))

    with pytest.raises(GradientError, match=r"'black_box' has no exact gradient.*Smoothing"):
        Autodiff().estimate(black_box, torch.tensor([1.0, 2.0]))


def test_an_objective_may_work_in_place():
    theta = torch.tensor([1.0, 2.0], dtype=torch.float64)
    estimate = Autodiff().estimate(lambda rows: rows.mul_(3.0).square().sum(1), theta)
    torch.testing.assert_close(estimate.gradient, 18.0 * theta)
    assert theta.tolist() == [1.0, 2.0]
