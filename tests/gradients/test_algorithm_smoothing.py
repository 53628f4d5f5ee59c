"""Algorithm smoothing: against closed forms, against loss smoothing, and its bias.

z-tests are at 4.5 standard errors (t-tails of 31 degrees of freedom: a false alarm in 12,000 for each coordinate).
"""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import AlgorithmSmoothing, GradientError, Smoothing, smoothed_jacobian

from .repeats import repeat

SIGMA = 0.5


class Parts:
    """Outputs H(x1), x2^2, x1 x2 and a loss over them: everything known under Gaussian noise."""

    name = "parts"

    def outputs(self, theta):
        x, y = theta.unbind(-1)
        return torch.stack([(x > 0).to(theta), y.square(), x * y], dim=-1)

    def loss(self, outputs):
        a, b, c = outputs.unbind(-1)
        return (a - 0.2).square() + torch.exp(0.5 * b) + a * c

    def __call__(self, theta):
        return self.loss(self.outputs(theta))


class QuadraticLoss(Parts):
    """The same outputs under a quadratic loss."""

    name = "quadratic loss"

    def loss(self, outputs):
        a, b, c = outputs.unbind(-1)
        return (a - 0.2).square() + 0.5 * (b - 1.0) * c


class LinearLoss(Parts):
    """The same outputs under a linear loss."""

    name = "linear loss"

    def loss(self, outputs):
        return outputs @ torch.tensor([1.0, -2.0, 0.5], dtype=outputs.dtype)


def mean_outputs(theta):
    """E outputs(theta + sigma w), differentiable by torch."""
    x, y = theta.unbind(-1)
    return torch.stack([torch.special.ndtr(x / SIGMA), y.square() + SIGMA**2, x * y], dim=-1)


def truth(objective, theta):
    """Exact value and gradient of loss(E outputs)."""
    leaf = theta.clone().requires_grad_()
    value = objective.loss(mean_outputs(leaf[None]))[0]
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


THETA = torch.tensor([0.3, -0.4], dtype=torch.float64)


@pytest.mark.parametrize("objective", [Parts(), QuadraticLoss(), LinearLoss()], ids=lambda o: o.name)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"antithetic": False},
        {"antithetic": False, "baseline": "value"},
        {"antithetic": False, "baseline": "none"},
        {"antithetic": False, "sampling": "rqmc", "replications": 32},
        {"antithetic": True, "sampling": "latin_hypercube", "replications": 32},
    ],
    ids=["pairs", "leave_one_out", "value", "none", "rqmc", "latin pairs"],
)
def test_closed_form(objective, options):
    backend = AlgorithmSmoothing(Smoothing(scale=SIGMA, samples=16_384, **options))
    found = backend.estimate(objective, THETA, seed=3)
    value, gradient = truth(objective, THETA)
    assert bool(((found.gradient - gradient).abs() < 4.5 * found.standard_error).all())
    assert abs(float(found.value - value)) < 4.5 * found.diagnostics["value_standard_error"]
    assert float(found.standard_error.max()) < 0.1 * float(gradient.norm())


def test_logistic_noise_of_a_matrix_scale():
    # a jump along a direction and a product: E H(n.x + noise) has no simple form, so the outputs are polynomial here
    class Polynomial(Parts):
        def outputs(self, theta):
            x, y = theta.unbind(-1)
            return torch.stack([x, x * y, y.square()], dim=-1)

    matrix = torch.tensor([[0.3, 0.0], [0.1, 0.2]], dtype=torch.float64)
    covariance = matrix @ matrix.T * math.pi**2 / 3.0
    leaf = THETA.clone().requires_grad_()
    x, y = leaf
    mean = torch.stack([x, x * y + covariance[0, 1], y.square() + covariance[1, 1]])
    (gradient,) = torch.autograd.grad(Parts().loss(mean[None])[0], leaf)
    noise = Smoothing(scale=matrix, samples=20_000, distribution="logistic", antithetic=False)
    found = AlgorithmSmoothing(noise).estimate(Polynomial(), THETA, seed=1)
    assert bool(((found.gradient - gradient).abs() < 4.5 * found.standard_error).all())


def test_with_a_linear_loss_it_is_loss_smoothing():
    noise = Smoothing(scale=SIGMA, samples=500, antithetic=False)
    algorithm = AlgorithmSmoothing(noise, bias_correction=False).estimate(LinearLoss(), THETA, seed=5)
    loss = noise.estimate(LinearLoss(), THETA, seed=5)
    torch.testing.assert_close(algorithm.gradient, loss.gradient, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(algorithm.value, loss.value, rtol=1e-12, atol=0)
    # jackknives of different groups: both estimate the same error, with 31 degrees of freedom here (12 % each way)
    assert bool(((algorithm.standard_error / loss.standard_error - 1.0).abs() < 0.6).all())


def test_with_a_curved_loss_it_is_not():
    # (H(x) - t)^2: loss smoothing sees the jump (1 - t)^2 - t^2, algorithm smoothing the slope 2 (Phi - t) at the mean
    class Step:
        def outputs(self, theta):
            return (theta > 0).to(theta)

        def loss(self, outputs):
            return (outputs[:, 0] - 0.3).square()

        def __call__(self, theta):
            return self.loss(self.outputs(theta))

    theta, noise = torch.tensor([0.4], dtype=torch.float64), Smoothing(scale=SIGMA, samples=20_000)
    z = 0.4 / SIGMA
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) / SIGMA
    share = 0.5 * math.erfc(-z / math.sqrt(2.0))
    for backend, exact in (
        (noise, (0.7**2 - 0.3**2) * density),
        (AlgorithmSmoothing(noise), 2.0 * (share - 0.3) * density),
    ):
        found = backend.estimate(Step(), theta, seed=2)
        assert abs(float(found.gradient) - exact) < 4.5 * float(found.standard_error)


def test_bias_of_the_plug_in_and_its_correction():
    # Loss y^2/2 of y = H(x): E[mean y * J] - p J = (1 - 2p) density / N (leave-one-out, independent samples).
    class Square:
        def outputs(self, theta):
            return (theta > 0).to(theta)

        def loss(self, outputs):
            return 0.5 * outputs[:, 0].square()

    theta, samples, seeds = torch.tensor([1.0], dtype=torch.float64), 4, 700
    p, density = 0.841_344_746_068_543, 0.241_970_724_519_143
    noise = Smoothing(scale=1.0, samples=samples, antithetic=False)
    exact = p * density
    plug_in = repeat(AlgorithmSmoothing(noise, bias_correction=False), Square(), theta, seeds)
    bias = (1.0 - 2.0 * p) * density / samples
    assert abs(float(plug_in.z_of_mean(torch.tensor([exact + bias])))) < 4.5
    assert abs(float(plug_in.z_of_mean(torch.tensor([exact])))) > 4.5, "seen at this number of seeds"
    mended = repeat(AlgorithmSmoothing(noise), Square(), theta, seeds)
    assert abs(float(mended.z_of_mean(torch.tensor([exact])))) < 4.5
    told = AlgorithmSmoothing(Smoothing(scale=1.0, samples=60_000, antithetic=False)).estimate(Square(), theta)
    assert abs(float(told.diagnostics["bias"])) < 1e-3


def test_standard_error_is_honest():
    noise = Smoothing(scale=SIGMA, samples=512)
    runs = repeat(AlgorithmSmoothing(noise), Parts(), THETA, 100)
    # relative error of a variance from 100 seeds: about sqrt(2/100) = 14 %, somewhat more with tails
    assert runs.honesty() == pytest.approx(1.0, abs=0.4)
    assert bool((runs.z_of_mean(truth(Parts(), THETA)[1]).abs() < 4.5).all())


def test_same_jacobian_as_smoothed_jacobian_whatever_the_chunk_and_the_batch():
    noise = Smoothing(scale=SIGMA, samples=300)
    batch = torch.stack([THETA, THETA + 0.1])
    plain = AlgorithmSmoothing(noise, bias_correction=False)
    found = plain.estimate(Parts(), batch, seed=7)
    jacobian, _ = smoothed_jacobian(Parts().outputs, batch, noise, seed=7)
    leaf = jacobian.value.clone().requires_grad_()
    (slope,) = torch.autograd.grad(Parts().loss(leaf).sum(), leaf)
    torch.testing.assert_close(found.gradient, torch.einsum("tk,tkp->tp", slope, jacobian.gradient))
    torch.testing.assert_close(found.diagnostics["outputs"], jacobian.value)
    one = AlgorithmSmoothing(noise).estimate(Parts(), batch[1], seed=7)
    small = AlgorithmSmoothing(Smoothing(scale=SIGMA, samples=300, chunk=13))
    for other in (AlgorithmSmoothing(noise), small):
        many = other.estimate(Parts(), batch, seed=7)
        torch.testing.assert_close(many.gradient[1], one.gradient, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(many.standard_error[1], one.standard_error, rtol=1e-9, atol=1e-12)
        assert many.evaluations == 600


def test_refusals():
    class NoLoss:
        name = "bare"

        def __call__(self, theta):
            return theta.sum(-1)

    class Rough(Parts):
        name = "rough"

        def loss(self, outputs):
            return outputs.detach().sum(-1)

    class Infinite(Parts):
        name = "infinite"

        def outputs(self, theta):
            return theta / (theta > 0)

    backend = AlgorithmSmoothing(Smoothing(scale=SIGMA))
    for objective, words in ((NoLoss(), "bare.*outputs"), (Rough(), "not differentiable"), (Infinite(), "not finite")):
        with pytest.raises(GradientError, match=words):
            backend.estimate(objective, THETA)
    for wrong in ({"order": "first"}, {"parameters": [0]}, {"non_finite": "drop"}):
        with pytest.raises(GradientError, match="zeroth"):
            AlgorithmSmoothing(Smoothing(**wrong))
    with pytest.raises(GradientError, match="groups"):
        AlgorithmSmoothing(groups=2)
    with pytest.raises(GradientError, match="Smoothing"):
        AlgorithmSmoothing(0.02)
    table = AlgorithmSmoothing(Smoothing(scale=SIGMA, antithetic=False, sampling="rqmc"))
    assert table.estimate(Parts(), THETA).standard_error is None
