"""Bad input to control variates, choices and mixtures: each message names the thing and the way out."""

from __future__ import annotations

import math

import pytest
import torch

from carom.gradients import (
    LAX,
    REBAR,
    REINFORCE,
    RELAX,
    AlphaOrder,
    Autodiff,
    Concrete,
    Enumeration,
    GradientError,
    InverseVariance,
    Mixed,
    RelaxedObjective,
    Smoothing,
    VarianceTraining,
)

from .choice_problems import problem

BRIEF = VarianceTraining(rounds=1, steps=1)
CHOOSERS = [
    REINFORCE(2, samples=8),
    REBAR(2, samples=8, training=BRIEF),
    RELAX(2, samples=8, training=BRIEF),
    Enumeration(2),
]


def name_of(backend):
    return type(backend).__name__


def zeros(count):
    return torch.zeros(count, dtype=torch.float64)


@pytest.mark.parametrize("backend", [*CHOOSERS, Concrete(2)], ids=name_of)
@pytest.mark.parametrize(
    ("theta", "words"),
    [
        (torch.zeros(3), r"theta has 3 logits.*multiple of categories = 2.*flattened"),
        (torch.zeros(2, 2, 2), r"shape \[2, 2, 2\]"),
        (torch.tensor([0.0, math.nan]), r"theta\[1\] = nan"),
        (torch.zeros(2, dtype=torch.int64), "int64"),
        (["a", "b"], "list that is no array of real numbers"),
    ],
)
def test_logits(backend, theta, words):
    with pytest.raises(GradientError, match=words):
        backend.estimate(problem(1, 2)[0], theta)


@pytest.mark.parametrize("backend", CHOOSERS, ids=name_of)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda c: c.double(), r"'test_cost' returned shape \[\d+, 1\] for choices of shape \[\d+, 1\]"),
        (lambda c: 1.0, "returned a float"),
        (lambda c: c[:, 0] / torch.zeros(()), r"not finite in \d+ of \d+ rollouts \(row \d+, \["),
        (lambda c: c[:, 0] + 1j, "real costs"),
    ],
)
def test_costs(backend, answer, words):
    def test_cost(choices):
        return answer(choices)

    objective = RelaxedObjective(test_cost, lambda weights: weights[:, 0, 0])
    with pytest.raises(GradientError, match=words):
        backend.estimate(objective, zeros(2))


@pytest.mark.parametrize("backend", CHOOSERS, ids=name_of)
def test_not_callable(backend):
    with pytest.raises(GradientError, match="callable from choices"):
        backend.estimate(3, zeros(2))


@pytest.mark.parametrize("backend", [Concrete(2), REBAR(2, training=BRIEF)], ids=name_of)
def test_relaxed(backend):
    def cost(choices):
        return choices[:, 0].double()

    with pytest.raises(GradientError, match=rf"'cost' has no relaxed version, which {name_of(backend)} needs.*RELAX"):
        backend.estimate(cost, zeros(2))
    for relaxed, words in [
        (lambda w: w[:, 0], r"cost\.relaxed' returned shape \[\d+, 2\]"),
        (lambda w: w[:, 0, 0].detach(), "does not reach the weights"),
        (lambda w: w[:, 0, 0] / 0.0, "not finite"),
        (lambda w: 1.0, "returned a float"),
    ]:
        with pytest.raises(GradientError, match=words):
            backend.estimate(RelaxedObjective(cost, relaxed), zeros(2))


@pytest.mark.parametrize(
    ("backend", "options", "words"),
    [
        (REINFORCE, {"categories": 1}, "categories is 1"),
        (REINFORCE, {"categories": 2, "baseline": "meen"}, "Did you mean 'mean'"),
        (REINFORCE, {"categories": 2, "samples": 2}, "samples is 2"),
        (REBAR, {"categories": 2, "baseline": "mean"}, "leave_one_out, none"),
        (REBAR, {"categories": 2, "temperature": 0.0}, "temperature is 0.0"),
        (REBAR, {"categories": 2, "eta": math.inf}, "eta is inf"),
        (RELAX, {"categories": 2, "temperature": -1}, "temperature is -1"),
        (RELAX, {"categories": 2, "hidden": ()}, "hidden is empty"),
        (RELAX, {"categories": 2, "state": 3}, "ControlVariateState"),
        (RELAX, {"categories": 2, "training": 3}, "VarianceTraining"),
        (Concrete, {"categories": 2, "temperature": math.nan}, "temperature is nan"),
        (Enumeration, {"categories": 2, "limit": 0}, "limit"),
        (LAX, {"scale": -1.0}, "scale"),
        (LAX, {"samples": 2}, "samples is 2"),
        (LAX, {"variate": 3}, "variate is 3"),
        (LAX, {"hidden": (0,)}, r"hidden\[0\]"),
        (LAX, {"baseline": "value"}, "leave_one_out, none"),
        (LAX, {"chunk": 0}, "chunk"),
        (VarianceTraining, {"rounds": 0}, "rounds"),
        (VarianceTraining, {"steps": -1}, "steps"),
        (VarianceTraining, {"learning_rate": 0.0}, "learning_rate"),
        (VarianceTraining, {"validation": 0.9}, "validation"),
        (AlphaOrder, {"delta": 0.0}, "delta is 0.0: give a probability"),
        (AlphaOrder, {"delta": 1.0}, "delta is 1.0"),
        (AlphaOrder, {"gamma": -1.0}, "gamma"),
        (AlphaOrder, {"bound": math.inf}, "bound"),
        (AlphaOrder, {"gamma": 1.0}, "nothing would be admitted"),
        (AlphaOrder, {"unit": "epsilon"}, "Did you mean 'eps'"),
        (InverseVariance, {"per": "parameter"}, "coordinate, gradient"),
        (Mixed, {"first": Smoothing()}, "first is of order 'zeroth'"),
        (Mixed, {"zeroth": Smoothing(order="first")}, "zeroth is of order 'first'"),
        (Mixed, {"zeroth": Smoothing(scale=0.1)}, "scale 0.02 and zeroth 0.1"),
        (Mixed, {"zeroth": Smoothing(distribution="laplace")}, "'gaussian' and zeroth 'laplace'"),
        (Mixed, {"first": 3}, "give a backend"),
        (Mixed, {"rule": 3}, "rule is 3"),
    ],
)
def test_options(backend, options, words):
    with pytest.raises(GradientError, match=words):
        backend(**options)


@pytest.mark.parametrize(
    ("variate", "words"),
    [
        (lambda x: x, "return one number per row"),
        (lambda x: 1.0, "float"),
        (lambda x: x.detach().flatten(1).sum(1), "does not reach"),
        (lambda x: x.flatten(1).sum(1) / 0.0, "finite"),
    ],
)
def test_a_control_variate_of_ones_own(variate, words):
    with pytest.raises(GradientError, match=words):
        LAX(variate=variate).estimate(lambda x: x.sum(1), zeros(2))
    with pytest.raises(GradientError, match=words):
        RELAX(2, variate=variate).estimate(problem(1, 2)[0], zeros(2))


def test_training_that_diverges():
    training = VarianceTraining(rounds=2, steps=3, learning_rate=1e200, validation=0.0)
    with pytest.raises(GradientError, match=r"diverged.*smaller learning_rate.*validation"):
        LAX(samples=64, training=training).estimate(lambda x: x.square().sum(1), zeros(2))


def test_mixtures_need_error_bars_and_gradients():
    with pytest.raises(GradientError, match="Autodiff gives no standard error"):
        Mixed(first=Autodiff()).estimate(lambda x: x.square().sum(1), zeros(2))
    with pytest.raises(GradientError, match="no exact gradient"):
        Mixed().estimate(lambda x: (x > 0).double().sum(1), zeros(2))
