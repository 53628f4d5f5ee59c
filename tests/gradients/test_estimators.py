"""Every unbiased estimator against closed forms: six distributions, theta and scale, all axes, d = 1, 2, 10.

One estimate of each combination, all with seeds of their own, gives many thousand z-scores (t-scores where the standard
error comes from replications). The least p-value of a family is held against ALARM / its size (Bonferroni): right
estimators fail a family with probability of at most ALARM, as far as their errors are normal. The same families with
a hundred times the samples run under ``-m slow``.

The zeroth order under triangular noise has no variance in general, and its scores are then not normal (a skewed tail
of the estimate drags its own standard error along). Its family has objectives for which the variance is finite, and
that its scores are right for any objective is shown by quadrature.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from carom.gradients import DISTRIBUTIONS, Smoothing
from carom.gradients.noise.sampling import resolve_sampling

from .closed_forms import SCIPY, WavesAndSteps, bounded_settings, characteristic, settings

ALARM = 1e-3
REPLICATIONS = 24
RANDOM = ("monte_carlo", "rqmc", "latin_hypercube", "cartesian_rqmc")
PAIRS = (False, True)
BASELINES = ("none", "value", "leave_one_out")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Thousands of small estimates: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(setting, distribution, sampling, antithetic, baseline, order="zeroth", much=1):
    signs = 2 if antithetic else 1
    columns, replications = len(setting.theta), 1
    points = 1536 * much
    if sampling != "monte_carlo":
        replications = REPLICATIONS
        points = replications * resolve_sampling(sampling).fitting(64 * much, columns)
    return Smoothing(
        scale=setting.scale,
        samples=signs * points,
        order=order,
        distribution=distribution,
        antithetic=antithetic,
        baseline=baseline,
        sampling=sampling,
        replications=replications,
        chunk=2**17,
    )


def p_values(estimate, truth, backend):
    """Two-sided, of every coordinate that varies; the others must be exact."""
    distance, error = (estimate.gradient.numpy() - truth).reshape(-1), estimate.standard_error.numpy().reshape(-1)
    assert np.abs(distance[error == 0]).max(initial=0.0) < 1e-12
    z = np.abs(distance[error > 0] / error[error > 0])
    return 2.0 * (stats.norm.sf(z) if backend.replications == 1 else stats.t(backend.replications - 1).sf(z))


def family(cases, much=1):
    """p-values of both gradients of all cases (setting, distribution, sampling, pairs, baseline, order, with_scale)."""
    found = {}
    for seed, (setting, distribution, sampling, pairs, baseline, order, with_scale) in enumerate(cases):
        backend = make(setting, distribution, sampling, pairs, baseline, order, much)
        _, by_x, by_scale = setting.objective.smoothed(distribution, setting.theta.numpy(), setting.scale)
        main, scale = backend.estimate_with_scale(setting.objective, setting.theta, seed=seed)
        assert scale.gradient.shape == setting.scale.shape
        label = f"{setting.name} {distribution} {sampling} {order} {'pairs' if pairs else baseline}"
        found[f"{label} theta"] = p_values(main, by_x, backend)
        if with_scale:
            found[f"{label} scale"] = p_values(scale, by_scale, backend)
    return found


def check(found):
    size = sum(len(p) for p in found.values())
    worst = min(found, key=lambda label: found[label].min(initial=1.0))
    assert found[worst].min() * size > ALARM, (worst, found[worst].min(), size)
    return np.concatenate(list(found.values()))


def zeroth_cases(some):
    for setting, distribution, sampling, pairs, baseline in itertools.product(
        some, DISTRIBUTIONS, RANDOM, PAIRS, BASELINES
    ):
        if distribution != "triangular" and (not pairs or DISTRIBUTIONS[distribution].symmetric):
            yield setting, distribution, sampling, pairs, baseline, "zeroth", True


def triangular_cases():
    for odd, sampling, pairs, baseline in itertools.product((False, True), RANDOM, PAIRS, BASELINES):
        if odd or baseline == "none":
            for setting in bounded_settings(odd=odd):
                yield setting, "triangular", sampling, pairs, baseline, "zeroth", True


def first_cases(some):
    for setting, distribution, sampling, pairs in itertools.product(some, DISTRIBUTIONS, RANDOM, PAIRS):
        if not pairs or DISTRIBUTIONS[distribution].symmetric:
            waves = WavesAndSteps(setting.objective.a, tuple(0.0 for _ in setting.objective.b))
            # E[grad f w^T] does not exist for Cauchy noise unless grad f decays: see below.
            with_scale = distribution != "cauchy"
            yield replace(setting, objective=waves), distribution, sampling, pairs, "none", "first", with_scale


@pytest.mark.parametrize("name", SCIPY)
def test_characteristic_functions(name):
    # The closed forms themselves, by midpoints of the quantile function. Cauchy noise turns by more than a radian from
    # one midpoint to the next in its last 0.1 %, whose phases are thus lost.
    w = SCIPY[name].ppf((np.arange(400000) + 0.5) / 400000)
    for t in (0.3, 1.1):
        (value,), (slope,) = characteristic(name, np.array([t]))
        assert abs(np.exp(1j * t * w).mean() - value) < (1e-3 if name == "cauchy" else 2e-5)
        step = 1e-5
        around = characteristic(name, np.array([t - step, t + step]))[0]
        assert abs((around[1] - around[0]) / (2 * step) - slope) < 1e-8


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_scores_integrate_to_both_gradients(name):
    # E[f s]/scale and E[f (s w - 1)]/scale for one coordinate, integrated instead of sampled.
    setting, density = settings()[0], DISTRIBUTIONS[name]()
    x, scale = float(setting.theta[0]), float(setting.scale)
    _, by_x, by_scale = setting.objective.smoothed(name, setting.theta.numpy(), setting.scale)

    # Gauss points between all kinks and jumps; what lies beyond the ends is nothing, or 2/(pi 3000) of a bounded wave.
    ends = {"triangular": 1.0, "cauchy": 3000.0}.get(name, 40.0)
    low = -4.5 if name == "gumbel" else -ends
    cuts = np.unique([low, 0.0, -x / scale, ends, *np.arange(np.ceil(low), ends)])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half, middle = np.diff(cuts)[:, None] / 2, (cuts[:-1] + cuts[1:])[:, None] / 2
    noise = torch.from_numpy((middle + half * nodes).reshape(-1))
    mass = torch.from_numpy((half * weights).reshape(-1)) * density.log_density(noise).exp() / scale
    value, score = setting.objective(x + scale * noise[:, None]), density.score(noise)
    tail = 1e-3 if name == "cauchy" else 1e-9
    assert float((mass * value * score).sum()) == pytest.approx(by_x[0], abs=tail)
    assert float((mass * value * (score * noise - 1)).sum()) == pytest.approx(float(by_scale), abs=tail)


@pytest.mark.parametrize("setting", settings(), ids=lambda s: s.name)
def test_zeroth_order_is_unbiased(setting):
    check(family(zeroth_cases([setting])))


def test_zeroth_order_is_unbiased_under_triangular_noise():
    check(family(triangular_cases()))


@pytest.mark.parametrize("setting", settings(), ids=lambda s: s.name)
def test_first_order_is_unbiased(setting):
    check(family(first_cases([setting])))


def test_first_order_scale_under_cauchy_noise():
    # f = arctan(y)/pi decays in its gradient: the average over Cauchy noise is arctan(x / (1 + scale))/pi.
    def cost(y):
        return torch.atan(y[:, 0]) / np.pi

    x, scale = 0.7, 0.5
    for seed, (sampling, pairs) in enumerate(itertools.product(RANDOM, PAIRS)):
        dependent = sampling != "monte_carlo"
        backend = Smoothing(
            scale=scale,
            samples=REPLICATIONS * 128,
            order="first",
            distribution="cauchy",
            antithetic=pairs,
            sampling=sampling,
            replications=REPLICATIONS if dependent else 1,
        )
        main, wide = backend.estimate_with_scale(cost, torch.tensor([x], dtype=torch.float64), seed=seed)
        bottom = np.pi * ((1 + scale) ** 2 + x**2)
        p = [
            *p_values(main, np.array([(1 + scale) / bottom]), backend),
            *p_values(wide, np.array(-x / bottom), backend),
        ]
        assert min(p) * 16 > ALARM


@pytest.mark.parametrize("sampling", RANDOM)
@pytest.mark.parametrize("antithetic", PAIRS)
def test_leave_one_out_is_unbiased_with_the_fewest_samples(sampling, antithetic):
    # 250 seeds of estimates from four units or three tables: a baseline that kept its own sample or table would be off
    # by 3/4 or 2/3, one that kept a partner by 4/3, and the mean over seeds is known to about 6 %. Four coordinates of
    # t-scores with 249 degrees of freedom in each of 8 cases: 4.5 is passed by chance with probability 3e-4 in all.
    setting = settings()[2]
    few = WavesAndSteps((0.5, 0.7), (1.5, 1.0))
    distribution = "laplace" if antithetic else "gumbel"
    signs, columns = (2 if antithetic else 1), len(setting.theta)
    points, replications = 4, 1
    if sampling != "monte_carlo":
        points, replications = resolve_sampling(sampling).fitting(4, columns), 3
    backend = Smoothing(
        scale=setting.scale,
        samples=signs * points * replications,
        distribution=distribution,
        antithetic=antithetic,
        sampling=sampling,
        replications=replications,
    )
    runs = [backend.estimate_with_scale(few, setting.theta, seed=seed) for seed in range(250)]
    _, *truths = few.smoothed(distribution, setting.theta.numpy(), setting.scale)
    for place, truth in enumerate(truths):
        seen = torch.stack([run[place].gradient for run in runs]).numpy()
        z = (seen.mean(0) - truth) / (seen.std(0, ddof=1) / len(seen) ** 0.5)
        assert np.abs(z).max() < 4.5


@pytest.mark.slow
def test_all_with_a_hundred_times_the_samples():
    check(family(zeroth_cases(settings()[:4]), much=100))
    check(family(first_cases(settings()[:4]), much=100))
    check(family(triangular_cases(), much=100))
