"""Closed-loop tasks by name. A new one is one entry here."""

from __future__ import annotations

import difflib
from typing import Any

from ..errors import TaskError
from ..options import construct
from ..registry import tasks
from .carrots import CarrotsControl
from .interface import ControlTask
from .pushing import BoxPushingControl, PushControl, PushTControl
from .search import SearchControl

__all__ = ["CONTROL_TASKS", "control_tasks", "make_control"]

CONTROL_TASKS: dict[str, Any] = {
    task.name: task for task in (PushControl, PushTControl, CarrotsControl, BoxPushingControl, SearchControl)
}


def control_tasks() -> dict[str, str]:
    """Name and one-line description of every closed-loop task."""
    return {name: task.description for name, task in CONTROL_TASKS.items()}


def make_control(name: str, **options: Any) -> ControlTask:
    """The closed-loop task called ``name``; options are those of its class.

    Raises:
        TaskError: There is no such task, or it does not take one of the options.
    """
    if name not in CONTROL_TASKS:
        close = difflib.get_close_matches(name, CONTROL_TASKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        if name in tasks():
            hint = f"an objective is stepped by 'search' with the option objective={name}; "
        raise TaskError(f"unknown closed-loop task {name!r}; {hint}there are {', '.join(CONTROL_TASKS)}")
    task: ControlTask = construct(f"closed-loop task {name!r}", CONTROL_TASKS[name], options)
    return task
