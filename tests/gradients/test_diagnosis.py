"""Diagnoses against cases with known answers: growth, contacts, kinks, variances by horizon, and the words for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from carom.envs.testbeds import BallWithWall, Heaviside, Horizon, Quadratic, TentMap
from carom.gradients import Estimate, GradientError, Smoothing
from carom.gradients.diagnosis import (
    TorchSteps,
    contact_changes,
    diagnose,
    nearby_kinks,
    spectrum,
    variance_by_horizon,
)


def last(states):
    return states[-1].sum()


def test_spectrum_of_a_linear_map_is_that_of_its_powers():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    steps = TorchSteps(lambda x, _: matrix @ x, torch.ones(4, dtype=torch.float64), 12, last, step_size=0.5)
    found = spectrum(steps)
    for h in (1, 5, 12):
        exact = torch.linalg.svdvals(torch.linalg.matrix_power(matrix, h))
        # To the rounding of the largest: the smallest is 1e-7 of it after 12 steps.
        torch.testing.assert_close(found.log_singular_values[h - 1].exp(), exact, rtol=0, atol=1e-13 * float(exact[0]))
    # Exponents of a long product tend to the logarithms of the eigenvalues' moduli.
    longer = spectrum(TorchSteps(lambda x, _: matrix @ x, torch.ones(4, dtype=torch.float64), 400, last, step_size=0.5))
    moduli = torch.linalg.eigvals(matrix).abs().log().sort(descending=True).values / 0.5
    torch.testing.assert_close(longer.exponents, moduli, rtol=0, atol=0.02)
    assert found.horizons[-1] == 6.0


def test_leading_rows_find_the_leading_growth():
    matrix = torch.diag(torch.tensor([2.0, 1.5, 0.5, 0.1, 0.1, 0.1], dtype=torch.float64))
    steps = TorchSteps(lambda x, _: matrix @ x, torch.ones(6, dtype=torch.float64), 200, last)
    found = spectrum(steps, leading=2)
    expected = torch.tensor([2.0, 1.5], dtype=torch.float64).log()
    # The random start leaves a constant of order 3 in the logarithm, spread over 200 steps.
    torch.testing.assert_close(found.exponents, expected, rtol=0, atol=0.02)


def test_tent_map_has_the_exponent_log_2():
    steps = TentMap(steps=30).unroll(TentMap().initial_parameters()[None])
    found = spectrum(steps)
    assert found.largest == pytest.approx(math.log(2.0), rel=1e-12)
    assert float(found.log_singular_values[9, 0]) == pytest.approx(10 * math.log(2.0), rel=1e-12)
    # The derivative of the cost with respect to x_t is +-2^(T - t).
    sizes = steps.gradient_by_step[:, 0].abs().log2()
    torch.testing.assert_close(sizes, torch.arange(30, 0, -1, dtype=torch.float64))


class Touching:
    """Two pairs that touch depending on x: wall from step 3 on where x > 0.1, floor in steps 0 to 4 always."""

    name = "touching"

    def __call__(self, x):
        return torch.where(x[:, 0] > 0.1, 2.0 + 3.0 * (x[:, 0] - 0.1), -x[:, 0])

    def contact_history(self, x):
        active = np.zeros((len(x), 8, 2), dtype=bool)
        active[:, :5, 0] = True
        active[:, 3:, 1] = (x[:, :1] > 0.1).numpy()
        if not active[..., 1].any():
            return active[..., :1], ["floor and ball"]
        return active, ["floor and ball", "wall and ball"]


def test_contact_changes_count_the_samples_that_touch_something_else():
    theta, samples = torch.zeros(1, dtype=torch.float64), 2000
    changes = contact_changes(Touching(), theta, scale=0.1, samples=samples, chunk=300)
    share = 1.0 - 0.5 * (1.0 + math.erf(1.0 / math.sqrt(2.0)))  # beyond one standard deviation
    z = (changes.other_pairs - share) / math.sqrt(share * (1.0 - share) / samples)
    assert abs(z) < 4.5  # false alarm: 7e-6
    (pair,) = changes.pairs
    assert (pair.name, pair.at_theta, pair.first_step) == ("wall and ball", False, 3)
    assert changes.other_order == changes.other_steps == changes.other_pairs == pair.other


def test_kinks_are_found_where_they_are():
    kinks = nearby_kinks(Touching(), torch.zeros(1, dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64))
    (kink,) = kinks
    assert kink.distance == pytest.approx(0.5, abs=1e-12)
    assert (kink.pair, kink.step, kink.made) == ("wall and ball", 3, True)
    assert kink.jump == pytest.approx(2.1, abs=1e-9)
    assert kink.slope_before == pytest.approx(-0.2)
    assert kink.slope_after == pytest.approx(0.6)
    assert "wall and ball makes contact in step 3" in str(kink)
    # From the other side the same, with its sign.
    behind = nearby_kinks(
        Touching(), torch.full((1,), 0.3, dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)
    )
    assert [(round(k.distance, 9), k.made) for k in behind] == [(-0.5, True)]
    assert nearby_kinks(Touching(), torch.zeros(1), torch.tensor([0.05])) == ()


def test_variances_by_horizon_follow_the_law_of_the_tent_map():
    """One sample of the first order has the variance 4^T; one of the zeroth 1/(12 scale^2), whatever T."""
    tent, samples, scale = TentMap(), 4000, 0.1
    curve = variance_by_horizon(
        tent,
        tent.initial_parameters(),
        [4, 6, 8],
        first=Smoothing(scale=scale, samples=samples, order="first", antithetic=False),
        zeroth=Smoothing(scale=scale, samples=samples, antithetic=False),
    )
    for horizon, first, zeroth in zip(curve.horizons, curve.first, curve.zeroth, strict=True):
        # +-2^T with even odds: the variance of the estimate is known to about 1/samples; 3 % is far beyond.
        assert first * samples == pytest.approx(4.0**horizon, rel=0.03)
        # Kurtosis of (f - mean) w / scale is below 6: its sample variance has a relative error below 4 %.
        assert zeroth * samples == pytest.approx(1.0 / (12.0 * scale**2), rel=0.16)
    assert curve.crossing == 0.0


def test_crossing_of_the_variances():
    """x+ = a x + u: first order S^2, zeroth (T + 1) S x_T^2 / sigma^2 + ..., here found by their closed forms."""

    def at_horizon(steps):
        return Horizon(steps=steps)

    law = [(1.0, 4.0), (2.0, 4.0), (8.0, 4.0)]

    class Fake:
        def __init__(self, column):
            self.column, self.calls = column, 0

        def estimate(self, objective, theta, *, seed=0):
            variance = law[self.calls][self.column]
            self.calls += 1
            zero = torch.zeros(1, dtype=torch.float64)
            return Estimate(zero[0], zero, torch.full_like(zero, math.sqrt(variance)), 1, 0.0)

    curve = variance_by_horizon(
        Horizon(), torch.zeros(1), [10, 20, 40], first=Fake(0), zeroth=Fake(1), at_horizon=at_horizon
    )
    assert curve.crossing == pytest.approx(30.0)  # halfway between 20 and 40 in the logarithm: 2 to 8, through 4


@pytest.mark.parametrize(
    ("objective", "theta", "scale", "expected"),
    [
        (Heaviside(), [0.01], 0.05, {"autodiff": "blind", "first": "blind", "zeroth": ""}),
        (
            Quadratic(),
            [1.0, -0.5],
            0.05,
            {"autodiff": "", "first": "", "zeroth": ""},
        ),
        (BallWithWall(), [0.6], 0.1, {"first": "biased by jumps", "zeroth": ""}),
        (TentMap(), [0.316], 0.01, {"autodiff": "overwhelmed by growth", "first": "overwhelmed by growth"}),
    ],
    ids=lambda thing: getattr(thing, "name", ""),
)
def test_verdicts(objective, theta, scale, expected):
    diagnosis = diagnose(objective, torch.tensor(theta, dtype=torch.float64), scale=scale, samples=4000)
    for name, words in expected.items():
        found = diagnosis.verdicts[name]
        assert found.cause == words, diagnosis.verdicts
        if not words:
            assert found.label == "agrees", found
        elif words != "overwhelmed by growth":
            assert found.label == "differs", found
    assert all(name in diagnosis.summary() for name in expected)


def test_verdict_names_the_contact_that_theta_does_not_make():
    class Blind(Touching):
        def __call__(self, x):
            return (x[:, 0] > 0.1).to(x.dtype)

        def value_and_gradient(self, x):
            return self(x), torch.zeros_like(x)

    diagnosis = diagnose(Blind(), torch.zeros(1, dtype=torch.float64), scale=0.15, samples=2000)
    assert "wall and ball is not touched by theta and is by 2" in diagnosis.verdicts["autodiff"].text
    assert diagnosis.kinks[0].distance == pytest.approx(-2 / 3, abs=1e-9)  # descent leads away from the wall


def test_nothing_touched_is_nothing_seen():
    """All gradients are zero, and so is every difference: that is no ground to believe any."""

    def flat(x):
        return 0.0 * x.sum(1)

    diagnosis = diagnose(flat, torch.zeros(2, dtype=torch.float64), scale=0.1, samples=64)
    assert {found.label for found in diagnosis.verdicts.values()} == {"nothing seen"}


def test_a_backend_without_a_gradient_has_a_verdict_too():
    class Rigid:
        """Has no exact gradient."""

        def __call__(self, x):
            return x.detach().square().sum(1)

    diagnosis = diagnose(Rigid(), torch.ones(2, dtype=torch.float64), samples=64)
    assert set(diagnosis.errors) == {"autodiff", "first"}
    for name, error in diagnosis.errors.items():
        assert diagnosis.verdicts[name].label == "failed"
        assert diagnosis.verdicts[name].text == f"no gradient: {error}"


def test_refusals():
    theta = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(GradientError, match="contact_history"):
        contact_changes(Quadratic(), torch.zeros(2))
    with pytest.raises(GradientError, match="at_horizon"):
        variance_by_horizon(Quadratic(), theta, [1], first=Smoothing(), zeroth=Smoothing())
    with pytest.raises(GradientError, match="ascend"):
        variance_by_horizon(TentMap(), theta, [4, 2], first=Smoothing(), zeroth=Smoothing())
    with pytest.raises(GradientError, match="one theta"):
        diagnose(Quadratic(), torch.zeros(3, 2))
    with pytest.raises(GradientError, match="direction"):
        nearby_kinks(Touching(), theta, torch.zeros(1))
    with pytest.raises(GradientError, match="leading"):
        spectrum(TentMap().unroll(theta[None]), leading=0)
