"""Gradients of any objective by interchangeable backends.

An objective is a callable from parameters [batch, parameters] to costs [batch]. A backend turns it into an
:class:`Estimate`: value, gradient, standard error, rollouts used, diagnostics. See each backend for when to prefer it.
"""

from .autodiff import Autodiff
from .compare import Comparison, ComparisonRow, compare_backends
from .differentiable import Differentiable, differentiable
from .distributions import Distribution, Gaussian
from .errors import GradientError
from .interface import Backend, DifferentiableObjective, Estimate, Objective
from .reference import CentralDifferences
from .registry import backend_names, make_backend
from .smoothing import Smoothing
from .surrogate import Surrogate

__all__ = [
    "Autodiff",
    "Backend",
    "CentralDifferences",
    "Comparison",
    "ComparisonRow",
    "Differentiable",
    "DifferentiableObjective",
    "Distribution",
    "Estimate",
    "Gaussian",
    "GradientError",
    "Objective",
    "Smoothing",
    "Surrogate",
    "backend_names",
    "compare_backends",
    "differentiable",
    "make_backend",
]
