"""The closed forms of the plain objectives, against numerical integration and against central differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from carom.envs.analytic import GapPush, GrazingPush, Heaviside, Quadratic

ALL = [
    Heaviside(),
    Heaviside(dimension=3),
    GrazingPush(length=0.3, half_width=0.07),
    GapPush(gap=0.02),
    Quadratic(),
    Quadratic(hessian=[[1.0, 0.2, 0.0], [0.2, -0.5, 0.1], [0.0, 0.1, 3.0]]),
]


@pytest.mark.parametrize("objective", ALL, ids=lambda o: f"{o.name}{len(o.parameter_names)}")
def test_interface(objective):
    theta = objective.initial_parameters()
    assert theta.shape == (len(objective.parameter_names),)
    assert theta.dtype == torch.float64
    assert objective.initial_parameters(dtype=torch.float32).dtype == torch.float32
    batch = torch.stack([theta, theta + 0.1])
    values, gradients = objective.value_and_gradient(batch)
    assert values.shape == (2,)
    assert gradients.shape == batch.shape
    assert torch.equal(values, objective(batch))
    assert objective.smoothed_value(batch, 0.05).shape == (2,)
    assert objective.smoothed_gradient(batch, 0.05).shape == batch.shape
    assert objective.description
    with pytest.raises(ValueError, match=objective.name):
        objective(torch.zeros(2, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="scale"):
        objective.smoothed_value(batch, 0.0)


@pytest.mark.parametrize("objective", [Heaviside(), GrazingPush(length=0.3, half_width=0.07), GapPush(gap=0.02)])
@pytest.mark.parametrize("x", [-0.11, 0.0, 0.013, 0.06, 0.2])
def test_smoothed_value_by_quadrature(objective, x):
    scale = 0.05

    def integrand(w):
        row = torch.tensor([[x + scale * w]], dtype=torch.float64)
        return float(objective(row)) * stats.norm.pdf(w)

    breaks = sorted((edge - x) / scale for edge in (-0.07, 0.0, 0.02, 0.07))
    pieces = [-9.0, *[b for b in breaks if -9.0 < b < 9.0], 9.0]
    expected = sum(integrate.quad(integrand, low, high, epsabs=1e-13)[0] for low, high in itertools.pairwise(pieces))
    got = float(objective.smoothed_value(torch.tensor([x], dtype=torch.float64), scale))
    assert got == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("objective", [ALL[1], ALL[4], ALL[5]], ids=["orthant", "quadratic2", "quadratic3"])
def test_smoothed_value_by_tensor_quadrature(objective):
    # Gauss-Hermite is exact for the quadratic; the orthant is a product of one-dimensional probabilities.
    scale = torch.tensor([0.05, 0.1, 0.2][: len(objective.parameter_names)], dtype=torch.float64)
    theta = torch.tensor([0.03, -0.02, 0.1][: len(scale)], dtype=torch.float64)
    if isinstance(objective, Heaviside):
        expected = np.prod([stats.norm.cdf(t / s) for t, s in zip(theta.tolist(), scale.tolist(), strict=True)])
    else:
        nodes, weights = np.polynomial.hermite_e.hermegauss(6)
        weights = weights / weights.sum()
        expected = 0.0
        for index in itertools.product(range(6), repeat=len(scale)):
            row = theta + scale * torch.tensor([nodes[i] for i in index], dtype=torch.float64)
            expected += float(objective(row[None])) * np.prod([weights[i] for i in index])
    assert float(objective.smoothed_value(theta, scale)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("objective", ALL, ids=lambda o: f"{o.name}{len(o.parameter_names)}")
def test_smoothed_gradient_is_the_slope_of_the_smoothed_value(objective):
    theta = objective.initial_parameters() + 0.017
    h = 1e-4
    for scale in (0.05, 0.3):
        got = objective.smoothed_gradient(theta, scale)
        for i in range(len(theta)):
            step = torch.zeros_like(theta)
            step[i] = h
            # Five-point stencil: error h^4 F^(5) / 30, below 1e-9 for these scales.
            f = [float(objective.smoothed_value(theta + k * step, scale)) for k in (-2, -1, 1, 2)]
            slope = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)
            assert float(got[i]) == pytest.approx(slope, rel=1e-7, abs=1e-9)


def test_exact_gradients():
    theta = torch.tensor([[0.5], [-0.5]], dtype=torch.float64)
    assert torch.equal(Heaviside().value_and_gradient(theta)[1], torch.zeros_like(theta))
    assert torch.equal(GrazingPush().value_and_gradient(theta)[1], torch.zeros_like(theta))
    assert GapPush().value_and_gradient(theta)[1].tolist() == [[1.0], [0.0]]
    quadratic = Quadratic()
    leaf = torch.tensor([[0.3, -0.7], [1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(quadratic(leaf).sum(), leaf)
    torch.testing.assert_close(quadratic.value_and_gradient(leaf.detach())[1], expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Heaviside(dimension=0), "dimension"),
        (lambda: GrazingPush(length=-1.0), "length"),
        (lambda: GrazingPush(half_width=float("nan")), "half_width"),
        (lambda: GapPush(gap=float("inf")), "gap"),
        (lambda: Quadratic(hessian=[[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: Quadratic(hessian=[[1.0, 2.0]]), "square"),
    ],
)
def test_bad_options(make, words):
    with pytest.raises(ValueError, match=words):
        make()
