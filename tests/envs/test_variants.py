"""Copies of a task at another horizon or stiffness, against tasks made so, and apart from the original."""

from __future__ import annotations

import pytest
import torch

import carom
from carom.envs import TaskError
from carom.gradients import Softened


@pytest.fixture(scope="module")
def push() -> carom.envs.Push:
    return carom.envs.make("push", dtype="float64", duration=0.5, step=0.01)


def test_stiffness_is_that_of_a_scene_built_with_it(push) -> None:
    """The rollout with the pusher's stiffness overridden equals that of a model that has it."""
    from dataclasses import replace

    from carom.sim import Simulator

    theta = push.initial_parameters()[None]
    soft = push.at_stiffness(500.0)
    stiffness = push.model.shape_stiffness.clone()
    stiffness[:, push.model.shape_names.index("pusher")] = 500.0
    model = replace(push.model, shape_stiffness=stiffness)
    built = Simulator(model, **vars(push.simulator.options)).rollout(model.state(1), push.controls(theta))
    torch.testing.assert_close(soft.rollout(theta).body_q, built.body_q, atol=1e-12, rtol=0)
    assert (soft.rollout(theta).body_q - push.rollout(theta).body_q).abs().max() > 1e-3
    recording = soft.record(theta)
    torch.testing.assert_close(torch.from_numpy(recording.body_q), built.body_q, atol=1e-12, rtol=0)


def test_exact_gradient_at_another_stiffness_is_that_of_differences(push) -> None:
    soft, theta = push.at_stiffness(2000.0), push.initial_parameters()[None]
    gradient = soft.value_and_gradient(theta)[1][0]
    direction = torch.linspace(1.0, -0.5, theta.shape[1], dtype=theta.dtype)
    above, below = (soft(theta + sign * 1e-6 * direction) for sign in (1.0, -1.0))
    assert float(gradient @ direction) == pytest.approx(float((above - below) / 2e-6), rel=1e-5)


def test_a_shorter_task_softens_itself_and_not_the_longer_one(push) -> None:
    theta = push.initial_parameters()
    whole = float(Softened().estimate(push, theta).value)
    short = push.at_horizon(20)
    assert float(Softened().estimate(short, theta).value) == float(short(theta[None])[0]) != whole
    assert float(Softened().estimate(push, theta).value) == whole


@pytest.mark.parametrize("stiffness", [0.0, -1.0, float("nan"), float("inf")])
def test_a_stiffness_that_is_none_is_refused(push, stiffness: float) -> None:
    with pytest.raises(TaskError, match="stiffness must be positive"):
        push.at_stiffness(stiffness)


def test_the_spring_of_curling_changes() -> None:
    task = carom.envs.make("stiffness_sweep")
    theta = task.initial_parameters()[None]
    other = task.at_stiffness(10.0)
    assert float(other(theta)) == float(carom.envs.make("stiffness_sweep", stiffness=10.0)(theta)) != float(task(theta))
