"""Functions of the face that take names and defaults as the commands do, against what they stand for."""

from __future__ import annotations

import json

import pytest
import torch

import carom
from carom.cli import main
from carom.gradients import GradientError, Smoothing
from carom.gradients.diagnosis import diagnose as diagnose_slope
from carom.optimization import CMAES, Adam, minimize


def bowl(theta):
    return (theta - 1.0).square().sum(1)


def test_optimize_by_name_is_minimize_with_the_strategies_of_these_names():
    task = carom.envs.make("quadratic")
    theta, scale = task.initial_parameters(), task.smoothing_scale
    by_name = carom.optimize("quadratic", rollouts=600, seed=3)
    expected = minimize(
        task, theta, Adam(), backend=Smoothing(scale=scale, samples=64), rollouts=600, iterations=300, seed=3
    )
    assert torch.equal(by_name.theta, expected.theta)
    assert by_name.history == expected.history


def test_optimize_is_the_command(tmp_path):
    main(["optimize", "quadratic", "--gradient", "autodiff", "--rollouts", "60", "--out", str(tmp_path / "run")])
    told = json.loads((tmp_path / "run" / "results.json").read_text())
    found = carom.optimize("quadratic", gradient="autodiff", rollouts=60)
    assert found.theta.tolist() == told["theta"]
    assert found.cost == told["cost"]


def test_optimize_takes_functions_lists_backends_and_optimizers():
    for gradient, optimizer in (("autodiff", "lbfgs"), (Smoothing(scale=0.05, samples=32), Adam(0.1)), (None, CMAES())):
        found = carom.optimize(bowl, [0.0, 3.0], gradient=gradient, optimizer=optimizer, rollouts=3000)
        assert found.cost < 0.05, (gradient, optimizer)


@pytest.mark.parametrize(("options", "words"), [
    ({"gradient": "autodiff", "samples": 8}, "adam with autodiff has no use for samples"),
    ({"optimizer": "cmaes", "gradient": "autodiff"}, "cmaes follows no gradient"),
    ({"optimizer": CMAES(), "learning_rate": 0.1}, "CMAES has no use for learning_rate"),
    ({"gradient": "autodif"}, "autodif"),
    ({"gradient": 3}, "gradient is 3: give a name"),
    ({"optimizer": 3}, "optimizer is 3: give a name"),
])  # fmt: skip
def test_optimize_refuses_what_nothing_uses(options, words):
    with pytest.raises(GradientError, match=words):
        carom.optimize("quadratic", **options)


def test_an_objective_without_parameters_of_its_own_asks_for_theta():
    for call in (carom.optimize, carom.diagnose):
        with pytest.raises(GradientError, match=r"bowl.*give theta"):
            call(bowl)


def test_what_is_no_objective_is_named():
    for call in (carom.compare, carom.optimize, carom.diagnose):
        with pytest.raises(GradientError, match=r"objective is a int: give the name of a task"):
            call(3)


def test_diagnose_by_name_is_that_of_the_gradients():
    task = carom.envs.make("quadratic")
    found = carom.diagnose("quadratic", samples=64)
    expected = diagnose_slope(task, task.initial_parameters(), scale=task.smoothing_scale, samples=64)
    assert {name: one.text for name, one in found.verdicts.items()} == {
        name: one.text for name, one in expected.verdicts.items()
    }


def test_diagnose_judges_further_backends_by_name():
    assert "surrogate" in carom.diagnose("quadratic", samples=64, backends=["surrogate"]).verdicts


def test_train_is_the_command(tmp_path):
    settings = {"worlds": 4, "window": 2, "hidden": (8,)}
    given = ["--settings", "worlds=4,window=2,hidden=(8,)", "--options", "horizon=4", "--steps", "16"]
    main(["train", "push", "--gradient", "smoothing", *given, "--out", str(tmp_path / "run")])
    told = json.loads((tmp_path / "run" / "results.json").read_text())
    found = carom.train("push", "smoothing", steps=16, settings=settings, horizon=4)
    assert found.history["cost"] == told["history"]["cost"]
    assert found.evaluation.cost == told["evaluation"]["cost"]


def test_compare_takes_the_name_of_a_task():
    found = carom.compare("quadratic", backends=["autodiff"], race=False, samples=32)
    assert found.comparison.rows[0].name == "autodiff"
