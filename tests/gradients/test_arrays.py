"""Objectives written for NumPy, and thetas that are lists or arrays: the answers of tensors, in every backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import carom
from carom.gradients import (
    LAX,
    REINFORCE,
    AlgorithmSmoothing,
    Autodiff,
    Boundary,
    CentralDifferences,
    ControlVariate,
    Enumeration,
    GradientError,
    MedianSmoothing,
    Mixed,
    Smoothing,
    Surrogate,
    compare_backends,
    differentiable,
    fit_surrogate,
)
from carom.gradients.core.arrays import as_theta
from carom.gradients.core.objective import evaluate, evaluate_with_gradient
from carom.gradients.diagnosis import diagnose
from carom.gradients.learned import Cloud
from carom.optimization import CMAES, MPPI, Adam, minimize

THETA = torch.tensor([0.5, -0.25, 0.125], dtype=torch.float64)


def cost(x):  # for tensors
    return (x - 1.0).square().sum(1) + (x[:, 0] > 0.5)


def asked(x):
    x = np.asarray(x)
    return ((x - 1.0) ** 2).sum(1) + (x[:, 0] > 0.5)


def summed(x):
    return np.sum((x - 1.0) ** 2, axis=1) + (x[:, 0] > 0.5)  # np.sum of a tensor is a TypeError


def copied(x):
    y = x.copy()  # tensors have no copy: AttributeError
    y -= 1.0
    return np.einsum("ij,ij->i", y, y) + (x[:, 0] > 0.5)


def listed(x):
    return [float(((row - 1.0) ** 2).sum() + (row[0] > 0.5)) for row in x]


class Exact:
    """A cost with an exact gradient, all in NumPy."""

    def __call__(self, x):
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x):
        return np.sum((x - 1.0) ** 2, axis=1), 2.0 * (np.asarray(x) - 1.0)


BACKENDS = [
    Smoothing(scale=0.1, samples=64),
    Smoothing(scale=0.1, samples=64, sampling="qmc", antithetic=False, baseline="value"),
    MedianSmoothing(Smoothing(scale=0.1, samples=64, antithetic=False)),
    Boundary(scale=0.1, samples=16, continuous="line"),
    CentralDifferences(scale=0.1, samples=16),
    CentralDifferences(scale=0.0),
    LAX(scale=0.1, samples=64),
    Surrogate(scale=0.1, samples=64),
]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("objective", [asked, summed, copied, listed])
def test_every_backend_gives_the_same_as_with_tensors(backend, objective):
    expected = backend.estimate(cost, THETA, seed=1)
    for theta in (THETA.tolist(), THETA.numpy(), tuple(THETA.numpy())):
        found = backend.estimate(objective, theta, seed=1)
        # Sums in another order round otherwise; a network that is trained makes more of it.
        close = 1e-6 if isinstance(backend, (LAX, Surrogate)) else 1e-12
        assert torch.allclose(found.gradient, expected.gradient, rtol=close, atol=close)
        assert torch.allclose(found.value, expected.value, rtol=close)
        assert found.gradient.dtype == torch.float64
        assert found.evaluations == expected.evaluations
    batch = backend.estimate(objective, [THETA.tolist()] * 2, seed=1)
    assert batch.gradient.shape == (2, 3)


def test_exact_gradients_in_numpy():
    truth = 2.0 * (THETA - 1.0)
    for backend in (Autodiff(), Smoothing(scale=0.1, order="first", samples=64), Mixed()):
        found = backend.estimate(Exact(), THETA.tolist(), seed=0)
        assert torch.allclose(found.gradient, truth, rtol=0.2)
        assert found.gradient.dtype == torch.float64
    assert torch.equal(Autodiff().estimate(Exact(), THETA.numpy()).gradient, truth)
    fitted = fit_surrogate(cost, Cloud(THETA.numpy(), 0.05), samples=64)
    assert fitted.estimate(cost, THETA.tolist()).gradient.shape == (3,)
    control = ControlVariate(fitted, scale=0.05, samples=64)
    assert control.estimate(summed, THETA.tolist()).gradient.shape == (3,)


@pytest.mark.parametrize("objective", [asked, summed, copied])
def test_none_is_invented_for_autograd(objective):
    with pytest.raises(GradientError, match=rf"objective '{objective.__name__}' has no exact gradient"):
        Autodiff().estimate(objective, THETA)


def test_the_values_are_copies_and_the_rows_stay():
    kept = np.zeros(3)

    def reused(x):  # one buffer for all answers, and writes to its input
        x = x.copy() if isinstance(x, np.ndarray) else x.numpy().copy()
        kept[:] = (x**2).sum(1)
        return kept

    rows = torch.arange(6, dtype=torch.float64).view(3, 2)
    first = evaluate(reused, rows)
    evaluate(reused, 2.0 * rows)
    assert first.tolist() == [1.0, 13.0, 41.0]

    def writes(x):
        x.sort()  # of a tensor: a pair of tensors; then no numbers
        x *= 0.0
        return x.astype(float).sum(1)

    before = rows.clone()
    assert evaluate(writes, rows.clone()).tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(rows, before)


def test_a_fault_of_the_objective_is_what_is_raised():
    def faulty(x):
        return x.no_such_thing()

    def wrong(x):
        return len(x) + "a"

    def only_for_arrays_and_faulty(x):
        return {"cost": x.copy()}

    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'no_such_thing'"):
        Smoothing().estimate(faulty, THETA)
    with pytest.raises(TypeError, match="unsupported operand"):
        Smoothing().estimate(wrong, THETA)
    with pytest.raises(AttributeError, match="'copy'"):
        Smoothing().estimate(only_for_arrays_and_faulty, THETA)
    with pytest.raises(AttributeError, match="no_such_thing"):
        evaluate_with_gradient(faulty, THETA[None])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.float64(1.0), "returned a float64: return a torch tensor or a NumPy array"),
        (np.array(["a"]), "returned a ndarray"),
        ({"cost": 1.0}, "returned a dict"),
        ([[1.0], [1.0, 2.0]], "returned a list"),
        (np.ones((1, 1)), r"shape \[1, 1\]"),
        (np.array([1j]), "complex128: return real"),
        (np.array([np.nan]), "not finite in 1 of 1"),
    ],
)
def test_answers_that_are_no_costs(answer, words):
    with pytest.raises(GradientError, match=words):
        evaluate(lambda x: answer, THETA[None])


@pytest.mark.parametrize("theta", ["0.5", 0.5, None, [1.0, [2.0]], ["a"], np.array([1j]), {"a": 1.0}, torch])
def test_thetas_that_are_none(theta):
    with pytest.raises(GradientError, match=r"theta is a .* that is no array of real numbers: give"):
        as_theta(theta)


def test_an_objective_is_called_once_when_it_is_known_to_take_arrays():
    calls = []

    def counting(x):
        calls.append(type(x))
        return np.sum(x, axis=1)

    for _ in range(3):
        evaluate(counting, THETA[None])
    assert calls == [torch.Tensor, np.ndarray, np.ndarray, np.ndarray]


def test_choices():
    truth = Enumeration(2).estimate(lambda c: c.double().sum(1), torch.zeros(4))
    for backend in (Enumeration(2), REINFORCE(2, samples=4096)):
        found = backend.estimate(lambda c: np.sum(c, axis=1), [0.0] * 4)
        assert torch.allclose(found.gradient.double(), truth.gradient.double(), atol=0.05)


def test_comparisons_optimizations_and_the_rest():
    (row,) = compare_backends(summed, [0.5, -0.25, 0.125], {"it": BACKENDS[0]}, CentralDifferences()).rows
    (same,) = compare_backends(cost, THETA, {"it": BACKENDS[0]}, CentralDifferences()).rows
    assert row.gradient == pytest.approx(same.gradient, rel=1e-12)
    result = carom.compare(
        summed, np.array([0.5, -0.25, 0.125]), scale=0.1, samples=64, rollouts=100, studies=["field"]
    )
    assert result.verdicts["autodiff"].label == "failed"
    assert result.comparison.rows[1].gradient is not None
    backend = Smoothing(scale=0.1, samples=32)
    for optimizer in (Adam(0.1), MPPI(samples=8), CMAES()):
        options = {"backend": backend} if optimizer.needs_gradient else {}
        found = minimize(summed, [0.5, -0.25, 0.125], optimizer, rollouts=200, seed=2, **options)
        same = minimize(cost, THETA, optimizer, rollouts=200, seed=2, **options)
        assert found.cost == pytest.approx(same.cost, rel=1e-6)
        assert (found.rollouts, found.forward) == (same.rollouts, same.forward)
    smooth = differentiable(summed, backend)
    theta = THETA.clone().requires_grad_()
    smooth(theta).backward()
    assert torch.allclose(theta.grad, smooth.last_estimate.gradient)
    assert float(smooth([0.5, -0.25, 0.125])) > 0.0
    assert diagnose(summed, [0.5, -0.25, 0.125], scale=0.1, samples=32).estimates["zeroth"].gradient.shape == (3,)


def test_outputs_of_an_algorithm_stay_tensors():
    class Split:
        def outputs(self, theta):
            return np.asarray(theta)

        def loss(self, outputs):
            return outputs.square().sum(1)

        def __call__(self, theta):
            return self.loss(self.outputs(theta))

    with pytest.raises(GradientError, match="ndarray"):
        AlgorithmSmoothing(Smoothing(scale=0.1, samples=64)).estimate(Split(), THETA)
