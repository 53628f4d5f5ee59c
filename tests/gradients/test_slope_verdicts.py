"""Intervals of the bias and the verdicts that follow, on units whose truth is planted: coverage and false statements.

Every count is held against a binomial bound with the stated false-alarm rate; all seeds are fixed.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from carom.gradients import Autodiff, Smoothing
from carom.gradients.diagnosis.slope import slope_verdict
from carom.gradients.diagnosis.slope_reference import SlopeReference, slope_reference
from carom.gradients.diagnosis.trust import trust_band
from carom.gradients.statistics.bias_interval import length_interval, length_of_difference
from carom.gradients.statistics.units import UnitSummary, summarize

ALARM = 1e-6


def units(kind: str, count: int, parameters: int, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(count, parameters, dtype=torch.float64, generator=generator)
    if kind == "anisotropic":
        return noise * torch.logspace(0, -2, parameters, dtype=torch.float64)
    if kind == "rare":
        event = (torch.rand(count, 1, generator=generator, dtype=torch.float64) < 0.1).double()
        return event * (1.0 + 0.3 * noise) - 0.1
    return noise


SIZES = [(16, 1), (64, 8), (300, 2), (64, 60)]
CASES = [
    (kind, *size) for kind in ("normal", "anisotropic", "rare") for size in SIZES if (kind, size) != ("rare", (16, 1))
]


@pytest.mark.parametrize(("kind", "count", "parameters"), CASES)
@pytest.mark.parametrize("bias", [0.0, 1.0, 4.0])
def test_each_bound_is_passed_by_at_most_one_in_a_hundred(kind: str, count: int, parameters: int, bias: float) -> None:
    """200 repetitions a case; twice the nominal 1 % is allowed, with a binomial bound of 1e-6 on top.

    Sixteen units of which one in ten is an event have no bounds: the verdict then makes no statement (tested below).
    """
    generator = torch.Generator().manual_seed(1)
    sample = units(kind, 20_000, parameters, generator)
    error = math.sqrt(float(sample.var(0).sum()) / count)
    shift = torch.zeros(parameters, dtype=torch.float64)
    shift[0] = bias * error
    above = below = 0
    for _ in range(200):
        low, high = length_interval(summarize(units(kind, count, parameters, generator) + shift))
        above += low > bias * error
        below += high < bias * error
    most = int(stats.binom.isf(ALARM, 200, 0.02))
    assert above <= most, (above, most)
    assert below <= most, (below, most)


def test_exact_numbers_have_exact_lengths() -> None:
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]])
    assert length_of_difference(summarize(a), summarize(b)) == (5.0, 5.0)
    assert length_of_difference(summarize(a), UnitSummary.zero(2)) == (5.0, 5.0)


def reference(units_: torch.Tensor) -> SlopeReference:
    parameters = units_.shape[1]
    return SlopeReference(units_, torch.eye(parameters, dtype=torch.float64), torch.ones(parameters).double(), 4000)


@pytest.mark.parametrize("repetitions", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bias", [0.0, 0.15, 0.35, 1.0])
@pytest.mark.parametrize("noise", [0.02, 0.3, 2.0])
def test_planted_biases_are_never_judged_falsely(bias: float, noise: float, repetitions: int) -> None:
    """4 parameters, 16 seeds against 100 units; at most 1 % of the comparisons may be false (bound of 1e-6)."""
    generator = torch.Generator().manual_seed(7)
    truth = torch.tensor([1.0, -2.0, 0.5, 1.5], dtype=torch.float64)
    norm = float(truth.norm())
    wrong = truth + bias * norm * torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    labels: dict[str, int] = {}
    for _ in range(repetitions):
        mine = wrong + noise * norm * torch.randn(16, 4, generator=generator, dtype=torch.float64)
        theirs = truth + noise * norm * torch.randn(100, 4, generator=generator, dtype=torch.float64)
        label = slope_verdict(mine, reference(theirs), rollouts=16).label
        labels[label] = labels.get(label, 0) + 1
    false = labels.get("differs" if bias < 0.25 else "agrees", 0)
    assert false <= stats.binom.isf(ALARM, repetitions, 0.01), labels
    if noise == 0.02:  # and with little noise they are judged
        assert labels["agrees" if bias < 0.25 else "differs"] > 0.95 * repetitions, labels


def test_words_for_zero_nothing_and_not_finite() -> None:
    truth = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    known = reference(truth + 0.01 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double())
    zero = slope_verdict(torch.zeros(16, 2), known, rollouts=8)
    assert (zero.label, zero.zero) == ("differs", True)
    assert "cannot see it" in zero.text
    nothing = slope_verdict(torch.zeros(1, 2), reference(torch.zeros(50, 2)), rollouts=8)
    assert nothing.label == "nothing seen"
    assert "4,000 rollouts" in nothing.text
    assert "no slope of zero" in nothing.text
    own = slope_verdict(truth, reference(torch.zeros(50, 2)), rollouts=8)
    assert own.label == "nothing seen"
    assert "own gradient is not 0" in own.text
    bad = slope_verdict(torch.tensor([[1.0, math.nan]]), known, rollouts=8)
    assert bad.label == "not finite"


def test_few_events_are_no_ground_for_a_statement() -> None:
    rare = torch.zeros(500, 1, dtype=torch.float64)
    rare[:9] = 5.0
    found = slope_verdict(torch.full((1, 1), 0.09), reference(rare), rollouts=8)
    assert found.label == "cannot tell"
    assert "only 9 of the reference's 500" in found.text


def test_few_estimates_that_saw_anything_are_no_ground_either() -> None:
    generator = torch.Generator().manual_seed(0)
    known = reference(1.0 + 0.01 * torch.randn(100, 1, generator=generator, dtype=torch.float64))
    mine = torch.zeros(16, 1, dtype=torch.float64)
    mine[:2] = 0.1
    found = slope_verdict(mine, known, rollouts=8)
    assert found.label == "cannot tell"
    assert "only 2 of its 16 estimates" in found.text


def test_the_variance_is_the_backends_own_unless_the_spread_is_far_wider() -> None:
    generator = torch.Generator().manual_seed(0)
    known = reference(1.0 + 0.01 * torch.randn(100, 1, generator=generator, dtype=torch.float64))
    mine = 1.0 + 0.1 * torch.randn(16, 1, generator=generator, dtype=torch.float64)
    spread = float(mine.var())
    own = slope_verdict(mine, known, rollouts=8, errors=torch.full((16, 1), 0.09)).variance
    assert own == pytest.approx(0.09**2, rel=0.05)
    assert slope_verdict(mine, known, rollouts=8, errors=torch.full((16, 1), 0.01)).variance == pytest.approx(
        spread, rel=0.05
    )


def test_a_coordinate_that_does_not_matter_decides_nothing() -> None:
    """Off by a hundred standard errors in a parameter of a thousandth of the slope."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([1.0, 0.0], dtype=torch.float64)
    theirs = truth + torch.tensor([1e-2, 1e-5]).double() * torch.randn(100, 2, generator=generator, dtype=torch.float64)
    assert slope_verdict(torch.tensor([[1.0, 1e-3]]), reference(theirs), rollouts=1).label == "agrees"


def test_the_reference_is_the_slope_of_the_average_in_either_form() -> None:
    """E (theta + s w)^3 has slope 3 (theta^2 + s^2): all coordinates, and along random directions."""

    def cubic(theta: torch.Tensor) -> torch.Tensor:
        return (theta**3).sum(1)

    theta = torch.linspace(-1.0, 1.0, 60, dtype=torch.float64)
    truth = 3.0 * (theta**2 + 0.3**2) * 0.3
    for rollouts, complete in ((30_000, True), (3_000, False)):
        found = slope_reference(cubic, theta, 0.3, rollouts=rollouts, seed=1)
        assert found.complete is complete
        summary = found.summary
        distance = summary.mean - found.along(truth[None] / 0.3)[0]
        # |D|^2 of an unbiased mean is tr S on average; its square root is passed threefold by less than 1e-6
        assert float(distance.norm()) < 3.0 * math.sqrt(summary.trace)
        assert slope_verdict(truth[None] / 0.3, found, rollouts=1).label == "agrees"
        assert slope_verdict(torch.zeros(1, 60), found, rollouts=1).label == "differs"


def test_difference_and_noise_together_average_over_the_scale() -> None:
    """E (s w)^3 has slope 3 s^2 at 0; noise of the full scale beside the difference would make it 8 % more.

    A unit of 3 (s w)^2 has a standard deviation of sqrt(2) of its mean: 20,000 know it to 1 %; 4.9 of that is 1e-6.
    """
    found = slope_reference(lambda rows: (rows**3).sum(1), torch.zeros(1).double(), 0.1, rollouts=80_000, seed=2)
    assert float(found.summary.mean) == pytest.approx(3.0 * 0.1**2 * 0.1, rel=0.049)


def test_a_reference_that_grows_is_the_larger_one_and_makes_no_unit_twice() -> None:
    rows = []

    def bowl(theta: torch.Tensor) -> torch.Tensor:
        rows.append(len(theta))
        return theta.exp().sum(1)

    theta = torch.tensor([0.3, -0.2], dtype=torch.float64)
    small = slope_reference(bowl, theta, 0.1, rollouts=1024, seed=3)
    rows.clear()
    grown = slope_reference(bowl, theta, 0.1, rollouts=2048, seed=3, known=small)
    assert sum(rows) == 1024
    assert grown.rollouts == 2048
    assert torch.equal(grown.units, slope_reference(bowl, theta, 0.1, rollouts=2048, seed=3).units)


def test_trusted_lengths_of_a_parabola_and_of_a_ripple() -> None:
    """f = x^2 at 1: the decrease of a step d is 2d - d^2, right within 25 % up to d = 1/2, of 2d."""
    theta, scale = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.1, dtype=torch.float64)

    def parabola(rows: torch.Tensor) -> torch.Tensor:
        return rows.square().sum(1)

    exact = Autodiff().estimate(parabola, theta).gradient[None]
    found = trust_band(parabola, theta, scale, exact)
    assert (found.label, found.low) == ("trusted", 0.0)
    assert found.high == pytest.approx(4.0)  # the greatest length of the grid within 5 noise scales

    def ripple(rows: torch.Tensor) -> torch.Tensor:
        return rows.square().sum(1) + 1e-3 * torch.sin(2000.0 * rows).sum(1)

    exact = Autodiff().estimate(ripple, theta).gradient[None]
    smooth = torch.stack([Smoothing(0.1, 4096).estimate(ripple, theta, seed=seed).gradient for seed in range(3)])
    assert trust_band(ripple, theta, scale, exact).label in ("nowhere", "cannot tell")
    averaged = trust_band(ripple, theta, scale, smooth, draws=256, seed=1)
    assert averaged.label == "trusted"
    assert 2.0 <= (averaged.high or 0.0) <= 5.7
    assert trust_band(ripple, theta, scale, torch.zeros(1, 1)).label == "no direction"
    assert trust_band(ripple, theta, scale, torch.full((1, 1), math.nan)).label == "not finite"
