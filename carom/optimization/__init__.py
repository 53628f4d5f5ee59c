"""Optimizers of objectives, with any gradient or none: ``minimize`` and its arguments."""

from .adam import Adam
from .cmaes import CMAES
from .driver import Result, minimize
from .interface import Optimizer, Step
from .lbfgs import LBFGS
from .mppi import MPPI
from .problem import BACKWARD_ROLLOUTS, Problem
from .registry import make_optimizer, optimizer_names

__all__ = [
    "BACKWARD_ROLLOUTS",
    "CMAES",
    "LBFGS",
    "MPPI",
    "Adam",
    "Optimizer",
    "Problem",
    "Result",
    "Step",
    "make_optimizer",
    "minimize",
    "optimizer_names",
]
