"""A progress bar for long estimates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .estimators.smoothing.run import CountCallback

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(description: str = "rollouts", *, console: Console | None = None) -> Iterator[CountCallback]:
    """Callback for ``progress=`` that shows a bar on the terminal (standard error) while the block lasts.

    ::

        with progress_bar() as progress:
            estimate = Smoothing(samples=10**7, chunk=10**5).estimate(task, theta, progress=progress)

    A step of the bar is a chunk: an estimate without ``chunk`` is one step.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console or Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield update
