"""Counter-based numbers, and that no backend touches a global generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from carom.envs.testbeds import Quadratic
from carom.gradients import CentralDifferences, Gaussian, GradientError, Smoothing, Surrogate, differentiable
from carom.gradients.noise.counter_random import derive_seed, draw_uniforms

RANDOM = [
    Smoothing(samples=16),
    Smoothing(samples=16, order="first", antithetic=False),
    Surrogate(samples=40, steps=20),
    CentralDifferences(samples=16),
]


@pytest.mark.parametrize("columns", [1, 3, 4, 9])
def test_rows_do_not_depend_on_how_they_are_drawn(columns):
    whole = draw_uniforms(7, "a", first=0, rows=50, columns=columns)
    parts = [draw_uniforms(7, "a", first=k, rows=1, columns=columns) for k in range(50)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, draw_uniforms(8, "a", first=0, rows=50, columns=columns))
    assert not torch.equal(whole, draw_uniforms(7, "b", first=0, rows=50, columns=columns))


def test_uniform_and_gaussian():
    uniforms = draw_uniforms(3, "test", first=0, rows=20000, columns=3)
    assert float(uniforms.min()) > 0.0
    assert float(uniforms.max()) < 1.0
    # Two tests at 1e-5 each.
    assert stats.kstest(uniforms.flatten().numpy(), "uniform").pvalue > 1e-5
    noise = Gaussian().sample(uniforms)
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-5
    correlation = torch.corrcoef(noise.T) - torch.eye(3)
    assert float(correlation.abs().max()) * 20000**0.5 < 4.5
    ends = Gaussian().sample(torch.tensor([2.0**-53, 1.0 - 2.0**-53], dtype=torch.float64))
    assert torch.isfinite(ends).all()


def test_score_is_the_slope_of_the_log_density():
    w = torch.linspace(-3.0, 3.0, 7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(Gaussian().log_density(w).sum(), w)
    torch.testing.assert_close(Gaussian().score(w.detach()), -slope)
    np.testing.assert_allclose(Gaussian().log_density(w).detach().numpy(), stats.norm.logpdf(w.detach().numpy()))


def test_seeds():
    assert len({derive_seed(0, "x", k) for k in range(1000)}) == 1000
    assert derive_seed(1, 2) == derive_seed(1, 2)
    assert 0 <= derive_seed(-5) < 2**63
    with pytest.raises(GradientError, match="seed"):
        derive_seed(0.5)


@pytest.mark.parametrize("backend", RANDOM, ids=lambda b: type(b).__name__)
def test_same_seed_same_result_and_global_generators_untouched(backend):
    objective = Quadratic()
    theta = objective.initial_parameters()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    first = backend.estimate(objective, theta, seed=4)
    leaf = theta.clone().requires_grad_()
    differentiable(objective, backend)(leaf).backward()
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
    for size in range(1, 11):
        torch.rand(size)  # moves the heap along: some library routines round by the alignment of their input
        again = backend.estimate(objective, theta, seed=4)
        assert torch.equal(first.gradient, again.gradient)
        spread, same = (
            e.diagnostics["gradient_spread"] if e.standard_error is None else e.standard_error for e in (first, again)
        )
        assert torch.equal(spread, same)
        assert torch.equal(first.value, again.value)
    other = backend.estimate(objective, theta, seed=5)
    assert not torch.equal(first.value, other.value)
