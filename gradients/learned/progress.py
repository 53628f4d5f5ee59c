"""Progress of a long fit: one event type, and a bar on the terminal for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.errors import GradientError

__all__ = ["Progress", "ProgressCallback", "reporter"]


@dataclass(frozen=True)
class Progress:
    """State of one phase of a fit."""

    phase: str
    """``"rollouts"`` or ``"fit"``."""
    done: int
    """Rollouts or training steps done."""
    total: int
    """Rollouts or training steps of the phase; training may stop before."""
    training_error: float = math.nan
    """Root mean square error on the training data, in standard deviations of the data; nan for rollouts."""
    validation_error: float = math.nan
    """Root mean square error on the data that stop the training, in the same unit."""


ProgressCallback = Callable[[Progress], None]


@contextmanager
def reporter(progress: bool | ProgressCallback | None) -> Iterator[ProgressCallback]:
    """A callback for the fit: the user's own, a rich bar on stderr for True, or one that does nothing.

    Raises:
        GradientError: ``progress`` is neither a bool, None nor callable.
    """
    if progress is None or progress is False:
        yield lambda event: None
        return
    if progress is not True:
        if not callable(progress):
            raise GradientError(f"progress is {progress!r}: give True, False or a function that takes a Progress")
        yield progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(event: Progress) -> None:
            if event.phase not in tasks:
                tasks[event.phase] = bars.add_task(event.phase, total=event.total, note="")
            note = "" if math.isnan(event.validation_error) else f"validation error {event.validation_error:.3f}"
            bars.update(tasks[event.phase], completed=event.done, total=event.total, note=note)

        yield show
