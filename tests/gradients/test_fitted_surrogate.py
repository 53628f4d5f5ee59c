"""A surrogate that is fitted once: right where it says so, refreshed where it must be."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import GradientError, Smoothing, differentiable
from carom.gradients.estimators.network import Ensemble
from carom.gradients.learned import Box, Cloud, fit_surrogate

QUICK = {"samples": 256, "hidden": (32, 32), "steps": 300}


class Waves:
    """sin 3x + x y^2, counting its rollouts; its gradient by hand."""

    name = "waves"
    parameter_names = ("x", "y")

    def __init__(self):
        self.rollouts = 0

    def __call__(self, theta):
        self.rollouts += len(theta)
        return torch.sin(3 * theta[:, 0]) + theta[:, 0] * theta[:, 1] ** 2

    @staticmethod
    def gradient(theta):
        x, y = theta.unbind(-1)
        return torch.stack([3 * torch.cos(3 * x) + y**2, 2 * x * y], -1)


@pytest.fixture(scope="module")
def box():
    return Box((-1.0, -1.0), (1.0, 1.0))


@pytest.fixture(scope="module")
def fitted(box):
    return fit_surrogate(Waves(), box, **QUICK, outside="report")


def points(count, width=0.8):
    return width * (2 * torch.rand(count, 2, generator=torch.Generator().manual_seed(1)) - 1).double()


def test_gradients_over_a_box_need_no_rollouts(fitted):
    waves, theta = Waves(), points(50)
    estimate = fitted.estimate(waves, theta)
    assert waves.rollouts == estimate.evaluations == 0
    assert estimate.diagnostics["inside_data"].all()
    truth = waves.gradient(theta)
    # Waves of wave number 3 to which the fit is right to ``held_out_error`` of a standard deviation (0.7): errors of
    # the fit have at most about ten times the wave number of the cost before the data would show them.
    off = (estimate.gradient - truth).norm(dim=1).mean() / truth.norm(dim=1).mean()
    assert off < 10 * fitted.report.held_out_error
    assert fitted.report.held_out_error < 0.02
    torch.testing.assert_close(estimate.value, waves(theta), atol=0.05, rtol=0)


def test_held_out_error_is_that_on_new_data(fitted, box):
    fresh = box.draw(99, "another stream", 4000)
    truth = Waves()(fresh)
    error = float((fitted(fresh) - truth).square().mean().sqrt() / truth.std())
    # 38 held-out points know the error to 1 / sqrt(76) = 11 % were it normal; its tails are longer
    assert 0.4 * error < fitted.report.held_out_error < 2.5 * error


def test_gradient_is_that_of_the_value(fitted):
    theta = points(20).requires_grad_()
    values, gradients = fitted.value_and_gradient(theta)
    (by_torch,) = torch.autograd.grad(fitted(theta).sum(), theta)
    torch.testing.assert_close(by_torch, gradients)
    # float32 networks: a step of 1e-2 leaves errors of 1e-7 / 1e-2 and of third derivatives (about 50) * 1e-4 / 6
    for axis in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = 1e-2
        difference = (fitted(theta + step) - fitted(theta - step)).detach() / 2e-2
        torch.testing.assert_close(difference, gradients[:, axis], atol=5e-3, rtol=5e-3)
    assert values.shape == (20,)


def test_derivatives_of_the_networks_against_autograd():
    network = Ensemble(
        inputs=3, hidden=(16, 8, 8), members=2, copies=1, seed=1, dtype=torch.float64, device=torch.device("cpu")
    )
    network.weights[-2] = torch.randn(2, 8, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    leaf = x[:1].expand(2, -1, -1).clone().requires_grad_()
    values = network(leaf)
    (slopes,) = torch.autograd.grad(values.sum(), leaf)
    found = network.gradients(x[0])
    torch.testing.assert_close(found, (values.detach(), slopes), rtol=1e-12, atol=1e-14)


def test_a_cloud_answers_for_the_smoothed_cost():
    push = GapPush(gap=0.03)
    theta = push.initial_parameters()
    surrogate = fit_surrogate(push, Cloud(theta, 0.05), **QUICK)
    truth = float(push.smoothed_gradient(theta, 0.05))
    assert float(surrogate.estimate(push, theta).gradient) == pytest.approx(truth, rel=0.15)
    # at theta the push does not reach the box; the data are a tenth of the noise apart
    assert abs(float(surrogate.with_options(smoothing=0.0).estimate(push, theta).gradient)) < 0.4 * truth


def test_smoothing_is_the_average_over_noise(fitted):
    theta = points(1)[0]
    smooth = fitted.with_options(smoothing=(0.3, 0.1)).estimate(Waves(), theta)
    reference = Smoothing(scale=(0.3, 0.1), samples=40000, order="first").estimate(fitted, theta)
    # Against 40,000 random points; 64 Sobol points are at least ten times better than as many random ones here, whose
    # error would be the reference's times sqrt(40000 / 64) = 25. Two coordinates at 4.5 sigma: 1.4e-5.
    bound = 4.5 * reference.standard_error + 4.5 * 2.5 * reference.standard_error
    assert bool(((smooth.gradient - reference.gradient).abs() < bound).all())


def test_linear_cost_is_exact():
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    theta = torch.zeros(3, dtype=torch.float64)
    surrogate = fit_surrogate(lambda t: t @ slope + 7.0, Cloud(theta, (0.1, 0.5, 2.0)), **QUICK)
    values, gradients = surrogate.value_and_gradient(theta[None])
    torch.testing.assert_close(gradients[0], slope, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(values, torch.tensor([7.0], dtype=torch.float64), rtol=1e-5, atol=0)


def test_a_theta_outside_is_met_by_the_policy(box, fitted):
    waves, away = Waves(), torch.tensor([2.5, 0.0], dtype=torch.float64)
    report = fitted.estimate(waves, away)
    assert report.diagnostics["inside_data"] is False
    with pytest.raises(GradientError, match='outside="refuse"'):
        fitted.with_options(outside="refuse").estimate(waves, torch.stack([away, 0 * away]))
    assert waves.rollouts == 0
    for outside in ("refit", "extend"):
        surrogate = fitted.with_options(outside=outside)
        estimate = surrogate.estimate(waves, away, seed=4)
        assert estimate.evaluations == waves.rollouts == 256
        counts = [estimate.diagnostics[name] for name in ("refits", "extensions", "rollouts")]
        assert counts == [outside == "refit", outside == "extend", 512]
        assert estimate.diagnostics["inside_data"] is True
        torch.testing.assert_close(estimate.gradient, waves.gradient(away), atol=0.3, rtol=0)
        again = surrogate.estimate(waves, away, seed=5)
        assert again.evaluations == 0
        torch.testing.assert_close(again.gradient, estimate.gradient)
        inside = surrogate.inside(torch.stack([away, 0 * away])).tolist()
        assert inside == [True, outside == "extend"]
        if outside == "extend":  # the first region is still known
            old = surrogate.estimate(waves, 0 * away)
            assert old.evaluations == 0
            torch.testing.assert_close(old.gradient, waves.gradient(0 * away), atol=0.3, rtol=0)
            # and the oldest goes when there are too many
            capped = surrogate.with_options(regions_kept=2)
            capped.estimate(waves, 3 * away)
            assert capped.inside(torch.stack([3 * away, away, 0 * away])).tolist() == [True, True, False]
        waves.rollouts = 0
    assert fitted.refits == 0  # the original has not changed
    with pytest.raises(GradientError, match="too far apart"):
        fitted.with_options(outside="refit").estimate(waves, torch.stack([away, -away]))


@pytest.mark.parametrize("outside", ["refit", "extend"])
@pytest.mark.parametrize("problem", [GradientError, KeyboardInterrupt])
def test_a_refit_that_fails_leaves_no_trace(fitted, monkeypatch, outside, problem):
    waves, away = Waves(), torch.tensor([2.5, 0.0], dtype=torch.float64)
    smooth, troubled = (fitted.with_options(outside=outside) for _ in range(2))
    expected = smooth.estimate(waves, away, seed=4)

    def fail(*_, **__):
        raise problem("no fit")

    with monkeypatch.context() as patch:
        patch.setattr("carom.gradients.learned.fitted.fit_costs", fail)
        with pytest.raises(problem):
            troubled.estimate(waves, away, seed=4)
    assert (troubled.refits, troubled.extensions, troubled.rollouts) == (0, 0, 256)
    found = troubled.estimate(waves, away, seed=4)
    assert torch.equal(found.gradient, expected.gradient)
    assert found.diagnostics["rollouts"] == 512


def test_it_follows_an_optimizer():
    objective = Quadratic()
    theta = objective.initial_parameters().requires_grad_()
    surrogate = fit_surrogate(objective, Cloud(theta.detach(), 0.2), samples=64, hidden=(16,), steps=100)
    cost = differentiable(objective, surrogate)
    start = float(objective(theta.detach()[None]))
    adam = torch.optim.Adam([theta], lr=0.05)
    for _ in range(60):
        adam.zero_grad()
        cost(theta).backward()
        adam.step()
    assert float(objective(theta.detach()[None])) < 0.05 * start
    assert 1 <= surrogate.refits <= 20
    assert surrogate.rollouts == 64 * (1 + surrogate.refits)


def test_a_batch_equals_single_calls_and_a_seed_repeats(fitted):
    theta = points(4)
    together = fitted.with_options(smoothing=0.1).estimate(Waves(), theta)
    for i in range(4):
        single = fitted.with_options(smoothing=0.1).estimate(Waves(), theta[i])
        torch.testing.assert_close(single.gradient, together.gradient[i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            single.diagnostics["gradient_spread"], together.diagnostics["gradient_spread"][i], rtol=1e-2, atol=1e-5
        )
    again = fit_surrogate(Waves(), fitted.regions[0], **QUICK, chunk=10)
    assert torch.equal(again.value_and_gradient(theta)[1], fitted.value_and_gradient(theta)[1])
    other = fit_surrogate(Waves(), fitted.regions[0], **QUICK, seed=1)
    assert not torch.equal(other.value_and_gradient(theta)[1], fitted.value_and_gradient(theta)[1])


def test_progress_and_an_early_stop():
    events = []
    surrogate = fit_surrogate(
        Waves(), Box((-1.0, -1.0), (1.0, 1.0)), samples=100, chunk=30, steps=2000, patience=20, progress=events.append
    )
    rollouts = [event.done for event in events if event.phase == "rollouts"]
    assert rollouts == [0, 30, 60, 90, 100]
    steps = [event for event in events if event.phase == "fit"]
    assert steps[-1].done == surrogate.report.steps_done < 2000
    assert surrogate.report.best_step < surrogate.report.steps_done
    assert steps[-1].training_error < steps[0].training_error
    assert all(event.validation_error > 0 and event.total == 2000 for event in steps)


def test_regions():
    cloud = Cloud(torch.tensor([1.0, -2.0]), (0.1, 3.0))
    drawn = cloud.draw(0, "points", 20000)
    torch.testing.assert_close(drawn.mean(0), cloud.centre, atol=0.1, rtol=0)  # 4.7 sigma in the wider coordinate
    torch.testing.assert_close(drawn.std(0), cloud.spread, rtol=0.03, atol=0)  # 6 sigma
    # 90 % of its points count as inside: 20,000 of them know this to 0.2 %
    assert float(cloud.contains(drawn).double().mean()) == pytest.approx(0.9, abs=0.01)
    box = Box((0.0, -1.0), (1.0, 1.0))
    drawn = box.draw(0, "points", 20000)
    assert box.contains(drawn).all()
    torch.testing.assert_close(drawn.std(0), box.spread, rtol=0.03, atol=0)
    assert box.contains(torch.tensor([[1.1, 0.0], [0.5, -1.1], [0.5, 1.0]])).tolist() == [False, False, True]
    assert box.moved(torch.tensor([10.0, 0.0])).contains(torch.tensor([[10.4, 0.9]])).all()


def test_refusals(box, fitted):
    for region, words in [
        (lambda: Box((0.0, 1.0), (1.0, 1.0)), r"low\[1\] = 1 of a Box is not below"),
        (lambda: Box((0.0,), (1.0, 1.0)), "1 entries in low and 2 in high"),
        (lambda: Box((0.0,), (math.inf,)), "high of a Box is not finite"),
        (lambda: Cloud((0.0, 0.0), -1.0), "positive standard deviation"),
        (lambda: Cloud((0.0, 0.0), (1.0, 1.0, 1.0)), "scale has 3 entries but theta has 2"),
    ]:
        with pytest.raises(GradientError, match=words):
            region()
    with pytest.raises(GradientError, match="too few for a fit in 20 parameters: give at least 84, better 336"):
        fit_surrogate(lambda t: t.sum(1), Cloud((0.0,) * 20), samples=40)
    with pytest.raises(GradientError, match=r"is the same, 0.1, at all 64 points.*Give a larger region"):
        fit_surrogate(lambda t: torch.full_like(t[:, 0], 0.1), box, samples=64)
    for options, words in [
        ({"outside": "extent"}, "Did you mean 'extend'"),
        ({"smoothing": -0.1}, "scale is -0.1"),
        ({"smoothing": (0.1, 0.1, 0.1)}, "smoothing has 3 entries, the objective 2"),
        ({"hidden": ()}, "hidden is empty"),
        ({"ensemble": 1}, "one network has no spread"),
        ({"progress": 3}, "progress is 3"),
        ({"regions_kept": 0}, "regions_kept"),
        ({"chunk": 0}, "chunk"),
        ({"seed": 0.5}, "seed is 0.5"),
    ]:
        with pytest.raises(GradientError, match=words):
            fit_surrogate(Waves(), box, **({"samples": 64, "steps": 5} | options))
    with pytest.raises(GradientError, match="its name: 'waves', here: 'quadratic'"):
        fitted.estimate(Quadratic(), torch.zeros(2, dtype=torch.float64))
    with pytest.raises(GradientError, match="its parameters: 2, here: 3"):
        fitted.estimate(Waves(), torch.zeros(3, dtype=torch.float64))
    with pytest.raises(GradientError, match=r"takes \[batch, 2\]"):
        fitted(torch.zeros(4, 3))
