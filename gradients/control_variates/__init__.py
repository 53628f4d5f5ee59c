"""Control variates that are trained on the variance of the estimate while it runs: unbiased whatever they learn."""

from .lax import LAX
from .state import ControlVariateState
from .training import VarianceTraining

__all__ = ["LAX", "ControlVariateState", "VarianceTraining"]
