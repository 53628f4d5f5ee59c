"""The boundary term against closed forms. Seeds are fixed; a z-test at 4.5 fails a right estimator with 7e-6."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import i1e

from carom.envs.testbeds import GapPush, GrazingPush, Heaviside, Quadratic
from carom.gradients import Boundary, GradientError, Smoothing

from .repeats import repeat

Z = 4.5
SCALE = 0.3


class Disc:
    """1 inside the circle of radius 1 about the origin, else 0."""

    name = "disc"

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, x):
        self.rows += len(x)
        return (x.norm(dim=1) < 1.0).to(x.dtype)

    def value_and_gradient(self, x):
        return self(x), torch.zeros_like(x)

    @staticmethod
    def smoothed_gradient(x, scale):
        """-(1/s^2) exp(-(r^2 + 1)/2 s^2) I1(r/s^2), outwards: the derivative of the noncentral chi's distribution."""
        r = float(x.norm())
        slope = -math.exp(-((r - 1.0) ** 2) / (2 * scale**2)) * i1e(r / scale**2) / scale**2
        return slope * x / r


class DiscByDistance(Disc):
    def events(self, x):
        return x.norm(dim=1, keepdim=True) - 1.0


class DiscByLabel(Disc):
    def events(self, x):
        return x.norm(dim=1, keepdim=True) < 1.0


class HalfPlane:
    """2 where n.x > 0.1, plus a slope; the jump is 2 at a distance of (n.x - 0.1) over |n|."""

    name = "half plane"

    def __init__(self, dimension):
        self.n = torch.linspace(1.0, 2.0, dimension, dtype=torch.float64)

    def __call__(self, x):
        return 2.0 * (x @ self.n > 0.1).to(x.dtype) + x.sin().sum(1)

    def value_and_gradient(self, x):
        return self(x), x.cos()

    def smoothed_gradient(self, x, scale):
        spread = scale * float(self.n.norm())
        z = (float(x @ self.n) - 0.1) / spread
        jump = 2.0 * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) / spread * self.n
        return jump + x.cos() * math.exp(-(scale**2) / 2)


@pytest.mark.parametrize("continuous", ["pathwise", "line"])
@pytest.mark.parametrize("objective", [Heaviside(), GrazingPush()], ids=["heaviside", "grazing"])
def test_one_dimension_has_no_sampling_error(objective, continuous):
    theta = 0.5 * objective.initial_parameters()
    backend = Boundary(scale=0.05, samples=4, continuous=continuous, resolution=1e-6)
    estimate = backend.estimate(objective, theta)
    torch.testing.assert_close(estimate.gradient, objective.smoothed_gradient(theta, 0.05), rtol=1e-6, atol=0)
    assert estimate.diagnostics["jumps_per_line"] == (1.0 if isinstance(objective, Heaviside) else 2.0)


@pytest.mark.parametrize("kind", [Disc, DiscByDistance, DiscByLabel])
@pytest.mark.parametrize("directions", ["axes", "random"])
def test_disc(kind, directions):
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    backend = Boundary(scale=SCALE, samples=32, directions=directions, grid=32)
    runs = repeat(backend, kind(), theta, 40)
    # An interval of the grid can hold both ends of a chord: shorter than 0.25 scales, a bias below 0.1 % here.
    z = runs.z_of_mean(Disc.smoothed_gradient(theta, SCALE))
    assert float(z.abs().max()) < Z
    assert 0.6 < runs.honesty() < 1.5  # its own sampling error over 40 seeds is 16 %


@pytest.mark.parametrize("directions", ["axes", "random"])
@pytest.mark.parametrize("dimension", [1, 2, 6])
def test_half_plane_with_a_slope(dimension, directions):
    objective = HalfPlane(dimension)
    theta = torch.linspace(-0.1, 0.2, dimension, dtype=torch.float64)
    runs = repeat(Boundary(scale=SCALE, samples=16, directions=directions), objective, theta, 60)
    truth = objective.smoothed_gradient(theta, SCALE)
    z = runs.z_of_mean(truth)
    # In one dimension the line gives the jump to the resolution, and only the slope is sampled.
    assert float(z.abs().max()) < Z
    assert 0.6 < runs.honesty() < 1.5


def test_low_discrepancy_samples():
    """The rest, which is sampled, is smooth: one table of scrambled Sobol' points has a thirtieth of the variance."""
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    plain = repeat(Boundary(scale=SCALE, samples=32), DiscByDistance(), theta, 60)
    runs = repeat(Boundary(scale=SCALE, samples=32, sampling="rqmc", replications=4), DiscByDistance(), theta, 60)
    assert float(runs.z_of_mean(Disc.smoothed_gradient(theta, SCALE)).abs().max()) < Z
    # Four replications of eight points each: less gain, and a spread of 3 degrees of freedom.
    assert float(runs.variance()) < 0.5 * float(plain.variance())
    assert 0.5 < runs.honesty() < 2.0
    dependent = Boundary(scale=SCALE, samples=32, sampling="rqmc").estimate(DiscByDistance(), theta)
    assert dependent.standard_error is None


def test_matrix_scale():
    """A linear map of the disc's plane: the gradient is that of the disc, pulled back."""
    matrix = torch.tensor([[0.3, 0.1], [0.0, 0.2]], dtype=torch.float64)
    turn = torch.linalg.inv(matrix) * SCALE

    def ellipse(x):
        return ((x @ turn.T).norm(dim=1) < 1.0).to(x.dtype)

    theta = torch.linalg.solve(turn, torch.tensor([0.9, 0.3], dtype=torch.float64))
    backend = Boundary(scale=matrix, samples=64, continuous="line", sampling="rqmc", replications=4)
    runs = repeat(backend, ellipse, theta, 40)
    truth = Disc.smoothed_gradient(turn @ theta, SCALE) @ turn
    assert float(runs.z_of_mean(truth).abs().max()) < Z


def test_values_alone():
    """Without gradients: the change between jumps, integrated along the lines."""

    def cost(x):
        return torch.floor(20.0 * x[:, 0]) / 20.0 + torch.sin(7.0 * x[:, 0])

    theta = torch.tensor([0.123], dtype=torch.float64)
    estimate = Boundary(scale=0.05, samples=8, continuous="line").estimate(cost, theta)
    # Steps of 1/20 every 1/20: 1 on the average, up to exp(-2 pi^2) = 3e-9 of ripple.
    truth = 1.0 + 7.0 * math.cos(7.0 * 0.123) * math.exp(-49.0 * 0.05**2 / 2)
    assert abs(float(estimate.gradient) / truth - 1.0) < 2e-3  # linear interpolation: (7 h)^2 / 12 with h = 0.025
    # Steps of 0.05 beyond 2 scales are below smallest_jump there (0.02 of a spread of 0.35, over exp(-t^2/2)): they
    # count with the slope instead of as jumps.
    assert estimate.diagnostics["jumps_per_line"] == 4.0


@pytest.mark.parametrize("continuous", ["pathwise", "line"])
def test_no_jump_is_found_where_there_is_none(continuous):
    for objective in (Quadratic(), GapPush(gap=0.03)):
        theta = objective.initial_parameters()
        estimate = Boundary(scale=0.05, samples=32, continuous=continuous).estimate(objective, theta)
        assert estimate.diagnostics["jumps"] == 0
        error = estimate.standard_error.clamp_min(1e-3 * float(estimate.gradient.norm()))
        z = (estimate.gradient - objective.smoothed_gradient(theta, 0.05)) / error
        assert float(z.abs().max()) < Z


def test_less_variance_than_the_zeroth_order_where_events_are_cheap():
    """About 80 rollouts each; measured 4 times less. The bound of 2 is 5 standard errors of this measurement away."""
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    backend = Boundary(scale=SCALE, samples=16)
    runs = repeat(backend, DiscByLabel(), theta, 100)
    rows = backend.estimate(DiscByLabel(), theta).evaluations
    plain = repeat(Smoothing(scale=SCALE, samples=rows, antithetic=False), Disc(), theta, 100)
    assert float(runs.variance()) < 0.5 * float(plain.variance())


def test_batch_equals_single_calls_and_chunks_change_nothing():
    objective, backend = HalfPlane(2), Boundary(scale=SCALE, samples=8)
    thetas = torch.tensor([[0.0, 0.1], [0.3, -0.2]], dtype=torch.float64)
    together = backend.estimate(objective, thetas, seed=3)
    for i, theta in enumerate(thetas):
        torch.testing.assert_close(backend.estimate(objective, theta, seed=3).gradient, together.gradient[i])
    small = Boundary(scale=SCALE, samples=8, chunk=7).estimate(objective, thetas, seed=3)
    torch.testing.assert_close(small.gradient, together.gradient, rtol=1e-12, atol=0)
    assert small.evaluations == together.evaluations


def test_evaluations_are_counted():
    disc = DiscByLabel()
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    assert Boundary(scale=SCALE).estimate(disc, theta).evaluations == disc.rows
    disc = Disc()
    assert Boundary(scale=SCALE, continuous="line").estimate(disc, theta).evaluations == disc.rows


def test_events_cost_no_rollouts():
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    by = {kind: Boundary(scale=SCALE).estimate(kind(), theta) for kind in (Disc, DiscByDistance, DiscByLabel)}
    assert by[DiscByLabel].evaluations < 0.2 * by[Disc].evaluations
    # A distance is found by interpolation in fewer steps than a label by halving.
    asked = {kind: by[kind].diagnostics["event_evaluations"] for kind in (DiscByDistance, DiscByLabel)}
    grid = 16 * 2 * 17
    assert asked[DiscByDistance] - grid < 0.7 * (asked[DiscByLabel] - grid)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "positive"),
        ({"samples": 1}, "samples"),
        ({"directions": "axis"}, "Did you mean 'axes'"),
        ({"continuous": "none"}, "continuous"),
        ({"grid": 2}, "grid"),
        ({"reach": -1.0}, "reach"),
        ({"resolution": 0.0}, "resolution"),
        ({"smallest_jump": 0.0}, "smallest_jump"),
        ({"lines": 0}, "lines"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(GradientError, match=message):
        Boundary(**options)


def test_refusals():
    theta = torch.tensor([0.9, 0.3], dtype=torch.float64)
    with pytest.raises(GradientError, match="orthogonal"):
        Boundary(directions="random", lines=3).estimate(Disc(), theta)
    with pytest.raises(GradientError, match="no jump of 'disc' was found on 32 lines"):
        Boundary(scale=0.01, expect_jumps=True).estimate(Disc(), torch.zeros(2))
    with pytest.raises(GradientError, match='continuous="line"'):
        Boundary().estimate(lambda x: x[:, 0].detach() ** 2, theta)

    class Bad(Disc):
        def events(self, x):
            return x[:, 0]

    with pytest.raises(GradientError, match="events of 'disc'"):
        Boundary().estimate(Bad(), theta)
