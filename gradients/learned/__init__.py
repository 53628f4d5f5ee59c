"""Learned gradients: fits of an objective that are kept, control variates from them, and models of the dynamics."""

from .control_variate import ControlVariate
from .fit import FitReport
from .fitted import FittedSurrogate, fit_surrogate
from .grid import GridCosts, cost_on_grid, load_grid
from .progress import Progress
from .regions import Box, Cloud, Region
from .storage import load_surrogate

__all__ = [
    "Box",
    "Cloud",
    "ControlVariate",
    "FitReport",
    "FittedSurrogate",
    "GridCosts",
    "Progress",
    "Region",
    "cost_on_grid",
    "fit_surrogate",
    "load_grid",
    "load_surrogate",
]
