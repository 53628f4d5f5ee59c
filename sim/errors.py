"""The errors of the simulator. Each message names the input, the likely cause and the way out."""

__all__ = [
    "CapacityError",
    "ConvergenceError",
    "DerivativeError",
    "DeviceError",
    "ModelError",
    "RecordingError",
    "SimulationError",
    "SimulationWarning",
    "StateError",
]


class SimulationError(ValueError):
    """Base of all errors that the simulator raises about its inputs or its results."""


class SimulationWarning(UserWarning):
    """A result that is finite and converged but likely not what was meant."""


class ModelError(SimulationError):
    """A scene that cannot be simulated."""


class StateError(SimulationError):
    """A state, control or parameter of the wrong shape, or with values that cannot be."""


class DeviceError(SimulationError):
    """A device that is not there."""


class CapacityError(SimulationError):
    """More contacts than the simulator was given room for."""


class ConvergenceError(SimulationError):
    """A world whose contact solve did not reach its tolerance."""


class DerivativeError(SimulationError):
    """A derivative that the simulator does not have: a second one, one in forward mode, one under torch.vmap."""


class RecordingError(SimulationError):
    """A recording that cannot be read or written."""
