"""The numbers in results.json against closed forms, and against a second run."""

from __future__ import annotations

import math
import platform

import numpy as np
import pytest
import torch
import warp as wp

import carom
from carom.gradients import GradientError, Smoothing

from ..conftest import PUSH_OPTIONS, Run, load, run_cli

ALARM = 4.5
"""z-score that fails a test; a right estimator passes it with probability 1 - 7e-6 per coordinate."""


def normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def without_times(results: dict) -> dict:
    return {key: value for key, value in results.items() if key != "timings"}


def row(results: dict, name: str) -> dict:
    return next(entry for entry in results["backends"] if entry["name"] == name)


def test_gap_push_gradients_are_the_closed_form_ones(gap_push: Run) -> None:
    results = gap_push.results
    task = carom.envs.make("gap_push")
    truth = normal_cdf((results["theta"][0] - task.gap) / results["settings"]["scale"])
    for entry in (results["reference"], row(results, "smoothing"), row(results, "smoothing-first")):
        z = (entry["gradient"][0] - truth) / entry["standard_error"][0]
        assert abs(z) < ALARM, (entry["name"], z)
    assert row(results, "autodiff")["gradient"] == [0.0]


def test_exact_gradient_before_contact_is_called_blind_and_smoothing_is_not(gap_push: Run) -> None:
    exact, smoothed = (row(gap_push.results, name)["verdict"] for name in ("autodiff", "smoothing"))
    assert (exact["label"], exact["zero"]) == ("differs", True)
    assert exact["text"].startswith("exactly 0")
    assert (smoothed["label"], smoothed["zero"]) != ("differs", True)


def test_quadratic_all_agree_with_its_closed_form() -> None:
    task = carom.envs.make("quadratic")
    result = carom.compare(task, samples=1024, race=False)
    theta = result.theta
    truth = (theta @ torch.tensor(task.hessian, dtype=theta.dtype)).numpy()
    rows = {entry.name: entry for entry in result.comparison.rows}
    assert list(rows) == ["autodiff", "smoothing", "surrogate"]  # it has no contacts to soften
    np.testing.assert_allclose(result.comparison.reference.gradient, truth, atol=1e-9)
    np.testing.assert_allclose(rows["autodiff"].gradient, truth, rtol=1e-12, atol=1e-15)
    z = (np.array(rows["smoothing"].gradient) - truth) / np.array(rows["smoothing"].standard_error)
    assert np.abs(z).max() < ALARM
    np.testing.assert_allclose(rows["surrogate"].gradient, truth, atol=0.05 * np.linalg.norm(truth))
    assert result.verdicts["autodiff"].label == "agrees"
    assert result.verdicts["surrogate"].label in ("agrees", "cannot tell")
    assert result.advice.estimate.backend == "autodiff"


def test_the_slice_is_the_cost_along_the_reference(gap_push: Run) -> None:
    line = gap_push.results["slice"]
    task = carom.envs.make("gap_push")
    sigma = gap_push.results["settings"]["scale"]
    assert line["direction"] == [-1.0]
    hard, smooth = line["hard"], line["smoothed"]
    expected = [max(0.0, -t - task.gap) for t in hard["distance"]]
    np.testing.assert_allclose(hard["cost"], expected, atol=1e-15)
    for t, cost, error in zip(smooth["distance"], smooth["cost"], smooth["standard_error"], strict=True):
        z = (-t - task.gap) / sigma
        truth = sigma * (z * normal_cdf(z) + math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
        # Far from contact a few draws decide: the standard error is then a guess, so allow a hundredth of sigma.
        assert abs(cost - truth) < ALARM * error + 0.01 * sigma


def test_same_seed_same_numbers_and_another_seed_others(gap_push: Run, tmp_path) -> None:
    options = ("--samples", 4096, "--backends", "autodiff,smoothing,smoothing-first", "--no-report")
    run_cli("compare", "gap_push", "--out", tmp_path / "again", *options)
    run_cli("compare", "gap_push", "--out", tmp_path / "other", "--seed", 1, *options)
    again, other = load(tmp_path / "again"), load(tmp_path / "other")
    assert without_times(again) == without_times(gap_push.results)
    assert row(other, "smoothing")["gradient"] != row(again, "smoothing")["gradient"]
    assert other["reference"]["gradient"] != again["reference"]["gradient"]
    for name in ("compare.png", "compare.svg", "slice.png"):
        assert (tmp_path / "again" / name).read_bytes() == (gap_push.folder / name).read_bytes()


def test_push_runs_twice_to_the_same_numbers(push: Run, tmp_path) -> None:
    options = ("--start", "apart", *PUSH_OPTIONS)
    run_cli("compare", "push", "--out", tmp_path / "again", *options)
    assert without_times(load(tmp_path / "again")) == without_times(push.results)


def test_push_apart_is_invisible_to_autodiff_and_not_to_smoothing(push: Run) -> None:
    assert not any(row(push.results, "autodiff")["gradient"])
    assert any(row(push.results, "smoothing")["gradient"])
    assert any(row(push.results, "softened")["gradient"])
    assert row(push.results, "softened")["value"] == row(push.results, "autodiff")["value"]
    assert push.results["settings"]["options"] == {"start": "apart"}
    assert push.results["task"]["unit"] == "m"


def test_results_say_what_they_were_computed_with(gap_push: Run) -> None:
    results = gap_push.results
    assert results["versions"]["carom"] == carom.__version__
    assert results["versions"]["torch"] == torch.__version__
    assert results["versions"]["numpy"] == np.__version__
    assert results["versions"]["warp"] == wp.config.version
    assert results["versions"]["python"] == platform.python_version()
    assert results["settings"]["seed"] == 0
    assert results["settings"]["samples"] == 4096
    assert results["settings"]["device"] == "cpu"
    assert results["settings"]["dtype"] == "float64"
    assert results["settings"]["rollouts"] == 12000
    assert results["theta"] == [0.0]
    assert "seconds" not in results["reference"]
    assert results["timings"]["estimates"].keys() == {"reference", "autodiff", "smoothing", "smoothing-first"}


def test_a_plain_function_and_own_backends() -> None:
    def cost(theta: torch.Tensor) -> torch.Tensor:
        return theta.square().sum(-1)

    result = carom.compare(cost, torch.tensor([1.0, 2.0, 3.0]), backends={"mine": Smoothing(scale=0.1, samples=512)})
    assert [entry.name for entry in result.comparison.rows] == ["mine"]
    assert result.names == ("theta0", "theta1", "theta2")
    np.testing.assert_allclose(result.comparison.reference.gradient, [2.0, 4.0, 6.0], rtol=1e-4)
    assert result.figure_kinds == ("compare", "slice", "parameters", "trust", "curves")
    with pytest.raises(GradientError, match="initial_parameters"):
        carom.compare(cost)


def test_a_cost_that_never_changes_is_no_failure(tmp_path) -> None:
    result = carom.compare(lambda theta: 0.0 * theta.sum(-1), torch.zeros(2))
    assert all(found.label == "nothing seen" for found in result.verdicts.values()), result.verdicts
    assert result.advice.descend.backend is None
    assert result.advice.estimate.backend is None
    assert "no slope of zero" in result.advice.headline
    result.save(tmp_path / "flat")
    assert load(tmp_path / "flat")["backends"][0]["cosine"] is None


def test_a_backend_that_does_not_apply_is_a_row_with_its_reason() -> None:
    task = carom.envs.make("quadratic")
    result = carom.compare(task, backends=["autodiff", "softened"], rollouts=500, studies=["samples"])
    exact, softened = result.comparison.rows
    assert exact.error is None
    assert "no contacts to soften" in (softened.error or "")
    assert result.verdicts["softened"].label == "failed"
