"""Parts that subcommands share: optional options, the task they name, and the display of the present stage."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.status import Status

__all__ = ["Stages", "file_name", "make_task", "option", "refuse_twice", "stages", "task_options", "whole_identity"]


def option(metavar: str) -> Any:
    """An option that may be left out; its help gives the default."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


def task_options(
    text: str | None, start: str | None = None, *, example: str = "--options pieces=20,friction=0.4"
) -> dict[str, Any]:
    """The options of a task given as ``name=value,name=value``; values are Python's literals, else plain text.

    Raises:
        TaskError: A part is not of this form, or something is given twice.
    """
    from ..envs import TaskError

    found: dict[str, Any] = {} if start is None else {"start": start}
    for part in _parts(text or ""):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (equals and name.isidentifier() and value):
            raise TaskError(f"{part!r} is not of the form name=value, as in {example}")
        if name in found:
            raise TaskError(f"{name} is given twice, as {found[name]!r} and as {value}: leave one out")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def refuse_twice(options: dict[str, Any], places: dict[str, Any]) -> None:
    """Refuse what is given among the options and by an option of its own.

    Raises:
        TaskError: There is such a thing.
    """
    from ..envs import TaskError

    for key, value in places.items():
        if key in options:
            raise TaskError(f"{key} is given twice, as --{key} {value} and in --options: leave one out")


@contextmanager
def whole_identity(path: Path) -> Iterator[None]:
    """Check of what the block makes of the identity in a run.json, which somebody may have changed.

    Raises:
        RunError: A part of it is missing, or of a wrong kind.
    """
    from ..runs import RUN, RunError

    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path / RUN} is damaged: it does not say what the run is ({type(error).__name__}: {error}). Begin anew"
        ) from None


def make_task(name: str, options: dict[str, Any], device: str | None, dtype: str | None) -> tuple[Any, Any]:
    """The task with the options given, and theta; one without a device or precision of its own follows theta's."""
    from ..envs import TaskError, make
    from ..envs.registry import option_names
    from ..gradients.core.optional import has_methods
    from ..sim.devices import check_device, check_dtype

    places = {key: value for key, value in (("device", device), ("dtype", dtype)) if value is not None}
    known = option_names(name)
    taken = [*options, *places] if known is None else known
    refuse_twice(options, places)
    if "start" in options and "start" not in taken:
        raise TaskError(f"task {name!r} has no start to choose: leave out --start")
    task = make(name, **options, **{key: value for key, value in places.items() if key in taken})
    if not has_methods(task, "initial_parameters"):
        raise TaskError(
            f"task {name!r} has no initial_parameters(), and a command has no theta to start from: add the method, or "
            "compare it from Python, carom.compare(objective, theta)"
        )
    theta = task.initial_parameters()
    if device is not None and "device" not in taken:
        theta = theta.to(check_device(device))
    if dtype is not None and "dtype" not in taken:
        theta = theta.to(check_dtype(dtype))
    return task, theta


class Stages:
    """Shows the present stage: a spinner on a terminal, a line for each in a log."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console, self._status = console, status

    def __call__(self, stage: str) -> None:
        """Name the stage that begins."""
        if self._status is None:
            self._console.print(f"carom: {stage}", highlight=False)
        else:
            self._status.update(stage)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No spinner while the block prints."""
        if self._status is not None:
            self._status.stop()
        yield
        if self._status is not None:
            self._status.start()


@contextmanager
def stages(console: Console) -> Iterator[Stages]:
    """A display of stages for the time of the block."""
    if not console.is_terminal:
        yield Stages(console, None)
        return
    with console.status("") as status:
        yield Stages(console, status)


def file_name(*parts: str | None) -> str:
    """A name for a folder, of the parts that there are."""
    return "-".join("".join(c if c.isalnum() or c in "_." else "_" for c in part) for part in parts if part)


def _parts(text: str) -> list[str]:
    """Parts between the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in (part.strip() for part in parts) if part]
