"""Comparison of backends, and backends by name."""

from __future__ import annotations

import json

import pytest
import torch

from carom.envs.testbeds import GapPush, Quadratic
from carom.gradients import (
    Autodiff,
    Backend,
    CentralDifferences,
    GradientError,
    Smoothing,
    Surrogate,
    backend_names,
    compare_backends,
    make_backend,
)


def test_rows():
    objective = Quadratic()
    theta = objective.initial_parameters() + 0.1
    seen = []
    result = compare_backends(
        objective,
        theta,
        {"autodiff": Autodiff(), "smoothing": Smoothing(samples=1024)},
        CentralDifferences(samples=64),
        progress=lambda *step: seen.append(step),
    )
    assert seen == [("reference", 0, 3), ("autodiff", 1, 3), ("smoothing", 2, 3), ("done", 3, 3)]
    exact, smooth = result.rows
    assert exact.cosine == pytest.approx(1.0)
    assert exact.relative_error == pytest.approx(0.0, abs=1e-9)
    assert exact.trace_variance is None
    gradient = torch.tensor(smooth.gradient, dtype=torch.float64)
    truth = objective.smoothed_gradient(theta, 0.02)
    assert smooth.relative_error == pytest.approx(float((gradient - truth).norm() / truth.norm()))
    assert smooth.cosine == pytest.approx(float(torch.cosine_similarity(gradient, truth, dim=0)))
    assert smooth.trace_variance == pytest.approx(sum(e**2 for e in smooth.standard_error))
    assert smooth.z_norm < 4.5
    assert smooth.evaluations == 1024
    assert json.loads(json.dumps(result.as_dict()))["rows"][1]["name"] == "smoothing"


def test_what_a_backend_cannot_do_is_a_row_not_a_crash():
    def stepped(theta):
        return (theta > 0).to(theta.dtype).sum(1)

    theta = torch.zeros(1, dtype=torch.float64)
    backends = {name: make_backend(name) for name in ("autodiff", "smoothing")}
    rows = compare_backends(stepped, theta, backends, CentralDifferences(scale=0.02)).rows
    assert "no exact gradient" in rows[0].error
    assert rows[0].gradient is None
    assert rows[1].error is None


def test_blind_gradient_has_no_direction():
    theta = torch.zeros(1, dtype=torch.float64)
    (row,) = compare_backends(GapPush(), theta, {"autodiff": Autodiff()}, CentralDifferences()).rows
    assert row.cosine is None
    assert row.relative_error == 1.0


def test_one_theta_only():
    with pytest.raises(GradientError, match="one theta"):
        compare_backends(Quadratic(), torch.zeros(3, 2), {}, CentralDifferences())


def test_names():
    known = (
        "autodiff", "smoothing", "smoothing-first", "boundary", "mixed", "lax", "softened", "softened-forward",
        "surrogate", "ddcg", "ivw-h", "truncated", "clipped", "persistent-es",
    )  # fmt: skip
    assert backend_names() == known
    assert all(isinstance(make_backend(name, scale=0.1, samples=64), Backend) for name in known)
    assert make_backend("smoothing-zeroth", scale=0.1, samples=32) == Smoothing(scale=0.1, samples=32)
    assert make_backend("smoothing-first", scale=0.1) == Smoothing(scale=0.1, order="first")
    assert make_backend("surrogate", samples=100) == Surrogate(scale=0.02, samples=100)
    assert make_backend("autodiff") == Autodiff()
    with pytest.raises(GradientError, match=r"unknown backend 'smothing'.*Did you mean 'smoothing'.*surrogate"):
        make_backend("smothing")
