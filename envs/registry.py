"""Tasks by name. A new task is one entry here."""

from __future__ import annotations

import difflib
from inspect import signature
from typing import Any

from . import testbeds
from .carrots import Carrots
from .errors import TaskError
from .from_file import load_task, names_a_file, options_of
from .options import construct
from .tasks.billiards import Billiards
from .tasks.box_pushing import BoxPushing
from .tasks.corner_push import CornerPush
from .tasks.push import Push
from .tasks.push_t import PushT

__all__ = ["TASKS", "make", "option_names", "tasks"]

TESTBEDS = (
    testbeds.Heaviside,
    testbeds.HalfPlane,
    testbeds.DiscIndicator,
    testbeds.GrazingPush,
    testbeds.GapPush,
    testbeds.ScalarContact,
    testbeds.BoxOnBox,
    testbeds.Linear,
    testbeds.Quadratic,
    testbeds.Horizon,
    testbeds.BallWithWall,
    testbeds.MomentumTransfer,
    testbeds.Curling,
    testbeds.StiffCurling,
    testbeds.StiffnessSweep,
    testbeds.DragByFriction,
    testbeds.TentMap,
    testbeds.DoublePendulum,
    testbeds.DiscPacking,
    testbeds.Bounce,
    testbeds.TwoDiscs,
    testbeds.Choice,
    testbeds.BernoulliToy,
)

TASKS: dict[str, Any] = {
    task.name: task for task in (Push, PushT, BoxPushing, Carrots, CornerPush, Billiards, *TESTBEDS)
}


def tasks() -> dict[str, str]:
    """Name and one-line description of every task."""
    return {name: task.description for name, task in TASKS.items()}


def option_names(name: str) -> list[str] | None:
    """Names of the options that the task called ``name`` takes; None where there is no such task."""
    if names_a_file(name):
        return options_of(name)
    return list(signature(TASKS[name]).parameters) if name in TASKS else None


def make(name: str, **options: Any) -> Any:
    """The task called ``name``, an objective; options are those of its class.

    ``file.py:Name`` is an objective of one's own: a class or function in the file that makes it, or the objective
    itself. The file is run.

    Raises:
        TaskError: There is no such task, or it does not take one of the options.
    """
    if names_a_file(name):
        return load_task(name, options)
    if name not in TASKS:
        close = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TaskError(f"unknown task {name!r}; {hint}there are {', '.join(TASKS)}")
    return construct(f"task {name!r}", TASKS[name], options)
