"""The landscape of two parameters: raw costs that resume, and the published fit."""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import GradientError
from carom.gradients.learned import cost_on_grid, fit_landscape, load_grid

LOW, HIGH = (-1.0, 0.0), (1.0, 3.0)
THETA = torch.tensor([0.0, 5.0, 0.0], dtype=torch.float64)


class Hill:
    """A smooth hill of the first and the last parameter, with ripples of 1e-3 at a wave length of 1e-3."""

    name = "hill"

    def __init__(self, ripples=0.0, breaks_after=10**9):
        self.ripples, self.breaks_after, self.rows = ripples, breaks_after, 0

    def __call__(self, theta):
        self.rows += len(theta)
        if self.rows > self.breaks_after:
            raise KeyboardInterrupt
        x, _, y = theta.unbind(1)
        ripples = torch.sin(2e3 * math.pi * x) * torch.sin(2e3 * math.pi * y)
        return torch.exp(-(x**2) - (y - 1.5) ** 2) + self.ripples * ripples


def grid_of(objective, points=20, **options):
    return cost_on_grid(objective, THETA, (0, 2), LOW, HIGH, points, **options)


def test_costs_lie_where_they_belong():
    grid = grid_of(Hill(), points=4, chunk=3)
    assert grid.x.tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid.y.tolist() == [0.375, 1.125, 1.875, 2.625]
    assert float(grid.costs[1, 2]) == pytest.approx(math.exp(-(0.25**2) - 0.375**2))
    # differences of a grid fine enough are the gradient
    fine = grid_of(Hill(), points=200)
    x, y = torch.meshgrid(fine.x, fine.y, indexing="xy")
    truth = torch.stack([-2 * x, -2 * (y - 1.5)], -1) * fine.costs[..., None]
    torch.testing.assert_close(fine.differences()[1:-1, 1:-1], truth[1:-1, 1:-1], atol=2e-4, rtol=0)


def test_an_interrupted_run_goes_on(tmp_path):
    path, label = tmp_path / "costs.npz", {"pieces": 10}
    with pytest.raises(KeyboardInterrupt):
        grid_of(Hill(breaks_after=250), path=path, chunk=64, label=label)
    with pytest.raises(GradientError, match="holds 192 of 400 costs: resume"):
        load_grid(path)
    rest, events = Hill(), []
    grid = grid_of(rest, path=path, chunk=64, label=label, progress=events.append)
    assert rest.rows == 400 - 192
    assert [event.done for event in events] == [192, 256, 320, 384, 400]
    assert torch.equal(grid.costs, grid_of(Hill()).costs)
    done = Hill()
    assert torch.equal(grid_of(done, path=path, label=label).costs, grid.costs)
    assert done.rows == 0
    assert torch.equal(load_grid(path).costs, grid.costs)
    for other, words in [({"label": {"pieces": 20}}, "its label is"), ({"points": 21, "label": label}, "its x is")]:
        with pytest.raises(GradientError, match=f"holds another grid: {words}"):
            grid_of(Hill(), path=path, **other)
    path.write_bytes(b"PK damaged")
    with pytest.raises(GradientError, match="not a model that can be read"):
        grid_of(Hill(), path=path)


def test_the_fit_is_smooth_where_the_cost_is_rough():
    smooth = fit_landscape(grid_of(Hill(), points=30), steps=600)
    assert smooth.error < 0.1
    assert smooth.ratio == pytest.approx(1.0, abs=0.1)
    truth = smooth.raw[5:-5, 5:-5]
    # a network of kinks: the gradient is right to some percent on average, not at every point
    assert float((smooth.gradients[5:-5, 5:-5] - truth).norm() / truth.norm()) < 0.2
    torch.testing.assert_close(smooth.costs, smooth.grid.costs, atol=0.1, rtol=0)
    # ripples: slopes of 2 pi at full height, of root mean square 2e3 pi 1e-3 / 2 in each direction
    rough = Hill(ripples=1e-3)
    fit = fit_landscape(grid_of(rough, points=30), steps=600)
    fitted = float(fit.gradients.square().sum(-1).mean().sqrt())
    assert fitted == pytest.approx(float(smooth.gradients.square().sum(-1).mean().sqrt()), rel=0.1)
    short = fit.ratio_over(rough, 1e-5, count=900)
    x, y = fit.grid.points.unbind(1)
    waves = [2e3 * math.pi * u for u in (x, y)]
    by_hand = 2 * math.pi * torch.stack(
        [torch.cos(waves[0]) * torch.sin(waves[1]), torch.sin(waves[0]) * torch.cos(waves[1])], -1
    ) + torch.stack([-2 * x, -2 * (y - 1.5)], -1) * torch.exp(-(x**2) - (y - 1.5) ** 2)[:, None]  # fmt: skip
    assert short == pytest.approx(float(by_hand.square().sum(-1).mean().sqrt()) / fitted, rel=0.01)
    assert short > 3 * fit.ratio


def test_refusals():
    with pytest.raises(GradientError, match="axes is"):
        cost_on_grid(Hill(), THETA, (0, 3), LOW, HIGH)
    with pytest.raises(GradientError, match=r"first axis goes from 1\.0 to -1\.0"):
        cost_on_grid(Hill(), THETA, (0, 2), HIGH, LOW)
    with pytest.raises(GradientError, match="points is 1"):
        grid_of(Hill(), points=1)
    with pytest.raises(GradientError, match="the cost is 2 on the whole grid"):
        fit_landscape(grid_of(lambda theta: torch.full_like(theta[:, 0], 2.0)))
    with pytest.raises(GradientError, match="step is 0"):
        fit_landscape(grid_of(Hill(), points=3), steps=1).ratio_over(Hill(), 0.0)
