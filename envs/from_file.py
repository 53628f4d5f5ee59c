"""Tasks of one's own by file and name, as in ``carom compare scene.py:Bracket``."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import TaskError
from .options import construct

__all__ = ["load_task", "names_a_file", "options_of"]


def names_a_file(name: str) -> bool:
    """Whether a task's name is of the form ``file.py:Name``."""
    return ".py:" in name


def load_task(name: str, options: Mapping[str, Any]) -> Any:
    """The objective ``Name`` of ``file.py``, which is run as Python runs an imported file.

    A class, or a function without parameters of its own but options, is called with ``options``. An objective is taken
    as it is.

    Raises:
        TaskError: There is no such file or name, it is no objective, or it takes no options.
    """
    found = _found(name)
    if inspect.isclass(found):
        return construct(f"task {name!r}", found, options)
    if _makes(found):
        made = construct(f"task {name!r}", found, options)
        if not callable(made):
            raise TaskError(f"{name}() gave a {type(made).__name__}: let it return an objective")
        return made
    if options:
        raise TaskError(f"{name} is an objective and takes no options: leave out {', '.join(options)}, or give a class")
    return found


def options_of(name: str) -> list[str]:
    """Names of the options that the task ``file.py:Name`` takes.

    Raises:
        TaskError: There is no such file or name, or it is no objective.
    """
    found = _found(name)
    if not inspect.isclass(found) and not _makes(found):
        return []
    return list(inspect.signature(found).parameters)


def _found(name: str) -> Any:
    """The class, function or objective."""
    path, _, attribute = name.rpartition(":")
    module = _imported(Path(path), name)
    found = getattr(module, attribute, None)
    if found is None:
        own = [
            n
            for n, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", None) in (module.__name__, None)
        ]
        own += [n for n, v in vars(module).items() if hasattr(v, "initial_parameters") and n not in own]
        close = difflib.get_close_matches(attribute, own, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TaskError(f"{path} has no {attribute!r}; {hint}there are {', '.join(own) or 'no functions and classes'}")
    if not callable(found):
        raise TaskError(
            f"{name} is a {type(found).__name__}: give a class, a function that makes a task, or an objective"
        )
    return found


def _imported(path: Path, name: str) -> ModuleType:
    if not path.is_file():
        raise TaskError(f"there is no file {path}: the task is named as file.py:Name, got {name!r}")
    path = path.resolve()
    key = f"carom_task_{path.stem}_{abs(hash(str(path))):x}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # pickles and dataclasses look the module up
    sys.path.insert(0, str(path.parent))  # its neighbours, as where it is run
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[key]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


def _makes(function: Any) -> bool:
    """Whether a function makes a task: it can be called without a theta."""
    if not inspect.isfunction(function):
        return False
    parameters = inspect.signature(function).parameters.values()
    return all(
        p.default is not inspect.Parameter.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY)
        for p in parameters
    )
