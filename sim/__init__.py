"""Scene builder, model, state and simulator: the parts that a user builds and steps."""

from . import rotations
from .derivatives.jacobian import step_jacobian
from .derivatives.minimal_coordinates import StateCoordinates
from .derivatives.step_function import SimulatorStep
from .errors import (
    CapacityError,
    ConvergenceError,
    DerivativeError,
    DeviceError,
    ModelError,
    RecordingError,
    SimulationError,
    SimulationWarning,
    StateError,
)
from .recordings.energy import Energy, energy
from .recordings.recording import Recording, join_recordings, record
from .scene.builder import STATIC, ModelBuilder
from .scene.model import PARAMETERS, Model, load_scene
from .state import Diagnostics, State, Trajectory
from .stepping.contact_functions import Hard, LogBarrier, Softplus
from .stepping.options import SimulatorOptions
from .stepping.simulator import Simulator

__all__ = [
    "PARAMETERS",
    "STATIC",
    "CapacityError",
    "ConvergenceError",
    "DerivativeError",
    "DeviceError",
    "Diagnostics",
    "Energy",
    "Hard",
    "LogBarrier",
    "Model",
    "ModelBuilder",
    "ModelError",
    "Recording",
    "RecordingError",
    "SimulationError",
    "SimulationWarning",
    "Simulator",
    "SimulatorOptions",
    "SimulatorStep",
    "Softplus",
    "State",
    "StateCoordinates",
    "StateError",
    "Trajectory",
    "energy",
    "join_recordings",
    "load_scene",
    "record",
    "rotations",
    "step_jacobian",
]
