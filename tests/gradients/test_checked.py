"""Backends that fail: each is a row with its reason, whatever it raised or returned."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import carom
from carom.comparison.race import RacePlan, race
from carom.comparison.studies.gradient_field import gradient_field
from carom.comparison.studies.single_samples import single_samples
from carom.envs.testbeds import Quadratic
from carom.gradients import (
    Autodiff,
    BackendFault,
    CentralDifferences,
    Estimate,
    GradientError,
    compare_backends,
    differentiable,
)
from carom.gradients.core.checked import checked_batch, checked_estimate
from carom.gradients.core.objective import evaluate_in_calls
from carom.gradients.diagnosis import diagnose
from carom.optimization import Adam, minimize
from carom.runs import RunError

THETA = torch.tensor([0.5, -0.25], dtype=torch.float64)


def bowl(theta):
    return theta.square().sum(1)


class Answers:
    """A backend that answers with what it was given, or raises it."""

    def __init__(self, answer):
        self.answer = answer

    def estimate(self, objective, theta, *, seed=0):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(theta) if callable(self.answer) else self.answer


GOOD = Estimate(bowl(THETA[None])[0], 2.0 * THETA, None, 1, 0.0)

FAULTS = [
    (ZeroDivisionError("division by zero"), r"ZeroDivisionError: division by zero \(test_checked.py, line \d+, in est"),
    (KeyError("x"), r"KeyError: 'x' \("),
    (AssertionError(), r"AssertionError \(test_checked"),
    (MemoryError("too\nlarge"), "MemoryError: too large"),
    (ValueError("singular"), "ValueError: singular"),
    (GradientError("this is not for me"), "^this is not for me$"),
    (None, "returned a NoneType: return a carom.gradients.Estimate"),
    ((1.0, THETA), "returned a tuple"),
    (replace(GOOD, gradient=THETA[:1]), r"a gradient of shape \[1\] for theta of shape \[2\]: return \[2\]"),
    (replace(GOOD, gradient=THETA[None]), r"a gradient of shape \[1, 2\]"),
    (replace(GOOD, value=THETA), r"a value of shape \[2\].*return \[\]"),
    (replace(GOOD, standard_error=THETA[:1]), r"a standard error of shape \[1\]"),
    (replace(GOOD, standard_error=-THETA.abs()), "a standard error of -0.5"),
    (replace(GOOD, gradient=THETA.long()), "a gradient of torch.int64, which rounds it: return torch.float64"),
    (replace(GOOD, gradient=THETA.to(torch.complex128)), "a gradient of torch.complex128: return real"),
    (replace(GOOD, gradient="2, 1"), "a gradient of type str"),
    (replace(GOOD, gradient=None), "a gradient of type NoneType"),
    (replace(GOOD, value=float("nan")), "a value of nan"),
    (replace(GOOD, evaluations=None), "evaluations = None: return the number of rollouts"),
    (replace(GOOD, seconds="1 s"), "seconds = '1 s'"),
    (replace(GOOD, diagnostics=[1]), "diagnostics of type list"),
]


@pytest.mark.parametrize(("answer", "words"), FAULTS, ids=[words[:24] for _, words in FAULTS])
def test_a_row_with_the_reason_and_the_others_as_without_it(answer, words):
    backends = {"bad": Answers(answer), "autodiff": Autodiff()}
    bad, exact = compare_backends(bowl, THETA, backends, CentralDifferences(samples=64)).rows
    assert re.search(words, bad.error)
    assert bad.gradient is None
    assert exact.gradient == (1.0, -0.5)
    raised = isinstance(answer, Exception) and not isinstance(answer, GradientError)
    assert (type(answer).__name__ in bad.trace) if raised else bad.trace is None
    assert "trace" not in bad.as_dict()


def test_what_ends_a_process_ends_the_comparison():
    for stop in (KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(stop)):
            compare_backends(bowl, THETA, {"stopped": Answers(stop)}, CentralDifferences(samples=64))
    with pytest.raises(ZeroDivisionError):  # nothing can be compared with it
        compare_backends(bowl, THETA, {"autodiff": Autodiff()}, Answers(ZeroDivisionError()))


def test_numbers_and_arrays_are_taken_as_tensors():
    answer = Estimate(np.float32(0.5), np.array([1, 2.5]), [0.5, 0.25], np.int64(7), np.float64(0.5))
    found = checked_estimate(Answers(answer), bowl, THETA)
    assert found.value.dtype == found.gradient.dtype == found.standard_error.dtype == torch.float64
    assert found.gradient.tolist() == [1.0, 2.5]
    assert found.standard_error.tolist() == [0.5, 0.25]
    assert found.evaluations == 7
    leaf = THETA.clone().requires_grad_()
    assert not checked_estimate(Answers(replace(GOOD, gradient=2.0 * leaf)), bowl, THETA).gradient.requires_grad
    single = checked_estimate(Answers(replace(GOOD, gradient=2.0 * THETA)), bowl, THETA.float())
    assert single.gradient.dtype == torch.float32
    # A standard error that is not finite is a way to say that there is none.
    (row,) = compare_backends(
        bowl, THETA, {"none": Answers(replace(GOOD, standard_error=THETA * float("inf")))}, Autodiff()
    ).rows
    assert row.standard_error is None


def test_batches():
    batch = torch.stack([THETA, 2.0 * THETA])
    with pytest.raises(BackendFault, match=r"shape \[2\] for theta of shape \[2, 2\].*takes batches of thetas too"):
        checked_estimate(Answers(lambda theta: replace(GOOD, value=bowl(theta))), bowl, batch)
    exact = Answers(lambda theta: replace(GOOD, value=bowl(theta), gradient=2.0 * theta))
    assert torch.equal(checked_estimate(exact, bowl, batch).gradient, 2.0 * batch)


def test_the_traceback_is_logged(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, logger="carom.gradients"), pytest.raises(BackendFault) as raised:
        checked_estimate(Answers(KeyError("where")), bowl, THETA)
    assert isinstance(raised.value.__cause__, KeyError)
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError


def test_every_user_of_backends_says_what_failed():
    bad = Answers(ZeroDivisionError("division by zero"))
    said = "ZeroDivisionError: division by zero"
    backends, scale = {"bad": bad, "autodiff": Autodiff()}, torch.tensor([0.1, 0.1], dtype=torch.float64)
    found = gradient_field(bowl, THETA, backends, (0, 1), scale, points=3, samples=8, seed=0)
    assert said in found.notes[0]
    assert list(found.gradients) == ["autodiff"]
    singles = single_samples(bowl, THETA, backends, 2.0 * THETA, scale, samples=8, seed=0)
    assert said in singles.notes[0]
    assert "autodiff" in singles.samples
    raced = race(bowl, THETA, backends, scale, plan=RacePlan(budget=40, starts=2), seed=0)
    assert said in raced.failed["bad"]
    assert list(raced.by_name) == ["autodiff"]
    verdict = diagnose(bowl, THETA, samples=16, backends={"bad": bad}).verdicts["bad"]
    assert said in verdict.text
    with pytest.raises(RunError, match=said):
        minimize(bowl, THETA, Adam(0.1), backend=bad, rollouts=100)
    with pytest.raises(ZeroDivisionError):  # as it is: torch stops checkpoints by exceptions of its own
        differentiable(Quadratic(), bad)(THETA.clone().requires_grad_())
    with pytest.raises(BackendFault, match="returned a NoneType"):
        differentiable(Quadratic(), Answers(None))(THETA.clone().requires_grad_())


def test_a_descent_out_of_the_domain_ends_nothing():
    """Where the objective raises, a theta has no cost; the descent that got there does not take the others with it."""

    def fenced(theta):
        if bool((theta.abs() > 1.0).any()):
            raise ValueError("outside")
        return bowl(theta)

    rows = torch.tensor([[0.5, 0.0], [2.0, 0.0], [0.0, -0.5]], dtype=torch.float64)
    costs = evaluate_in_calls(fenced, rows, finite=False, at_once=2)
    assert costs[[0, 2]].tolist() == [0.25, 0.25]
    assert bool(torch.isnan(costs[1]))
    for bad, options in ((rows, {"finite": True}), (4.0 * rows[1:2], {"finite": False})):
        with pytest.raises(ValueError, match="outside"):
            evaluate_in_calls(fenced, bad, **options)
    far = Answers(lambda theta: replace(GOOD, value=torch.zeros(theta.shape[:-1]), gradient=-2.0 * theta))  # uphill
    result = carom.compare(fenced, THETA, backends={"far": far, "autodiff": Autodiff()}, scale=0.05, rollouts=100)
    assert [row.error for row in result.comparison.rows] == [None, None]
    assert next(iter(result.race.by_name)) == "autodiff"


class Plane:
    """A plane through costs at random points, all in NumPy; of one theta, without an error bar."""

    def __init__(self, scale=0.02, n=64):
        self.scale, self.n = scale, n

    def estimate(self, objective, theta, seed=0):
        moves = np.random.default_rng(seed).normal(size=(self.n, len(theta))) * self.scale
        costs = objective(np.asarray(theta) + moves)
        assert isinstance(costs, np.ndarray)
        fit, *_ = np.linalg.lstsq(np.c_[np.ones(self.n), moves], costs, rcond=None)
        return Estimate(fit[0], fit[1:], None, self.n, 0.0)


def test_a_backend_in_numpy_takes_objectives_of_tensors_and_of_arrays():
    def bowl_of_arrays(theta):
        return np.sum(theta**2, axis=1)

    slope = torch.tensor([3.0, -2.0], dtype=torch.float64)
    for line in (lambda x: x @ slope.to(x), lambda x: np.asarray(x) @ slope.numpy()):  # where the fit is exact
        assert torch.allclose(checked_estimate(Plane(), line, THETA).gradient, slope, rtol=1e-9)
    for objective in (bowl, bowl_of_arrays):
        single = checked_estimate(Plane(), objective, THETA.float(), seed=1)
        assert single.gradient.dtype == torch.float32
        best = minimize(objective, THETA, Adam(0.05), backend=Plane(), rollouts=3000)
        assert best.cost < 0.02 * best.start_cost
        double = Autodiff().estimate(bowl, torch.stack([THETA, 2.0 * THETA]))
        rows = checked_batch(Plane(scale=1e-4), objective, torch.stack([THETA, 2.0 * THETA]), seed=1)
        assert torch.allclose(rows.gradient, double.gradient, rtol=1e-3)
        assert (rows.value.shape, rows.evaluations, rows.standard_error) == ((2,), 128, None)
        raced = race(objective, THETA, {"plane": Plane(), "autodiff": Autodiff()}, THETA.abs(), plan=RacePlan(), seed=0)
        assert "plane" in raced.by_name


def test_a_backend_in_torch_calls_objectives_of_arrays_directly():
    class Direct:
        def estimate(self, objective, theta, *, seed=0):
            ends = theta + 1e-4 * torch.cat([torch.eye(2), -torch.eye(2)]).to(theta)
            plus, minus = objective(ends).view(2, 2)
            return Estimate(objective(theta[None])[0], (plus - minus) / 2e-4, None, 5, 0.0)

    found = checked_estimate(Direct(), lambda x: np.sum(x**2, axis=1), THETA)
    assert torch.allclose(found.gradient, 2.0 * THETA, rtol=1e-7)

    class Inside:
        """One with a backend of carom inside, and torch's own derivative."""

        def estimate(self, objective, theta, *, seed=0):
            leaf = theta.clone().requires_grad_()
            (slope,) = torch.autograd.grad(objective(leaf[None]).sum(), leaf)
            exact = Autodiff().estimate(objective, theta)
            assert torch.equal(exact.gradient, slope)
            return exact

    assert torch.equal(
        checked_estimate(Inside(), Quadratic(), THETA).gradient, Quadratic().value_and_gradient(THETA[None])[1][0]
    )
