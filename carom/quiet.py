"""Control of the output of Warp."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import warp as wp

from .kernel_cache import start_warp

__all__ = ["init_warp", "quiet_warp"]

_NO_DRIVER = "Could not find or load the NVIDIA CUDA driver"


def quiet_warp() -> None:
    """Keep Warp's banner and its lines about loaded modules from the user; warnings and errors still come through.

    A level that the user has chosen before (``wp.config.log_level``) stays as it is.
    """
    if wp.config.log_level == wp.LOG_INFO:
        wp.config.log_level = wp.LOG_WARNING


def init_warp() -> None:
    """Start Warp without its remark that there is no CUDA driver; anything else it writes is passed on.

    For a program that has the process to itself: Warp's native code writes to file descriptor 2, which is diverted
    for the moment. A CUDA device that is asked for and is not there still gets the simulator's ``DeviceError``.
    """
    with _diverted_stderr() as lines:
        start_warp()
    for line in lines:
        if _NO_DRIVER not in line:
            sys.stderr.write(line)


@contextmanager
def _diverted_stderr() -> Iterator[list[str]]:
    lines: list[str] = []
    try:
        keep = os.dup(2)
    except OSError:  # no standard error at all
        yield lines
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(keep, 2)
            os.close(keep)
            file.seek(0)
            lines.extend(file.readlines())
