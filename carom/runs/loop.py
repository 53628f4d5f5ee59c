"""The loop of a run: advance, note, save; and end in a way that can be continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..envs import TaskError
from ..gradients import GradientError
from ..sim import SimulationError
from .errors import RunError
from .folder import RunFolder

__all__ = ["Advance", "Progress", "iterate"]


@dataclass(frozen=True)
class Advance:
    """Result of one iteration."""

    state: Any
    """State of the run after it, as ``write_checkpoint`` takes it. The state before must be left as it was."""
    row: Mapping[str, float | int | None]
    """Row of the history; the same names in every iteration."""
    stop: str | None = None
    """Reason why the run ends here; None where it goes on."""


@dataclass
class Progress:
    """Progress of a run: exactly the content of a checkpoint, so that history and state never disagree."""

    iteration: int
    """Iterations done."""
    state: Any
    """State after them."""
    history: dict[str, list[float | int | None]] = field(default_factory=dict)
    """One list for each name in the rows, of a number for each iteration."""
    seconds: float = 0.0
    """Time of the iterations, in all processes that worked on the run [s]. It has no effect on the run."""
    stop: str | None = None
    """Reason why the run has ended; None before it has."""


def iterate(
    begin: Callable[[], Any],
    advance: Callable[[Any, int], Advance],
    *,
    folder: RunFolder | None = None,
    every: float = 5.0,
    report: Callable[[Progress], None] | None = None,
    how_to_resume: str = "",
) -> Progress:
    """Run until an iteration says that it is the last; from the folder's checkpoint, where there is one.

    ``advance(state, iteration)`` must depend on its arguments alone: draw what is random from a seed for the iteration
    (``derive_seed(seed, iteration)``). A run that was killed and resumed then equals one that was not, to the bit,
    wherever the last checkpoint was.

    The state is saved at most every so many seconds, at the end, and when an iteration fails or Ctrl-C is pressed: then
    it is the state before that iteration.

    Args:
        begin: Gives the state of iteration 0.
        advance: State and number of the iteration, from 0, to the next state; it leaves the old one alone.
        folder: Folder of checkpoints; None for none.
        every: Seconds between checkpoints.
        report: Called after every iteration, and once at the beginning of a resumed run.
        how_to_resume: The command that continues the run, for messages.

    Raises:
        RunError: An iteration failed for a reason of the problem's (a number that is not finite, a simulation that
            diverged), or the checkpoint cannot be read or written.
        KeyboardInterrupt: Ctrl-C; its text says how to go on.
    """
    now = _load(folder) or Progress(0, begin())
    if report is not None and now.iteration:
        report(now)
    saved = now.iteration
    last_save = time.monotonic()
    try:
        while now.stop is None:
            clock = time.perf_counter()
            step = advance(now.state, now.iteration)
            seconds = now.seconds + time.perf_counter() - clock
            history = _noted(now, step.row)
            now = Progress(now.iteration + 1, step.state, history, seconds, step.stop)
            if folder is not None and (now.stop is not None or time.monotonic() - last_save >= every):
                _save(folder, now)
                saved, last_save = now.iteration, time.monotonic()
            if report is not None:
                report(now)
    except KeyboardInterrupt:
        if folder is None:
            raise
        if saved < now.iteration or not folder.checkpoint.exists():
            _save(folder, now)
        raise KeyboardInterrupt(
            f"interrupted after {now.iteration} iterations, which are kept in {folder.path}. {how_to_resume}".rstrip()
        ) from None
    except RunError as error:
        raise _stopped(folder, now, saved, error) from error
    except (GradientError, SimulationError, TaskError) as error:
        raise _stopped(folder, now, saved, error) from error
    except BaseException:  # a fault of ours, or a process told to end: its own message stands
        if folder is not None and saved < now.iteration:
            _save(folder, now)
        raise
    return now


def _noted(now: Progress, row: Mapping[str, float | int | None]) -> dict[str, list[float | int | None]]:
    """The history with a row more; lists grow in place, and only their first ``iteration`` entries count."""
    history = now.history or {name: [] for name in row}
    if set(history) != set(row):
        raise RunError(f"the rows of a history name the same figures: {sorted(history)}, and now {sorted(row)}")
    for name, number in row.items():
        del history[name][now.iteration :]
        history[name].append(number)
    return history


def _save(folder: RunFolder, now: Progress) -> None:
    folder.save(
        {
            "iteration": now.iteration,
            "state": now.state,
            "history": {name: numbers[: now.iteration] for name, numbers in now.history.items()},
            "seconds": now.seconds,
            "stop": now.stop,
        }
    )


def _load(folder: RunFolder | None) -> Progress | None:
    content = None if folder is None else folder.load()
    if content is None:
        return None
    assert folder is not None
    try:
        now = Progress(**content)
        lengths = {len(numbers) for numbers in now.history.values()}
    except (TypeError, AttributeError):
        raise RunError(f"{folder.checkpoint} lacks part of what a checkpoint holds: begin the run anew") from None
    if lengths - {now.iteration}:
        raise RunError(f"{folder.checkpoint} has a history of other length than its {now.iteration} iterations")
    return now


def _stopped(folder: RunFolder | None, now: Progress, saved: int, error: Exception) -> RunError:
    """The error with where it was, and what is left."""
    where = f"stopped in iteration {now.iteration}: {error}".rstrip(". ")
    if folder is None:
        return RunError(where)
    try:
        if (saved < now.iteration or not folder.checkpoint.exists()) and now.iteration:
            _save(folder, now)
    except RunError as second:
        return RunError(f"{where}. {second}")
    kept = f"The state after {now.iteration} iterations is kept in {folder.checkpoint}"
    return RunError(f"{where}. " + (kept if now.iteration else "Nothing was done before it, so there is no checkpoint"))
