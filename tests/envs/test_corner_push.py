"""A jump in a real contact rollout: where it is, who sees it, and the boundary term against a dense quadrature."""

from __future__ import annotations

import math

import pytest
import torch

from carom.envs import TaskError, make
from carom.gradients import Boundary, Smoothing


@pytest.fixture(scope="module")
def task():
    return make("corner_push", dtype="float64", duration=0.6)


class Offset:
    """The cost as a function of the pusher's offset alone."""

    name = "offset"

    def __init__(self, task, stroke=0.12):
        self.task, self.stroke = task, stroke

    def __call__(self, offset):
        return self.task(torch.cat([offset, torch.full_like(offset, self.stroke)], dim=1))

    def value_and_gradient(self, offset):
        value, gradient = self.task.value_and_gradient(torch.cat([offset, torch.full_like(offset, self.stroke)], dim=1))
        return value, gradient[:, :1]


def test_the_pusher_hits_or_misses(task):
    offsets = task.clear_offset + torch.tensor([-1e-3, 2e-3], dtype=torch.float64)
    hit, miss = Offset(task)(offsets[:, None]).tolist()
    assert hit > 0.1  # carried along by more than 3 cm
    assert miss == pytest.approx(0.0, abs=1e-6)
    theta = torch.stack([offsets, torch.full_like(offsets, 0.12)], dim=1)
    assert task.events(theta)[:, 0].tolist() == [True, False]


@pytest.mark.parametrize("continuous", ["pathwise", "line"])
def test_boundary_term_of_a_real_jump(task, continuous):
    objective, scale = Offset(task), 0.004
    theta = torch.tensor([task.clear_offset - 0.003], dtype=torch.float64)
    # F'(u) = int f(u + s w) w phi(w) dw / s by midpoints: at 1,000 of them to about a jump's share of one cell, 0.5 %.
    w = (torch.arange(1000, dtype=torch.float64) + 0.5) * 0.01 - 5.0
    density = torch.exp(-0.5 * w * w) / math.sqrt(2 * math.pi)
    truth = float((objective(theta + scale * w[:, None]) * w * density).sum() * 0.01 / scale)
    boundary = Boundary(scale=scale, samples=8, continuous=continuous).estimate(objective, theta)
    error = abs(float(boundary.gradient) / truth - 1.0)
    assert error < (0.01 if continuous == "line" else 0.05)  # pathwise: eight samples of the slope before the jump
    # Each line has the loss of the box (0.166, at 0.124 mm beyond clear_offset), and within 0.02 mm of clear_offset
    # itself some of 0.0005 to 0.0014, of which one or two are large enough against the line's other changes.
    assert 8 <= boundary.diagnostics["jumps"] <= 24
    blind = Smoothing(scale=scale, samples=16, order="first").estimate(objective, theta)
    assert abs(float(blind.gradient) / truth - 1.0) > 0.5


def test_events_save_rollouts_of_the_cost(task):
    theta = task.initial_parameters()
    by_event = Boundary(scale=0.004, samples=4, grid=8).estimate(task, theta)
    assert by_event.diagnostics["jumps"] >= 3
    assert by_event.evaluations <= 4 + 2 * int(by_event.diagnostics["jumps"])


def test_bad_duration():
    with pytest.raises(TaskError, match="duration"):
        make("corner_push", duration=0.0)
