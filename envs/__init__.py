"""Tasks: pushing, the carrot pile, and small testbeds with closed-form gradients. ``make(name)`` gives an objective."""

from . import testbeds
from .carrots import Carrots
from .errors import TaskError
from .registry import make, tasks
from .scene import Scene, WayPoints
from .task import Task
from .tasks.box_pushing import BoxPushing
from .tasks.push import Push
from .tasks.push_t import PushT
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
    "Scene",
    "Task",
    "TaskError",
    "WayPoints",
    "make",
    "tasks",
    "testbeds",
]
