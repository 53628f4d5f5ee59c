"""Policy gradients against closed forms. Seeds are fixed.

A z-test at 4.5 fails a right estimator with probability 7e-6 a coordinate, a little more by the tails of few samples.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from carom.gradients import Gumbel, Laplace, Logistic, Smoothing
from carom.gradients.policy import (
    Constant,
    ControlProblem,
    LeaveOneOut,
    LinearCritic,
    NetworkCritic,
    NoBaseline,
    OpenLoop,
    PolicyGradient,
    open_loop_objective,
)

from ..repeats import Repeats
from .linear_quadratic import Feedback, exact_gradient, expected_cost, problem

Z = 4.5


def repeat(backend, task, policy, seeds):
    estimates = [backend.estimate(task, policy, seed=seed) for seed in range(seeds)]
    return Repeats(torch.stack([e.gradient for e in estimates]), torch.stack([e.standard_error for e in estimates]))


def chain(a, horizon):
    """x+ = a x + u, cost x_T^2 / 2, in one dimension."""
    return ControlProblem(
        lambda x, u: (a * x + u, torch.zeros(len(x), dtype=x.dtype)),
        torch.tensor([1.0], dtype=torch.float64),
        horizon,
        final_cost=lambda x: 0.5 * x[:, 0].square(),
        name="chain",
    )


def z_scores(estimate, truth):
    return (estimate.gradient - truth) / estimate.standard_error


OPTIONS = [
    {},
    {"baseline": NoBaseline()},
    {"baseline": NoBaseline(), "reward_to_go": False},
    {"baseline": LeaveOneOut(), "reward_to_go": False},
    {"baseline": Constant(8.0)},
    {"baseline": LinearCritic()},
    {"baseline": LinearCritic(degree=1, folds=3)},
    {"baseline": LinearCritic(), "reward_to_go": False},
    {"baseline": LinearCritic(), "gae": 1.0},
    {"baseline": NetworkCritic(hidden=(8,), steps=10)},
]


@pytest.mark.parametrize("discount", [1.0, 0.8])
def test_unbiased(discount):
    """Linear-quadratic feedback, gain and log-scale, 8,000 trajectories: 60 z-scores in all, 4e-4."""
    policy = Feedback()
    truth = exact_gradient(policy.gain, policy.log_scale, discount=discount)
    for seed, options in enumerate(OPTIONS):
        size = 1000 if "baseline" in options and isinstance(options["baseline"], NetworkCritic) else 8000
        estimate = PolicyGradient(scale=None, trajectories=size, **options).estimate(
            problem(discount), policy, seed=seed
        )
        assert float(z_scores(estimate, truth).abs().max()) < Z, options
        value = float(estimate.value - expected_cost(policy.gain, policy.log_scale, discount=discount).detach())
        assert abs(value) < Z * estimate.diagnostics["value_standard_error"]


@pytest.mark.parametrize("baseline", [NoBaseline(), LeaveOneOut(), LinearCritic()], ids=lambda b: type(b).__name__)
def test_error_bars_are_honest(baseline):
    """The variance over 150 seeds is known to 12 % (1 sigma), heavy tails 12 %: 45 % is near 4 sigma. 9 z: 6e-5."""
    policy = Feedback()
    runs = repeat(PolicyGradient(scale=None, trajectories=32, baseline=baseline), problem(), policy, 150)
    assert float(runs.z_of_mean(exact_gradient(policy.gain, policy.log_scale)).abs().max()) < Z
    assert 0.55 < runs.honesty() < 1.45


def test_few_trajectories_stay_unbiased():
    """Three trajectories: a baseline that kept its own return would be off by a factor 2/3, and the test can tell."""
    task, policy = chain(1.1, 2), OpenLoop(torch.full((2, 1), 0.1, dtype=torch.float64))
    truth = (1.1**2 + 0.21) * torch.tensor([1.1, 1.0], dtype=torch.float64)
    runs = repeat(PolicyGradient(scale=0.3, trajectories=3), task, policy, 600)
    assert float(runs.z_of_mean(truth).abs().max()) < Z
    assert float(runs.z_of_mean(2 / 3 * truth).abs().max()) > 1.5 * Z
    # a critic of five features fitted to three trajectories is wild, and does not bias either
    feedback, wild = Feedback(), LinearCritic(ridge=0.1)
    runs = repeat(PolicyGradient(scale=None, trajectories=6, baseline=wild), problem(), feedback, 300)
    assert float(runs.z_of_mean(exact_gradient(feedback.gain, feedback.log_scale)).abs().max()) < Z


def test_variance_falls_with_each_device():
    """Whole return; to go; less the others' mean; less a critic's value: each takes away a third at least.

    By the error bars, which are honest, of 4,000 trajectories: their squares are known to some 5 %.
    """
    policy = Feedback()
    ladder = [*({"baseline": NoBaseline(), "reward_to_go": to_go} for to_go in (False, True)), {}]
    ladder.append({"baseline": LinearCritic()})
    found = [PolicyGradient(None, 4000, **rung).estimate(problem(), policy).diagnostics for rung in ladder]
    variances = [float(entry["trace_variance"]) for entry in found]
    assert all(better < 0.67 * worse for worse, better in itertools.pairwise(variances)), variances
    assert found[3]["explained_variance"] > 0.7
    assert abs(found[2]["explained_variance"]) < 0.01  # a constant for all explains nothing


def test_network_critic_explains_the_cost():
    """More than half of the variance of returns over trajectories, which the quadratic explains to 0.79."""
    backend = PolicyGradient(scale=None, trajectories=256, baseline=NetworkCritic(hidden=(16,), steps=100))
    first, again = (backend.estimate(problem(), Feedback(), seed=3) for _ in range(2))
    assert first.diagnostics["explained_variance"] > 0.5
    assert torch.equal(first.gradient, again.gradient)


@pytest.mark.parametrize("distribution", [Laplace(), Logistic(), Gumbel()], ids=lambda d: d.name)
def test_other_noise(distribution):
    """The expected cost of a linear-quadratic problem depends on mean and variance of the noise only: 9 coordinates."""
    policy = Feedback()
    kind = {"variance": distribution.variance, "mean": distribution.mean}
    truth = exact_gradient(policy.gain, policy.log_scale, **kind)
    estimate = PolicyGradient(scale=None, trajectories=20000, distribution=distribution).estimate(problem(), policy)
    assert float(z_scores(estimate, truth).abs().max()) < Z
    off = estimate.value - expected_cost(policy.gain, policy.log_scale, **kind).detach()
    assert abs(float(off)) < Z * estimate.diagnostics["value_standard_error"]


@pytest.mark.parametrize(("a", "horizon"), [(1.1, 4), (0.9, 20)])
def test_variance_law_of_the_horizon(a, horizon):
    """Design section 7: trace variance ((T+1) S x_T^2 + sigma^2/4 (T+4) 3 S^2) / N with f(theta) subtracted.

    And the gradient x_T a^(T-1-t). 200 seeds of T coordinates: the trace is known to 10 % or better (1 sigma); 24 z.
    """
    sigma, samples = 0.3, 32
    task = chain(a, horizon)
    controls = torch.full((horizon, 1), 0.1, dtype=torch.float64)
    powers = a ** torch.arange(horizon - 1, -1, -1, dtype=torch.float64)
    end = a**horizon + float((powers * 0.1).sum())
    total = float(powers.square().sum())
    backend = PolicyGradient(scale=sigma, trajectories=samples, baseline=Constant(0.5 * end**2))
    runs = repeat(backend, task, OpenLoop(controls), 200)
    assert float(runs.z_of_mean(end * powers).abs().max()) < Z
    law = ((horizon + 1) * total * end**2 + sigma**2 / 4 * (horizon + 4) * 3 * total**2) / samples
    assert float(runs.variance()) == pytest.approx(law, rel=0.35)


@pytest.mark.parametrize("distribution", ["gaussian", "cauchy"])
def test_open_loop_is_smoothing(distribution):
    """Whole returns over free controls: the same noise, the same estimate as ``Smoothing``, to rounding."""

    def step(x, u):
        after = x + 0.1 * u
        return after, torch.sin(after).sum(1) + (after[:, 0] > 0.2).to(x)

    task = ControlProblem(step, torch.tensor([0.1, -0.3], dtype=torch.float64), 3, discount=0.9)
    controls = torch.tensor([[0.1, 0.2], [0.3, -0.1], [0.5, 0.4]], dtype=torch.float64)
    for name, baseline in (("leave_one_out", LeaveOneOut()), ("none", NoBaseline())):
        ours = PolicyGradient(0.5, 40, baseline=baseline, reward_to_go=False, distribution=distribution)
        theirs = Smoothing(0.5, 40, antithetic=False, baseline=name, distribution=distribution)
        estimate = ours.estimate(task, OpenLoop(controls), seed=4)
        expected = theirs.estimate(open_loop_objective(task, 2), controls.flatten(), seed=4)
        torch.testing.assert_close(estimate.value, expected.value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(estimate.gradient, expected.gradient, rtol=1e-10, atol=1e-12)
        # leave-one-out: here the spread over trajectories, there the jackknife; they differ by a few parts in 40
        torch.testing.assert_close(estimate.standard_error, expected.standard_error, rtol=0.15, atol=0)
        # reward to go has the same mean: 6 coordinates, two error bars
    to_go = PolicyGradient(0.5, 4000, distribution=distribution).estimate(task, OpenLoop(controls), seed=1)
    whole = Smoothing(0.5, 4000, antithetic=False, distribution=distribution).estimate(
        open_loop_objective(task, 2), controls.flatten(), seed=2
    )
    both = (to_go.standard_error.square() + whole.standard_error.square()).sqrt()
    assert float(((to_go.gradient - whole.gradient) / both).abs().max()) < Z
    assert float(to_go.diagnostics["trace_variance"]) < float(whole.diagnostics["trace_variance"])


def test_gae_takes_variance_away():
    """Decay 0 with a critic that can be exact, one step's noise is left: less variance, a mean near the truth.

    The bias of a critic fitted to 2,500 trajectories is far below a tenth of the gradient, as is the error bar.
    """
    policy = Feedback()
    exact = exact_gradient(policy.gain, policy.log_scale)
    plain, gae = (
        PolicyGradient(None, 5000, LinearCritic(), gae=decay).estimate(problem(), policy, seed=1)
        for decay in (1.0, 0.0)
    )
    assert float(gae.diagnostics["trace_variance"]) < 0.8 * float(plain.diagnostics["trace_variance"])
    assert float((gae.gradient - exact).norm()) < 0.1 * float(exact.norm())


def test_backward_fills_grad_of_any_module():
    """A network of two layers: the flat gradient in the order of its parameters; frozen ones are left alone."""
    torch.manual_seed(0)
    policy = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    policy[0].bias.requires_grad_(False)
    backend = PolicyGradient(scale=0.2, trajectories=8)
    estimate = backend.backward(problem(), policy, seed=1)
    parts = [p.grad.flatten() for p in policy.parameters() if p.requires_grad]
    assert torch.equal(torch.cat(parts), estimate.gradient)
    assert policy[0].bias.grad is None
    backend.backward(problem(), policy, seed=1)
    assert torch.equal(policy[2].weight.grad.flatten(), 2 * estimate.gradient[8:12])
    # by torch on the same surrogate, written out for the whole batch
    from carom.gradients.policy.rollouts import roll_out

    data = roll_out(
        problem(), policy, trajectories=8, distribution=Logistic(), scale=torch.tensor(0.2, dtype=torch.float64), seed=1
    )
    to_go = data.costs.flip(0).cumsum(0).flip(0)
    advantage = to_go - (to_go.sum(1, keepdim=True) - to_go) / 7
    means = policy(data.states[:-1])
    density = Logistic().log_density((data.actions - means) / 0.2)
    (density.sum(2) * advantage).sum(0).mean().backward(inputs=[policy[2].weight])
    other = PolicyGradient(scale=0.2, trajectories=8, distribution="logistic").estimate(problem(), policy, seed=1)
    torch.testing.assert_close(policy[2].weight.grad.flatten() - 2 * estimate.gradient[8:12], other.gradient[8:12])
