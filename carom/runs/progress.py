"""Display of the progress of a run: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from .loop import Progress

__all__ = ["shown_progress"]

SECONDS = 5.0
"""Seconds between the lines in a log."""


@contextmanager
def shown_progress(
    console: Console, describe: Callable[[Progress], tuple[float, str]]
) -> Iterator[Callable[[Progress], None]]:
    """Callback for ``iterate(report=...)`` that shows the progress on the console while the block lasts.

    Args:
        console: Console: a bar if it is a terminal, else lines, the first and the last and one every few seconds.
        describe: Share done, from 0 to 1, and a line of text, of the progress.
    """
    if console.is_terminal:
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task("beginning", total=1.0)

            def draw(now: Progress) -> None:
                share, words = describe(now)
                bar.update(task, completed=min(share, 1.0), description=words)

            yield draw
        return
    last = -SECONDS

    def write(now: Progress) -> None:
        nonlocal last
        if now.stop is not None or time.monotonic() - last >= SECONDS:
            console.print(f"carom: {describe(now)[1]}", highlight=False, soft_wrap=True)
            last = time.monotonic()

    yield write
