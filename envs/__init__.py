"""Tasks: pushing, the carrot pile, and small testbeds with closed-form gradients. ``make(name)`` gives an objective."""

from . import testbeds
from .box_pushing import BoxPushing
from .carrots import Carrots
from .errors import TaskError
from .objective import Task
from .push import Push
from .push_t import PushT
from .registry import make, tasks
from .testbeds import GapPush, GrazingPush, Heaviside, Quadratic

__all__ = [
    "BoxPushing",
    "Carrots",
    "GapPush",
    "GrazingPush",
    "Heaviside",
    "Push",
    "PushT",
    "Quadratic",
    "Task",
    "TaskError",
    "make",
    "tasks",
    "testbeds",
]
