"""Bounds that do not fit theta are refused before anything runs."""

import pytest
import torch

import carom
from carom.gradients import GradientError


class Bowl:
    name = "bowl"

    def __init__(self, bounds):
        self.parameter_bounds = bounds

    def __call__(self, theta):
        return theta.square().sum(-1)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "cmaes"])
@pytest.mark.parametrize(("bounds", "message"), [
    (([1.0] * 4, [0.0] * 4), "wrong way round for parameter 0: 1 above 0"),
    (([0.0] * 3, [1.0] * 3), r"lower bounds of 'bowl' have shape \(3,\)"),
    ((0.0, [1.0, float("nan"), 1.0, 1.0]), "none of them nan"),
])  # fmt: skip
def test_bounds_that_do_not_fit(optimizer, bounds, message):
    theta = torch.zeros(4, dtype=torch.float64)
    gradient = None if optimizer == "cmaes" else "smoothing"
    with pytest.raises(GradientError, match=message):
        carom.optimize(Bowl(bounds), theta, gradient=gradient, optimizer=optimizer, rollouts=200)
