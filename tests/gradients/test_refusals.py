"""Bad input: each message names the thing and the way out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from carom.gradients import Autodiff, CentralDifferences, GradientError, Smoothing, Surrogate

BACKENDS = [
    Autodiff(),
    Smoothing(samples=16),
    Smoothing(samples=16, order="first"),
    Surrogate(samples=32, steps=5),
    CentralDifferences(samples=16),
]


def square(theta):
    return theta.square().sum(1)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: type(b).__name__ + getattr(b, "order", ""))
@pytest.mark.parametrize(
    ("theta", "words"),
    [
        ([1.0, [2.0]], "list that is no array of real numbers"),
        ("1.0, 2.0", "str that is no array of real numbers"),
        (np.array([1.0, 2j]), "ndarray that is no array of real numbers"),
        (torch.ones(2, dtype=torch.int64), r"int64.*double\(\)"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        (torch.ones(2, 2, 2), r"\[2, 2, 2\].*\[batch, parameters\]"),
        (torch.tensor(1.0), r"shape \[\]"),
        (torch.ones(0), "empty"),
        (torch.ones(0, 3), "empty"),
        (torch.tensor([0.0, math.nan, math.inf]), r"theta\[1\] = nan, theta\[2\] = inf"),
        (torch.tensor([[0.0, 1.0], [math.inf, 0.0]]), r"theta\[1, 0\] = inf"),
    ],
)
def test_theta(backend, theta, words):
    with pytest.raises(GradientError, match=words):
        backend.estimate(square, theta)


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: type(b).__name__ + getattr(b, "order", ""))
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda t: t.sum(), r"'test_cost' returned shape \[\]"),
        (lambda t: t.sum(1, keepdim=True), "return one cost per row"),
        (lambda t: 1.0, "returned a float"),
        (
            lambda t: t.sum(1) * math.nan,
            r"'test_cost' returned a cost that is not finite in \d+ of \d+ .*row 0, theta = \[",
        ),
        (lambda t: t.sum(1) + 1j, "real costs"),
    ],
)
def test_objective(backend, answer, words):
    def test_cost(theta):
        return answer(theta)

    with pytest.raises(GradientError, match=words):
        backend.estimate(test_cost, torch.ones(2))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: type(b).__name__ + getattr(b, "order", ""))
def test_not_callable(backend):
    with pytest.raises(GradientError, match="callable"):
        backend.estimate(3, torch.ones(2))


def test_which_rollouts_failed():
    def sometimes(theta):
        return torch.where(theta[:, 0] > 1.0, math.nan, theta[:, 0])

    with pytest.raises(
        GradientError, match=r"in \d+ of 64 rollouts \(row \d+, theta = \[1\.\d+\]: nan;.*smaller scale"
    ):
        Smoothing(scale=0.1, samples=64).estimate(sometimes, torch.tensor([0.95], dtype=torch.float64))
    with pytest.raises(GradientError, match="gradient that is not finite in 64 of 64"):
        Smoothing(samples=64, order="first").estimate(lambda t: (t * 0.0).abs().sqrt().sum(1), torch.ones(1))


def test_wrong_gradients_of_an_objective():
    class Wrong:
        name = "wrong"

        def __call__(self, theta):
            return theta.sum(1)

        def value_and_gradient(self, theta):
            return theta.sum(1), theta[0]

    with pytest.raises(GradientError, match=r"'wrong' returned gradients of shape \[2\]"):
        Autodiff().estimate(Wrong(), torch.ones(3, 2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.0}, r"scale is 0.0: give a positive.*Autodiff"),
        ({"scale": -1}, "positive"),
        ({"scale": math.nan}, "positive"),
        ({"scale": [0.1, 0.0]}, r"scale\[1\]"),
        ({"scale": "big"}, "scale is 'big'"),
        ({"scale": []}, "one number per coordinate"),
        ({"samples": 1}, "samples is 1"),
        ({"samples": 1, "antithetic": False}, "leave-one-out"),
        ({"samples": 1, "antithetic": False, "order": "first"}, "at least 2"),
        ({"samples": 7}, "even number"),
        ({"samples": 2.0}, "integer"),
        ({"order": "zero"}, "unknown order 'zero'.*Did you mean 'zeroth'.*first"),
        ({"order": 1}, "unknown order 1"),
        ({"distribution": "gausian"}, "Did you mean 'gaussian'"),
        ({"distribution": 3}, "instance"),
        ({"baseline": "mean"}, "unknown baseline.*leave_one_out, none, value"),
        ({"chunk": 0}, "chunk"),
    ],
)
def test_smoothing_options(options, words):
    with pytest.raises(GradientError, match=words):
        Smoothing(**options)


def test_asymmetric_noise_has_no_pairs():
    class Skewed:
        name = "skewed"
        symmetric = False

        def sample(self, uniforms):
            return -torch.log(uniforms)

        def score(self, noise):
            return torch.ones_like(noise)

        def log_density(self, noise):
            return -noise

    with pytest.raises(GradientError, match=r"skewed is not.*antithetic=False"):
        Smoothing(distribution=Skewed())
    Smoothing(distribution=Skewed(), antithetic=False)


@pytest.mark.parametrize("backend", [Smoothing, Surrogate, CentralDifferences])
def test_scale_against_theta(backend):
    with pytest.raises(GradientError, match="scale has 3 entries but theta has 2"):
        backend(scale=(0.1, 0.1, 0.1)).estimate(square, torch.ones(2))
    with pytest.raises(GradientError, match=r"drowns in the rounding of torch\.float32.*float64"):
        backend(scale=1e-8).estimate(square, torch.ones(2))


def test_first_order_without_a_gradient():
    def stepped(theta):
        return (theta > 0).float().sum(1)

    with pytest.raises(GradientError, match=r"'stepped' has no exact gradient.*zeroth"):
        Smoothing(order="first").estimate(stepped, torch.ones(2))


def test_reference_options():
    for options, words in [
        ({"samples": 3}, "samples"),
        ({"samples": 5}, "even"),
        ({"step": -1.0}, "step"),
        ({"step": 2.0}, r"sqrt\(3\)"),
        ({"scale": -0.1}, "scale"),
        ({"chunk": 0}, "chunk"),
    ]:
        with pytest.raises(GradientError, match=words):
            CentralDifferences(**options)
