"""Closed-loop control: ``make_control(name)`` gives a task with a differentiable ``step(state, action)`` in torch."""

from .carrots import CarrotsControl
from .interface import ControlState, ControlTask, StepResult
from .problem import FlatStates, control_problem
from .pushing import BoxPushingControl, PlanarPushing, PushControl, PushTControl
from .registry import control_tasks, make_control
from .search import SearchControl

__all__ = [
    "BoxPushingControl",
    "CarrotsControl",
    "ControlState",
    "ControlTask",
    "FlatStates",
    "PlanarPushing",
    "PushControl",
    "PushTControl",
    "SearchControl",
    "StepResult",
    "control_problem",
    "control_tasks",
    "make_control",
]
