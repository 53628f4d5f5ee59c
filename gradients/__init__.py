"""Gradients of any objective by interchangeable backends.

An objective is a callable from parameters [batch, parameters] to costs [batch]. A backend turns it into an
:class:`Estimate`: value, gradient, standard error, rollouts used, diagnostics. See each backend for when to prefer it.
"""

from .categorical import REBAR, REINFORCE, RELAX, CategoricalObjective, Concrete, Enumeration, RelaxedObjective
from .compare import Comparison, ComparisonRow, compare_backends
from .control_variates import LAX, ControlVariateState, VarianceTraining
from .core.checks import as_batch
from .core.errors import BackendFault, GradientError
from .core.interface import Backend, DifferentiableObjective, Estimate, Objective
from .core.objective import evaluate
from .core.step_calls import DifferentiableStep, Step
from .core.unrolled import UnrolledObjective
from .core.unrolled_controls import unrolled_controls
from .differentiable import Differentiable, differentiable
from .estimators.algorithm_smoothing import AlgorithmSmoothing
from .estimators.autodiff import Autodiff
from .estimators.boundary.estimator import Boundary
from .estimators.bundles import Bundle, Bundling
from .estimators.central_differences import CentralDifferences
from .estimators.ddcg import DDCG
from .estimators.median_smoothing import MedianSmoothing
from .estimators.mixed import Mixed
from .estimators.mixing import AlphaOrder, InverseVariance, Remainder
from .estimators.smoothed_jacobian import smoothed_jacobian
from .estimators.smoothing.estimator import Smoothing
from .estimators.softened import GeometricWidth, Softened
from .estimators.surrogate import Surrogate
from .estimators.unrolled.clipped import Clipped
from .estimators.unrolled.ivwh import IVWH
from .estimators.unrolled.persistent import PersistentES
from .estimators.unrolled.truncated import Truncated
from .learned import Box, Cloud, ControlVariate, FittedSurrogate, fit_surrogate, load_surrogate
from .noise.distributions import DISTRIBUTIONS, Cauchy, Distribution, Gaussian, Gumbel, Laplace, Logistic, Triangular
from .noise.sampling import (
    SAMPLINGS,
    Cartesian,
    CartesianRQMC,
    LatinHypercube,
    MonteCarlo,
    QuasiMonteCarlo,
    RandomizedQMC,
    Sampling,
)
from .parallel.distributed import Distributed, Shareable
from .parallel.processes import Processes, join_processes
from .policy import ControlProblem, OpenLoop, PolicyGradient
from .progress_bar import progress_bar
from .registry import backend_names, make_backend, register, unregister

__all__ = [
    "DDCG",
    "DISTRIBUTIONS",
    "IVWH",
    "LAX",
    "REBAR",
    "REINFORCE",
    "RELAX",
    "SAMPLINGS",
    "AlgorithmSmoothing",
    "AlphaOrder",
    "Autodiff",
    "Backend",
    "BackendFault",
    "Boundary",
    "Box",
    "Bundle",
    "Bundling",
    "Cartesian",
    "CartesianRQMC",
    "CategoricalObjective",
    "Cauchy",
    "CentralDifferences",
    "Clipped",
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
    "PersistentES",
    "PolicyGradient",
    "Processes",
    "QuasiMonteCarlo",
    "RandomizedQMC",
    "RelaxedObjective",
    "Remainder",
    "Sampling",
    "Shareable",
    "Smoothing",
    "Softened",
    "Step",
    "Surrogate",
    "Triangular",
    "Truncated",
    "UnrolledObjective",
    "VarianceTraining",
    "as_batch",
    "backend_names",
    "compare_backends",
    "differentiable",
    "evaluate",
    "fit_surrogate",
    "join_processes",
    "load_surrogate",
    "make_backend",
    "progress_bar",
    "register",
    "smoothed_jacobian",
    "unregister",
    "unrolled_controls",
]
