"""Results of the papers on the testbeds, with our estimators: which order is biased, and which has the variance.

z-tests are at 4.5 standard errors: a false alarm in 150,000 for each, 1 in 5,000 for the whole file.
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs.testbeds import (
    BallWithWall,
    Bounce,
    Curling,
    DiscIndicator,
    DiscPacking,
    DoublePendulum,
    HalfPlane,
    Horizon,
    MomentumTransfer,
    ScalarContact,
    StiffCurling,
    StiffnessSweep,
    TentMap,
)
from carom.gradients import Estimate, Smoothing

Z = 4.5


def estimate(objective, order: str, samples: int, *, theta=None, scale=None, seed: int = 0) -> Estimate:
    """Independent samples, f(theta) subtracted, at the published noise unless said otherwise."""
    theta = objective.initial_parameters() if theta is None else theta
    noise = objective.smoothing_scale if scale is None else scale
    backend = Smoothing(scale=noise, samples=samples, order=order, antithetic=False, baseline="value", chunk=1000)
    return backend.estimate(objective, theta, seed=seed)


def variance(objective, order: str, samples: int, **options) -> float:
    """Trace variance of one sample."""
    return samples * float(estimate(objective, order, samples, **options).diagnostics["trace_variance"])


@pytest.mark.parametrize(
    ("objective", "theta"),
    [
        (BallWithWall(), [0.6]),
        (BallWithWall(), [0.75]),
        (MomentumTransfer(), [0.77]),
        (HalfPlane(), [0.02, -0.01]),
        (DiscIndicator(), [0.09, 0.04]),
        (TentMap(steps=3), [0.3]),
        (ScalarContact(), [-0.03]),
        (Bounce(method="fixed_step"), [0.6]),
        (Horizon(steps=10), [0.1] * 10),
    ],
    ids=lambda o: getattr(o, "name", ""),
)
def test_zeroth_order_averages_to_the_closed_form(objective, theta):
    theta = torch.tensor(theta, dtype=torch.float64)
    scale = objective.smoothing_scale
    found = estimate(objective, "zeroth", 20_000, theta=theta)
    assert bool(((found.gradient - objective.smoothed_gradient(theta, scale)).abs() < Z * found.standard_error).all())
    error = abs(float(found.value - objective.smoothed_value(theta, scale)))
    assert error < Z * found.diagnostics["value_standard_error"]


@pytest.mark.parametrize(
    ("objective", "theta", "missed"),
    [
        # phi(z)/sigma times the height of the jump is what the first order misses
        (BallWithWall(), 0.6, lambda t: -jump(0.692_946_8, t, 0.1) * (0.1002**2 - 0.06**2)),
        (MomentumTransfer(), 0.77, lambda t: jump(math.pi / 4, t, 0.02) * 0.5),
        (Bounce(method="fixed_step"), 0.6, lambda t: -2.0),
    ],
    ids=lambda o: getattr(o, "name", ""),
)
def test_first_order_misses_the_jumps_and_its_error_bar_does_not_tell(objective, theta, missed):
    at = torch.tensor([theta], dtype=torch.float64)
    found = estimate(objective, "first", 20_000, theta=at)
    truth = objective.smoothed_gradient(at, objective.smoothing_scale)
    bias = float(truth - found.gradient)
    assert abs(bias) > 20 * float(found.standard_error)
    assert bias == pytest.approx(missed(theta), rel=0.05)


def jump(place: float, theta: float, sigma: float) -> float:
    """Density of theta + sigma w at a place."""
    return math.exp(-0.5 * ((place - theta) / sigma) ** 2) / (math.sqrt(2.0 * math.pi) * sigma)


def descend(objective, order: str) -> float:
    """Cost without noise after the published descent."""
    plan = objective.experiment
    theta = objective.initial_parameters()
    for step in range(plan.iterations):
        theta = theta - plan.learning_rate * estimate(objective, order, plan.samples, theta=theta, seed=step).gradient
    return float(objective(theta[None]))


def test_published_descent_at_the_pivot():
    # Suh et al. 2022: the first order slides off the pivot, the zeroth stays.
    assert descend(MomentumTransfer(), "first") == 0.0
    assert descend(MomentumTransfer(), "zeroth") < -0.42


@pytest.mark.slow
def test_published_descent_over_the_wall():
    # Suh et al. 2022: the first order stops at the wall, the zeroth gets over it.
    assert descend(BallWithWall(), "first") == pytest.approx(-(0.06**2), abs=1e-12)
    assert descend(BallWithWall(), "zeroth") < -0.0100


def test_stiffness_decides_which_order_has_the_variance():
    soft = {order: variance(Curling(), order, 40) for order in ("first", "zeroth")}
    stiff = {order: variance(StiffCurling(), order, 200) for order in ("first", "zeroth")}
    assert soft["first"] < 1e-3 * soft["zeroth"]
    assert stiff["first"] > 10.0 * stiff["zeroth"]


def test_impact_of_growing_stiffness_and_what_softening_does():
    first = [variance(StiffnessSweep(stiffness=k), "first", 500) for k in (1e2, 1e4, 1e5)]
    zeroth = [variance(StiffnessSweep(stiffness=k), "zeroth", 500) for k in (1e2, 1e5)]
    assert first[0] < zeroth[0] / 100.0
    assert first[1] > 1e4 * first[0]
    assert first[2] > first[1]
    assert 0.2 < zeroth[1] / zeroth[0] < 5.0
    softened = variance(StiffnessSweep(stiffness=1e5, softening=0.01), "first", 500)
    assert softened == pytest.approx(first[0], rel=0.3)


@pytest.mark.parametrize("steps", [5, 10, 20])
def test_tent_map_variance_grows_as_four_to_the_steps(steps):
    # Slopes are +-2^T: the variance is 4^T less the square of a mean that is 2^T/sqrt(samples) at most by chance.
    samples = 2000
    first = variance(TentMap(steps=steps), "first", samples)
    assert 4.0**steps * (1.0 - Z**2 / samples) <= first * (samples - 1) / samples <= 4.0**steps * (1.0 + 1e-9)
    # Zeroth: x_T is uniform and independent of w, so ((1/12) + (1/2 - f)^2)/sigma^2; its fourth moment gives the error.
    f = float(TentMap(steps=steps)(TentMap().initial_parameters()))
    law = (1.0 / 12.0 + (0.5 - f) ** 2) / 0.01
    zeroth = variance(TentMap(steps=steps), "zeroth", samples)
    assert zeroth == pytest.approx(law, rel=Z * math.sqrt(7.0 / samples))


@pytest.mark.parametrize(
    ("make", "short", "long", "samples"),
    [
        (lambda steps: DoublePendulum(steps=steps), 100, 1500, 40),
        (lambda steps: DiscPacking(steps=steps, discs=16), 1, 60, 30),
    ],
    ids=["double_pendulum", "disc_packing"],
)
def test_chaos_makes_the_orders_change_places(make, short, long, samples):
    ratio = [variance(make(t), "first", samples) / variance(make(t), "zeroth", samples) for t in (short, long)]
    assert ratio[0] < 0.8
    assert ratio[1] > 10.0
