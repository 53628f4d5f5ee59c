"""Tables of points: the same however they are cut, and spread as each promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import qmc

from carom.envs.testbeds import Quadratic
from carom.gradients import SAMPLINGS, GradientError, Smoothing
from carom.gradients.noise.sampling import resolve_sampling

RANDOM = [name for name, kind in SAMPLINGS.items() if kind.random]


def table(name, points=64, columns=3, seed=5):
    return SAMPLINGS[name]().table(seed=seed, stream="test", points=points, columns=columns)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_rows_do_not_depend_on_how_they_are_drawn(name):
    whole = table(name).rows(0, 64)
    assert whole.dtype == torch.float64
    assert 0.0 < float(whole.min()) < float(whole.max()) < 1.0
    for size in (1, 7, 40):
        parts = table(name)
        cut = [parts.rows(first, min(size, 64 - first)) for first in range(0, 64, size)]
        assert torch.equal(whole, torch.cat(cut))
        backwards = [parts.rows(first, min(size, 64 - first)) for first in reversed(range(0, 64, size))]
        assert torch.equal(whole, torch.cat(backwards[::-1]))
    other = table(name, seed=6).rows(0, 64)
    assert torch.equal(whole, other) != SAMPLINGS[name].random


@pytest.mark.parametrize("name", RANDOM)
def test_rows_are_uniform_over_seeds(name):
    # 600 seeds, two columns of row 0, of row 11 and of a row drawn at random: 24 tests at 1e-5 each over all samplings.
    rows = torch.stack([table(name, points=16, columns=2, seed=seed).rows(0, 16) for seed in range(600)])
    anywhere = rows[torch.arange(600), torch.randint(16, (600,), generator=torch.Generator().manual_seed(0))]
    single = [] if name == "cartesian_rqmc" else [rows[:, 0], rows[:, 11]]  # there a row stays in its cell
    for row in (anywhere, *single):
        for column in row.T:
            assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-5
        # ... and its columns are independent of each other: five standard errors, 6e-7.
        assert abs(np.corrcoef(row.numpy().T)[0, 1]) < 5 / 600**0.5


def test_strata():
    slabs = (table("latin_hypercube", points=50).rows(0, 50) * 50).long()
    for column in slabs.T:
        assert sorted(column.tolist()) == list(range(50))
    assert not torch.equal(slabs[:, 0], slabs[:, 1])
    for name in ("cartesian", "cartesian_rqmc"):
        cells = (table(name).rows(0, 64) * 4).long()
        assert len({tuple(cell) for cell in cells.tolist()}) == 64
    middle = table("cartesian").rows(0, 64) * 4 % 1.0
    assert torch.equal(middle, torch.full_like(middle, 0.5))
    # Sobol' points: one in each of 64 intervals of every column, and of every 8 x 8 box of the first two.
    for name in ("qmc", "rqmc"):
        points = table(name).rows(0, 64)
        for column in (points * 64).long().T:
            assert sorted(column.tolist()) == list(range(64))
        assert len({tuple(cell) for cell in (points[:, :2] * 8).long().tolist()}) == 64
    plain = qmc.Sobol(3, scramble=False).random(64)
    np.testing.assert_allclose(table("qmc").rows(0, 64).numpy(), plain + 1 / 128, atol=1e-12)


def test_counts_that_fit():
    assert [resolve_sampling("cartesian").fitting(1024, d) for d in (1, 2, 3, 10, 20)] == [
        1024,
        1024,
        1000,
        1024,
        2**20,
    ]
    assert resolve_sampling("rqmc").fitting(1000, 3) == 1024
    assert resolve_sampling("latin_hypercube").fitting(1000, 3) == 1000
    for name in ("cartesian", "cartesian_rqmc"):
        with pytest.raises(GradientError, match=r"3 parameters holds k\^3 points, and 1024 is not.*10\^3 = 1000.*1331"):
            table(name, points=1024)
        assert len(table(name, points=1000).rows(990, 10)) == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling": "sobol"}, "unknown sampling 'sobol'.*rqmc"),
        ({"sampling": 3}, "instance"),
        ({"sampling": "qmc", "replications": 4}, "do not depend on the seed.*rqmc"),
        ({"sampling": "rqmc", "replications": 2}, "at least 3"),
        ({"sampling": "rqmc", "replications": 0}, "replications"),
        ({"sampling": "rqmc", "replications": 5, "samples": 64}, "multiple of 10, e.g. 70"),
        ({"sampling": "cartesian"}, "mirror images.*antithetic=False"),
        ({"sampling": "rqmc", "antithetic": False, "samples": 1}, "leave-one-out needs another"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(GradientError, match=words):
        Smoothing(**options)


@pytest.mark.parametrize("name", [name for name in RANDOM if name != "monte_carlo"])
@pytest.mark.parametrize("baseline", ["none", "leave_one_out"])
def test_replications_give_an_honest_error(name, baseline):
    # The variance reported, averaged over 150 seeds of 6 replications, against the variance seen: each is known to
    # about 12 % and 5 % (one standard error), so 40 % is passed by chance with a probability below 1e-3.
    objective = Quadratic()
    theta = objective.initial_parameters()
    backend = Smoothing(scale=0.3, samples=6 * 16, antithetic=False, baseline=baseline, sampling=name, replications=6)
    runs = [backend.estimate(objective, theta, seed=seed) for seed in range(150)]
    seen = torch.stack([run.gradient for run in runs]).var(0).sum()
    said = torch.stack([run.standard_error for run in runs]).square().mean(0).sum()
    assert float(said / seen) == pytest.approx(1.0, abs=0.4)
    values = torch.stack([run.value for run in runs]).var()
    told = torch.tensor([run.diagnostics["value_standard_error"] for run in runs]).square().mean()
    assert float(told / values) == pytest.approx(1.0, abs=0.5)


def test_dependent_points_without_replications_claim_no_error():
    objective = Quadratic()
    for name in SAMPLINGS:
        backend = Smoothing(samples=64, sampling=name, antithetic=False)
        main, scale = backend.estimate_with_scale(objective, objective.initial_parameters())
        known = name == "monte_carlo"
        assert (main.standard_error is not None) == (scale.standard_error is not None) == known
        for measure in ("trace_variance", "value_standard_error"):
            assert (main.diagnostics[measure] is not None) == known


@pytest.mark.parametrize("name", ["qmc", "rqmc", "cartesian_rqmc", "latin_hypercube"])
def test_even_points_beat_random_ones(name):
    # A smooth cost in two dimensions, 1024 points: every one is at least three times closer than the standard
    # error of Monte Carlo.
    objective = Quadratic()
    theta = objective.initial_parameters()
    truth = objective.smoothed_gradient(theta, 0.3)
    plain = Smoothing(scale=0.3, samples=1024, antithetic=False).estimate(objective, theta)
    even = Smoothing(scale=0.3, samples=1024, antithetic=False, sampling=name).estimate(objective, theta)
    assert float((even.gradient - truth).norm()) < float(plain.standard_error.norm()) / 3.0


def test_bias_of_the_mean_of_one_table_is_as_stated():
    # Two cells of one coordinate: E of the estimate is the truth less the covariance of the table's means of f and s.
    # 4000 tables; both sides share their noise, 4.5 standard errors of the difference: 7e-6.
    theta, scale = torch.zeros(1, dtype=torch.float64), 1.0
    backend = Smoothing(scale=scale, samples=2, antithetic=False, sampling="cartesian_rqmc")
    noise = torch.stack([backend.perturbation(theta[None], seed=seed).draw(0, 2).noise[:, 0] for seed in range(4000)])
    values = torch.sin(noise + 0.5)
    found = ((values - values.mean(1, keepdim=True)) * noise).mean(1)
    one = backend.estimate(lambda t: torch.sin(t[:, 0] + 0.5), theta, seed=7)
    assert float(one.gradient) == pytest.approx(float(found[7]))
    truth = np.exp(-0.5) * np.cos(0.5)
    mean_f, mean_s = values.mean(1), noise.mean(1)
    difference = found - truth + (mean_f - mean_f.mean()) * mean_s
    assert abs(float(difference.mean() / (difference.std() / 4000**0.5))) < 4.5
    # The bias is real, and small next to the error of one estimate.
    bias = float(((mean_f - mean_f.mean()) * mean_s).mean())
    assert 0.02 < bias < 0.5 * float(found.std())
