"""Variances of estimators against the laws of the design, by the scatter over seeds.

With 400 seeds a variance of normal estimates is known to 7 % for one coordinate, better for more (one standard error);
the bounds are at 3.5 standard errors or more: a false alarm in less than one of a thousand.
"""

from __future__ import annotations

import pytest
import torch

from carom.gradients import DISTRIBUTIONS, Smoothing

from .repeats import repeat

SEEDS = 400
GROWTH, START, STEPS, SCALE, SAMPLES = 0.9, 1.2, 6, 0.3, 16
POWERS = torch.tensor([GROWTH**k for k in reversed(range(STEPS))], dtype=torch.float64)
SUM = float(POWERS.square().sum())


class Horizon:
    """x+ = a x + u over STEPS steps, cost x_T^2 / 2 of the controls u."""

    name = "horizon"

    def __call__(self, u):
        x = torch.full_like(u[:, 0], START)
        for step in range(STEPS):
            x = GROWTH * x + u[:, step]
        return 0.5 * x.square()

    def value_and_gradient(self, u):
        end = (2.0 * self(u)).sqrt() * torch.sign(START * GROWTH**STEPS + u @ POWERS)
        return self(u), end[:, None] * POWERS


def test_horizon():
    u = torch.zeros(STEPS, dtype=torch.float64)
    end = START * GROWTH**STEPS
    assert float(Horizon()(u[None])) == pytest.approx(0.5 * end**2)
    first = repeat(Smoothing(scale=SCALE, samples=SAMPLES, order="first", antithetic=False), Horizon(), u, SEEDS)
    assert float(first.variance()) == pytest.approx(SCALE**2 * SUM**2 / SAMPLES, rel=0.3)
    zeroth = repeat(Smoothing(scale=SCALE, samples=SAMPLES, antithetic=False, baseline="value"), Horizon(), u, SEEDS)
    law = ((STEPS + 1) * SUM * end**2 + SCALE**2 / 4 * (STEPS + 4) * 3 * SUM**2) / SAMPLES
    assert float(zeroth.variance()) == pytest.approx(law, rel=0.25)
    assert float(first.variance()) < float(zeroth.variance()) / 10.0


@pytest.mark.parametrize("name", ["gaussian", "logistic", "laplace"])
def test_linear_cost_under_other_noise(name):
    # f(x) subtracted: variance of (a . w) s / N, of trace |a|^2 (E s^2 w^2 - 1 + (d - 1) E w^2 E s^2), with
    # E s^2 w^2 by midpoints of the quantile function.
    kind = DISTRIBUTIONS[name]
    noise = kind().sample((torch.arange(10**6, dtype=torch.float64) + 0.5) / 10**6)
    both = float((kind().score(noise) * noise).square().mean())
    a = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    backend = Smoothing(scale=0.4, samples=32, distribution=name, antithetic=False, baseline="value")
    runs = repeat(backend, lambda t: t @ a, torch.zeros(4, dtype=torch.float64), SEEDS)
    law = float(a.square().sum()) * (both - 1 + 3 * kind.variance * kind.information) / 32
    assert float(runs.variance()) == pytest.approx(law, rel=0.25)


def test_leave_one_out_against_none_and_pairs_on_an_offset():
    # A constant c adds c^2 E s^2 / (scale^2 N) without a baseline, and nothing with one or with pairs.
    theta, offset = torch.zeros(1, dtype=torch.float64), 5.0
    runs = {
        (pairs, baseline): repeat(
            Smoothing(scale=0.2, samples=64, antithetic=pairs, baseline=baseline),
            lambda t: t[:, 0] + offset,
            theta,
            SEEDS,
        )
        for pairs, baseline in ((False, "none"), (False, "leave_one_out"), (True, "none"))
    }
    assert float(runs[False, "none"].variance()) == pytest.approx((offset**2 / 0.04 + 2) / 64, rel=0.3)
    assert float(runs[False, "leave_one_out"].variance()) == pytest.approx(2 / 64, rel=0.4)
    assert float(runs[True, "none"].variance()) == pytest.approx(4 / 64, rel=0.4)
