"""Gradients of any objective by interchangeable backends.

An objective is a callable from parameters [batch, parameters] to costs [batch]. A backend turns it into an
:class:`Estimate`: value, gradient, standard error, rollouts used, diagnostics. See each backend for when to prefer it.
"""

from .algorithm_smoothing import AlgorithmSmoothing
from .autodiff import Autodiff
from .boundary import Boundary
from .bundles import Bundle, Bundling
from .categorical import REBAR, REINFORCE, RELAX, CategoricalObjective, Concrete, Enumeration, RelaxedObjective
from .compare import Comparison, ComparisonRow, compare_backends
from .control_variates import LAX, ControlVariateState, VarianceTraining
from .differentiable import Differentiable, differentiable
from .distributed import Distributed, Shareable
from .distributions import DISTRIBUTIONS, Cauchy, Distribution, Gaussian, Gumbel, Laplace, Logistic, Triangular
from .errors import GradientError
from .interface import Backend, DifferentiableObjective, Estimate, Objective
from .jacobian import smoothed_jacobian
from .learned import Box, Cloud, ControlVariate, FittedSurrogate, fit_surrogate, load_surrogate
from .median_smoothing import MedianSmoothing
from .mixed import Mixed
from .mixing import AlphaOrder, InverseVariance
from .policy import ControlProblem, OpenLoop, PolicyGradient
from .processes import Processes, join_processes
from .progress import progress_bar
from .reference import CentralDifferences
from .registry import backend_names, make_backend
from .sampling import (
    SAMPLINGS,
    Cartesian,
    CartesianRQMC,
    LatinHypercube,
    MonteCarlo,
    QuasiMonteCarlo,
    RandomizedQMC,
    Sampling,
)
from .smoothing import Smoothing
from .softened import GeometricWidth, Softened
from .steps import DifferentiableStep, Step
from .surrogate import Surrogate

__all__ = [
    "DISTRIBUTIONS",
    "LAX",
    "REBAR",
    "REINFORCE",
    "RELAX",
    "SAMPLINGS",
    "AlgorithmSmoothing",
    "AlphaOrder",
    "Autodiff",
    "Backend",
    "Boundary",
    "Box",
    "Bundle",
    "Bundling",
    "Cartesian",
    "CartesianRQMC",
    "CategoricalObjective",
    "Cauchy",
    "CentralDifferences",
    "Cloud",
    "Comparison",
    "ComparisonRow",
    "Concrete",
    "ControlProblem",
    "ControlVariate",
    "ControlVariateState",
    "Differentiable",
    "DifferentiableObjective",
    "DifferentiableStep",
    "Distributed",
    "Distribution",
    "Enumeration",
    "Estimate",
    "FittedSurrogate",
    "Gaussian",
    "GeometricWidth",
    "GradientError",
    "Gumbel",
    "InverseVariance",
    "Laplace",
    "LatinHypercube",
    "Logistic",
    "MedianSmoothing",
    "Mixed",
    "MonteCarlo",
    "Objective",
    "OpenLoop",
    "PolicyGradient",
    "Processes",
    "QuasiMonteCarlo",
    "RandomizedQMC",
    "RelaxedObjective",
    "Sampling",
    "Shareable",
    "Smoothing",
    "Softened",
    "Step",
    "Surrogate",
    "Triangular",
    "VarianceTraining",
    "backend_names",
    "compare_backends",
    "differentiable",
    "fit_surrogate",
    "join_processes",
    "load_surrogate",
    "make_backend",
    "progress_bar",
    "smoothed_jacobian",
]
