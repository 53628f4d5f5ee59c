"""Score-function gradients for stochastic policies: action noise at every step, reward-to-go, baselines, GAE."""

from .advantages import generalized_advantages, returns
from .baselines import Baseline, Constant, LeaveOneOut, NoBaseline
from .critics import LinearCritic, NetworkCritic
from .gradient import PolicyGradient
from .problem import ControlProblem, OpenLoop, open_loop_objective
from .rollouts import Rollouts

__all__ = [
    "Baseline",
    "Constant",
    "ControlProblem",
    "LeaveOneOut",
    "LinearCritic",
    "NetworkCritic",
    "NoBaseline",
    "OpenLoop",
    "PolicyGradient",
    "Rollouts",
    "generalized_advantages",
    "open_loop_objective",
    "returns",
]
