"""Optional attributes: what is absent is left out, a property with a fault is an error that names it."""

import pytest
import torch

import carom
from carom.capabilities import body_colors, can_soften, parameter_names, rollout_work, unit_of
from carom.gradients import GradientError
from carom.gradients.core.optional import has_methods, optional


class Plain:
    """An objective without anything optional."""

    def __call__(self, theta):
        return theta.square().sum(-1)


class Faulty(Plain):
    """One whose properties and methods are spelled wrong inside."""

    @property
    def rollout_work(self):
        return self.stepz * 3  # no such attribute

    @property
    def parameter_names(self):
        return self.names_of_mine

    @property
    def value_and_gradient(self):
        return self.missing


class Wrapper:
    """Passes on what it has not."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_absent_attributes_have_their_default():
    assert rollout_work(Plain()) == 0.0
    assert unit_of(Plain()) == ""
    assert parameter_names(Plain(), 2) == ("theta0", "theta1")
    assert body_colors(Plain()) is None
    assert not can_soften(Plain())
    assert optional(Wrapper(Plain()), "absent", 3) == 3
    assert not has_methods(Wrapper(Plain()), "absent")


@pytest.mark.parametrize("wrap", [lambda x: x, Wrapper], ids=["own", "wrapped"])
@pytest.mark.parametrize(
    ("read", "name", "missing"),
    [
        (rollout_work, "rollout_work", "stepz"),
        (lambda o: parameter_names(o, 2), "parameter_names", "names_of_mine"),
        (lambda o: has_methods(o, "value_and_gradient"), "value_and_gradient", "missing"),
    ],
)
def test_a_property_with_a_fault_is_no_absent_one(read, name, missing, wrap):
    with pytest.raises(GradientError, match=f"{name} of (Faulty|Wrapper) .*'{missing}'"):
        read(wrap(Faulty()))


def test_a_comparison_says_so():
    with pytest.raises(GradientError, match="rollout_work of Faulty is defined but cannot be read"):
        carom.compare(Faulty(), theta=torch.zeros(2), backends=["autodiff"])
