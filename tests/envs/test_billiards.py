"""The break shot: conservation, a head-on collision in closed form, and the exact gradient through all its impacts."""

from __future__ import annotations

import pytest
import torch

from carom.envs import TaskError
from carom.envs.tasks.billiards import Billiards
from carom.gradients.diagnosis import spectrum


@pytest.fixture(scope="module")
def shot():
    return Billiards(rows=3, duration=0.5, dtype="float64")


def test_momentum_is_kept_and_energy_is_not_gained(shot):
    theta = shot.initial_parameters()[None]
    path = shot.rollout(theta).body_v[:, 0, :, :2]
    momentum = path.sum(1)
    torch.testing.assert_close(momentum, momentum[:1].expand_as(momentum), rtol=0, atol=1e-9)
    energy = path.square().sum((1, 2))
    assert bool((energy.diff() <= 1e-9).all())
    assert float(energy[-1]) < 0.9  # restitution 0.95 in several collisions


def test_head_on_the_speeds_are_those_of_two_equal_masses():
    shot = Billiards(rows=1, duration=0.3, dtype="float64")
    theta = torch.tensor([[-0.2, 0.0, 1.0, 0.0]], dtype=torch.float64)
    end = shot.rollout(theta).body_v[-1, 0, :, 0]
    # (1 - e)/2 and (1 + e)/2
    torch.testing.assert_close(end, torch.tensor([0.025, 0.975], dtype=torch.float64), rtol=0, atol=1e-3)


def test_exact_gradient_through_all_collisions(shot):
    theta = shot.initial_parameters()[None]
    gradient = shot.value_and_gradient(theta)[1][0]
    for i in range(4):
        step = torch.zeros_like(theta)
        step[0, i] = 1e-6
        difference = float((shot(theta + step) - shot(theta - step)) / 2e-6)
        # the differences' own error: 1e-12 of the third derivative, and rounding of 1e-9
        assert difference == pytest.approx(float(gradient[i]), rel=1e-5, abs=1e-6)


def test_disturbances_grow(shot):
    steps = shot.unroll(shot.initial_parameters()[None])
    assert steps.gradient_by_step is None
    found = spectrum(steps, leading=4)
    assert found.largest > 1.0
    # Before the first impact nothing grows but position by velocity: sqrt(1 + T^2) at most about 1.2.
    free = Billiards(rows=3, duration=0.1, dtype="float64")
    assert float(spectrum(free.unroll(free.initial_parameters()[None]), leading=4).log_singular_values.max()) < 0.2


def test_refusals(shot):
    for options in ({"rows": 0}, {"duration": 0.0}, {"gap": -1.0}):
        with pytest.raises(TaskError, match=next(iter(options))):
            Billiards(**options)
    with pytest.raises(TaskError, match="horizon"):
        shot.at_horizon(0)
    assert shot.at_horizon(10).steps == 10
