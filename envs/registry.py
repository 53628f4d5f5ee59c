"""Tasks by name. A new task is one entry here."""

from __future__ import annotations

import difflib
from typing import Any

from .analytic import GapPush, GrazingPush, Heaviside, Quadratic
from .carrots import Carrots
from .errors import TaskError
from .push import Push

__all__ = ["make", "tasks"]

TASKS: dict[str, Any] = {task.name: task for task in (Push, Carrots, Heaviside, GrazingPush, GapPush, Quadratic)}


def tasks() -> dict[str, str]:
    """Name and one-line description of every task."""
    return {name: task.description for name, task in TASKS.items()}


def make(name: str, **options: Any) -> Any:
    """The task called ``name``, an objective; options are those of its class.

    Raises:
        TaskError: There is no such task, or it does not take one of the options.
    """
    if name not in TASKS:
        close = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TaskError(f"unknown task {name!r}; {hint}there are {', '.join(TASKS)}")
    try:
        return TASKS[name](**options)
    except TypeError as error:
        raise TaskError(f"task {name!r}: {error}") from error
