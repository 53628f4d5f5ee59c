"""What a user builds and steps: scene builder, model, state, simulator."""

from .builder import STATIC, ModelBuilder
from .coordinates import StateCoordinates
from .energy import Energy, energy
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
from .jacobian import step_jacobian
from .model import PARAMETERS, Model
from .options import SimulatorOptions
from .recording import Recording, join_recordings, record
from .simulator import Simulator
from .softening import Hard, LogBarrier, Softplus
from .state import Diagnostics, State, Trajectory
from .step_function import SimulatorStep

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
    "record",
    "step_jacobian",
]
