"""A lock between the recording of a launch graph and all other work of Warp in the process.

While a graph is recorded, Warp records every launch on the device, from whatever thread, and makes none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["launching", "recording"]

_changed = threading.Condition()
_count = {"launching": 0, "recording": 0, "waiting": 0}


class _Own(threading.local):
    """Of this thread."""

    depth = 0  # of ``launching``


_own = _Own()


@contextmanager
def launching() -> Iterator[None]:
    """Many threads may be here at once, each several times; none goes on while a graph is recorded."""
    if _own.depth == 0:
        with _changed:
            _changed.wait_for(lambda: not (_count["recording"] or _count["waiting"]))
            _count["launching"] += 1
    _own.depth += 1
    try:
        yield
    finally:
        _own.depth -= 1
        if _own.depth == 0:
            with _changed:
                _count["launching"] -= 1
                _changed.notify_all()


@contextmanager
def recording() -> Iterator[None]:
    """One thread alone; all that are ``launching`` have left, or wait in here too."""
    held = int(_own.depth > 0)
    with _changed:
        _count["launching"] -= held
        _count["waiting"] += 1
        _changed.notify_all()
        try:
            _changed.wait_for(lambda: not (_count["recording"] or _count["launching"]))
        except BaseException:
            _count["launching"] += held
            raise
        finally:
            _count["waiting"] -= 1
            _changed.notify_all()  # those that made way, if this one gives up
        _count["recording"] = 1
    try:
        yield
    finally:
        with _changed:
            _count["recording"] = 0
            _count["launching"] += held
            _changed.notify_all()
