"""The softened backend: on objectives of known answer, and on the push, against randomized smoothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from scipy import integrate, stats

import carom
from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import Autodiff, CentralDifferences, GeometricWidth, GradientError, Softened


@dataclass
class Cubes:
    """Knows nothing of contacts: what it offers is all that the backend sees."""

    softening_width = {"log_barrier": 0.25}  # noqa: RUF012
    power: float = 3.0

    def __call__(self, theta):
        return (theta**self.power).sum(1)

    def softened(self, kind, width, *, forward):
        self.asked = (kind, width, forward)
        return lambda theta: width * self(theta)


def test_asks_the_objective_for_a_softened_one_and_differentiates_that():
    objective, theta = Cubes(), torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    estimate = Softened(width=0.5, forward=True).estimate(objective, theta)
    assert objective.asked == ("softplus", 0.5, True)
    torch.testing.assert_close(estimate.gradient, 0.5 * 3.0 * theta**2)
    torch.testing.assert_close(estimate.value, 0.5 * (theta**3).sum(1))
    assert estimate.standard_error is None
    assert estimate.evaluations == 2
    own = Softened(kind="log_barrier").estimate(objective, theta[0])
    assert objective.asked == ("log_barrier", 0.25, False)
    assert own.diagnostics["width"] == 0.25
    torch.testing.assert_close(own.gradient, 0.25 * 3.0 * theta[0] ** 2)


@pytest.mark.parametrize("kind", ["softplus", "log_barrier"])
def test_gap_push_is_the_mean_over_the_matching_noise(kind):
    """The scalar contact: value and gradient are those of smoothing by logistic or Student-t noise, to 1e-10."""
    width, gap = 0.01, 0.03
    theta = torch.tensor([[-0.1], [0.0], [0.029], [0.03], [0.05], [0.2]], dtype=torch.float64)
    found = Softened(width=width, kind=kind, forward=True).estimate(GapPush(gap=gap), theta)
    slopes = Softened(width=width, kind=kind, forward=False).estimate(GapPush(gap=gap), theta)
    torch.testing.assert_close(slopes.value, GapPush(gap=gap)(theta), rtol=0, atol=0)
    torch.testing.assert_close(slopes.gradient, found.gradient, rtol=0, atol=0)
    noise = {"softplus": stats.logistic(), "log_barrier": stats.t(df=2)}[kind]
    for u, value, slope in zip(theta[:, 0].tolist(), found.value, found.gradient[:, 0], strict=True):
        t = (u - gap) / width
        tail, _ = integrate.quad(noise.sf, -t, math.inf, epsabs=1e-14, epsrel=1e-13, limit=500)
        assert float(value) == pytest.approx(width * tail, abs=1e-10)
        assert float(slope) == pytest.approx(noise.sf(-t), abs=1e-10)


def test_refusals():
    with pytest.raises(GradientError, match="'heaviside' has no contacts to soften"):
        Softened().estimate(carom.envs.make("heaviside"), torch.zeros(1))
    with pytest.raises(GradientError, match=r"'quadratic' has no contacts to soften.*use Smoothing"):
        Softened(width=0.01).estimate(Quadratic(), torch.zeros(2))
    with pytest.raises(GradientError, match=r"no softening_width\['softplus'\] of its own: say at what distance"):
        Softened().estimate(Cubes(), torch.zeros(2))
    for width in (0.0, -1.0, math.nan, True, "wide"):
        with pytest.raises(GradientError, match="give a positive distance"):
            Softened(width=width)
        with pytest.raises(GradientError, match="give a positive distance"):
            GeometricWidth(first=width, last=0.1, iterations=10)
    with pytest.raises(GradientError, match=r"unknown kind 'softplush'. Did you mean 'softplus'"):
        Softened(width=0.01, kind="softplush")
    with pytest.raises(GradientError, match="give True or False"):
        Softened(width=0.01, forward="backward")
    with pytest.raises(GradientError, match="iterations is 3: give an integer of at least 6"):
        GeometricWidth(first=1.0, last=0.1, iterations=3)


def test_widths_shrink_in_equal_ratios():
    schedule = GeometricWidth(first=8e-3, last=1e-3, iterations=10, stages=4)
    widths = [schedule(i) for i in range(13)]
    assert widths[0] == 8e-3
    assert widths[9:] == pytest.approx([1e-3] * 4)
    assert sorted(set(widths), reverse=True) == pytest.approx([8e-3, 4e-3, 2e-3, 1e-3])


@pytest.fixture(scope="module")
def push():
    """One way-point, the pusher 3 cm from the box."""
    return carom.envs.make("push", start="apart", way_points=1, duration=1.0, dtype="float64")


def test_softened_push_points_where_randomized_smoothing_does(push):
    """The exact gradient is zero. The loss of cosine by noise is half the square of the reference's error across
    its own direction: with a standard error of 5 %, more than 0.01 in 0.5 % of seeds."""
    theta = push.initial_parameters()
    assert not Autodiff().estimate(push, theta).gradient.any()
    reference = CentralDifferences(scale=push.smoothing_scale, samples=640).estimate(push, theta, seed=1)
    along = reference.gradient / reference.gradient.norm()
    across = torch.stack([-along[1], along[0]])
    assert float((across * reference.standard_error).norm()) < 0.06 * float(reference.gradient.norm())
    for kind, widths in (("softplus", (3e-3, 4e-3, 8e-3)), ("log_barrier", (3e-4, 1e-3, 4e-3))):
        for width in widths:
            estimate = Softened(width=width, kind=kind).estimate(push, theta)
            assert float(estimate.value) == float(push(theta[None]))
            cosine = torch.nn.functional.cosine_similarity(estimate.gradient, reference.gradient, dim=0)
            assert cosine > 0.95, (kind, width, cosine)


def test_descent_with_a_schedule_crosses_the_gap(push):
    """A normalized step of 1 cm along each gradient: the exact one does not move, the softened one lowers the cost."""

    def descend(backend_of):
        theta = push.initial_parameters()
        for i in range(15):
            gradient = backend_of(i).estimate(push, theta).gradient
            theta = theta - 0.01 * gradient / gradient.norm().clamp_min(1e-12)
        return float(push(theta[None]))

    start = float(push(push.initial_parameters()[None]))
    assert descend(lambda i: Autodiff()) == start
    schedule = GeometricWidth(first=4e-3, last=1e-3, iterations=15, stages=3)
    assert descend(lambda i: Softened(width=schedule(i))) < 0.5 * start


def test_softened_copies_of_a_task_are_kept(push):
    first = push.softened("softplus", 4e-3, forward=False)
    assert push.softened("softplus", 4e-3, forward=False) is first
    assert first.simulator is not push.simulator
    assert first.parameter_names == push.parameter_names
