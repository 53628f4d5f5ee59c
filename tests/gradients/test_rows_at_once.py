"""No backend passes more rows to the objective in one call than ``chunk``, or than the documented bound without it."""

from __future__ import annotations

import pytest
import torch

from carom.gradients import AlgorithmSmoothing, MedianSmoothing, Smoothing
from carom.gradients.estimators.smoothed_jacobian import smoothed_jacobian
from carom.gradients.estimators.smoothing import run as smoothing_run


class Counting:
    """A smooth cost, and how many rows each call had."""

    name = "counting"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(theta))
        return torch.sin(theta)

    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.square().sum(1)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        return self.loss(self.outputs(theta))


def _smoothing(**options):
    return Smoothing(samples=64, antithetic=False, baseline="value", **options)


BACKENDS = {
    "smoothing": lambda cost, theta, **o: _smoothing(**o).estimate(cost, theta),
    "algorithm": lambda cost, theta, **o: AlgorithmSmoothing(_smoothing(**o)).estimate(cost, theta),
    "median": lambda cost, theta, **o: MedianSmoothing(_smoothing(**o), k=3).estimate(cost, theta),
    "jacobian": lambda cost, theta, **o: smoothed_jacobian(cost.outputs, theta, _smoothing(**o))[0],
}


@pytest.mark.parametrize("thetas", [1, 5, 40])
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_in_a_call(backend: str, thetas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    theta = torch.linspace(-1.0, 1.0, 3 * thetas, dtype=torch.float64).view(thetas, 3)
    whole, bounded, chunked = Counting(), Counting(), Counting()
    expected = BACKENDS[backend](whole, theta)
    assert max(whole.calls) >= 64 * thetas
    monkeypatch.setattr(smoothing_run, "_MOST_ROWS", 16)
    estimates = [BACKENDS[backend](bounded, theta), BACKENDS[backend](chunked, theta, chunk=7)]
    assert max(bounded.calls) <= 16
    assert max(chunked.calls) <= 7
    assert sum(bounded.calls) == sum(chunked.calls) == sum(whole.calls)
    for estimate in estimates:
        torch.testing.assert_close(estimate.gradient, expected.gradient, rtol=1e-9, atol=1e-12)
