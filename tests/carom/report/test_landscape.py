"""The map over two parameters against closed forms, and how many rollouts a comparison takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import carom
from carom.comparison.budget import MOST, Budget
from carom.comparison.landscape import cost_over_plane
from carom.gradients import GradientError

SIGMA = torch.tensor([0.1, 0.3, 0.2], dtype=torch.float64)


@pytest.mark.parametrize("spacing", [1.0 / 3.0, 1.0])
def test_a_quadratic_is_lifted_by_half_the_trace(spacing: float) -> None:
    """E f(x + w) = f(x) + tr(H S)/2, in the two parameters of the map exactly, though the grid is coarse."""
    hessian = torch.tensor([[2.0, 0.7], [0.7, 1.0]], dtype=torch.float64)

    def cost(theta: torch.Tensor) -> torch.Tensor:
        x = theta[:, [2, 0]]
        return 0.5 * torch.einsum("ni,ij,nj->n", x, hessian, x)

    theta = torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64)
    plane = cost_over_plane(cost, theta, (2, 0), SIGMA, seed=0, hard_points=9, spacing=spacing)
    assert plane.scale == (0.2, 0.1)

    def at(dx: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
        y, x = torch.meshgrid(theta[0] + dy, theta[2] + dx, indexing="ij")
        return 0.5 * (hessian[0, 0] * x * x + 2 * hessian[0, 1] * x * y + hessian[1, 1] * y * y)

    torch.testing.assert_close(plane.hard, at(plane.hard_x, plane.hard_y), atol=1e-14, rtol=0)
    lift = 0.5 * float(hessian[0, 0] * 0.2**2 + hessian[1, 1] * 0.1**2)
    inner = slice(round(2 / spacing), -round(2 / spacing))  # four standard deviations from where the grid ends
    smooth = plane.smooth[inner, inner] - at(plane.smooth_x, plane.smooth_y)[inner, inner]
    # what lies beyond: at most x^2 on a part of 3e-5 of the noise
    torch.testing.assert_close(smooth, torch.full_like(smooth, lift), atol=2e-3 * lift, rtol=0)
    assert plane.smooth_x[0] == pytest.approx(-4 * 0.2)
    assert plane.evaluations == 81 + (2 * round(6 / spacing) + 1) ** 2


def test_noise_on_the_other_parameters_is_averaged_and_its_error_stated() -> None:
    """f = theta_1: zero on average; the variance is sigma^2 times the sum of squared weights along both axes.

    Along one axis that sum is spacing/(2 sqrt(pi)). The map's mean error is known to a few per cent.

    Mean z^2 over 16 seeds, at the centre: a chi-square of 16 degrees of freedom, within 0.3 to 2.4 but for 1e-3.
    """
    squares, closed = [], 0.3 * (1.0 / 3.0) / (2.0 * math.sqrt(math.pi))
    for seed in range(16):
        plane = cost_over_plane(lambda t: t[:, 1], torch.zeros(3).double(), (0, 2), SIGMA, seed=seed, hard_points=3)
        middle = len(plane.smooth) // 2
        assert float(plane.smooth_error[6:-6, 6:-6].mean()) == pytest.approx(closed, rel=0.15)
        squares.append((float(plane.smooth[middle, middle]) / closed) ** 2)
    assert 0.3 < np.mean(squares) < 2.4


def test_an_objective_that_names_two_parameters_gets_a_map() -> None:
    class Objective:
        landscape_axes = (1, 0)
        parameter_names = ("first", "second")

        def __call__(self, theta: torch.Tensor) -> torch.Tensor:
            return theta[:, 0] ** 2 * theta[:, 1]

    result = carom.compare(
        Objective(), torch.tensor([1.0, -0.5]).double(), backends=("autodiff",), rollouts=200, race=False
    )
    assert result.figure_kinds == ("compare", "slice", "landscape", "parameters", "trust")
    stored = result.as_dict()["landscape"]
    x, y = np.array(stored["hard"]["dx"]), np.array(stored["hard"]["dy"])
    expected = (1.0 + y[:, None]) ** 2 * (x - 0.5)
    np.testing.assert_allclose(stored["hard"]["cost"], expected, atol=1e-14)
    left, right, *_ = result.figure("landscape").axes
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == ("second", "first", "second")


def test_a_budget_scales_every_part() -> None:
    full, small = Budget(), Budget(MOST // 64)
    assert full.slice == {"hard_points": 161, "smooth_points": 21, "samples": 80}
    assert full.landscape == {"hard_points": 41, "spacing": pytest.approx(1 / 3)}
    assert small.slice == {"hard_points": 25, "smooth_points": 9, "samples": 8}
    assert small.landscape == {"hard_points": 9, "spacing": pytest.approx(1.0)}
    with pytest.raises(GradientError, match="rollouts is 7"):
        carom.compare(lambda theta: theta.sum(-1), torch.zeros(2), rollouts=7)
