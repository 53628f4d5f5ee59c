"""Errors for options that a task does not take."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ..plain import plain
from ..sim import SimulationError, Simulator
from ..sim.stepping.options import SimulatorOptions
from .errors import TaskError

__all__ = ["construct"]


def construct(what: str, make: type, options: Mapping[str, Any]) -> Any:
    """``make(**options)``; errors are TaskErrors that name the option.

    Args:
        what: Owner of the options in messages, e.g. ``"task 'push'"``.
        make: Class of the task.
        options: Options that were given.

    Raises:
        TaskError: It takes no such option, or one is of a wrong type. Its own errors stay as they are.
    """
    options = {name: plain(value) for name, value in options.items()}
    if dataclasses.is_dataclass(make):
        for field in dataclasses.fields(make):
            value = options.get(field.name, 0.0)
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if field.type in (float, "float") and not number:
                raise TaskError(f"{what}: {field.name} must be a finite number, got {value!r}")
    try:
        return make(**options)
    except (TaskError, SimulationError):
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise _refused(what, make, options, error) from error


def _refused(what: str, make: type, options: Mapping[str, Any], error: Exception) -> TaskError:
    """The TaskError for an error of a constructor: the option, and the options that there are.

    The options are those of the constructors that the error came through.
    """
    found = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if found is None:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return TaskError(f"{what}: {error}; the options given are {given or 'none'}: one of them is of a wrong type")
    name = found[1]
    known = list(dict.fromkeys([*_named(make), *_taken(error.__traceback__)]))
    simulator = [field.name for field in dataclasses.fields(SimulatorOptions)]
    further = simulator if _came_through(Simulator.__init__, error.__traceback__) else []
    close = difflib.get_close_matches(name, [*known, *further], n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    beside = f"; of the simulator {', '.join(n for n in further if n not in known)}" if further else ""
    return TaskError(
        f"{what} got an unexpected keyword argument {name!r}; {hint}options are {', '.join(known) or 'none'}{beside}"
    )


def _named(make: type) -> list[str]:
    """Names of the arguments of a class itself."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, one in inspect.signature(make).parameters.items() if one.kind in kinds]


def _came_through(function: Any, trace: TracebackType | None) -> bool:
    """Whether an error was raised in a function or in what it called."""
    while trace is not None:
        if trace.tb_frame.f_code is function.__code__:
            return True
        trace = trace.tb_next
    return False


def _taken(trace: TracebackType | None) -> list[str]:
    """Names of the arguments of all constructors that an error came through, the outermost first."""
    names: dict[str, None] = {}
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "__init__":
            names |= dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        trace = trace.tb_next
    return [name for name in names if name not in ("self", "model")]
