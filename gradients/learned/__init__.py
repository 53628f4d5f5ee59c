"""Learned gradients: fits of an objective that are kept, control variates from them, and models of the dynamics."""

from .control_variate import ControlVariate
from .dynamics import DynamicsSurrogate, fit_dynamics, load_dynamics
from .fit import FitReport
from .fitted import FittedSurrogate, fit_surrogate
from .grid import GridCosts, cost_on_grid, load_grid
from .landscape import LandscapeFit, fit_landscape
from .progress import Progress
from .regions import Box, Cloud, Region
from .storage import load_surrogate

__all__ = [
    "Box",
    "Cloud",
    "ControlVariate",
    "DynamicsSurrogate",
    "FitReport",
    "FittedSurrogate",
    "GridCosts",
    "LandscapeFit",
    "Progress",
    "Region",
    "cost_on_grid",
    "fit_dynamics",
    "fit_landscape",
    "fit_surrogate",
    "load_dynamics",
    "load_grid",
    "load_surrogate",
]
