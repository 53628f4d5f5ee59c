"""Atomic writing of a file: beside its final name first, then moved there in one step.

A reader sees the old file or the new one, never a part, also when the process is killed or the power fails. Every
package writes through here, so this module imports nothing of the project.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["atomic_file", "atomic_path", "unfinished"]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """An empty file to write by its name, which becomes ``path`` when the block ends without an exception.

    The name is hidden, ends as ``path`` does (encoders choose the format by it) and is used by no other process or
    thread. The file gets the mode that a plain ``open`` would give it: 0666 less the process's umask, which the
    operating system applies (reading the umask in Python means changing it for all threads for a moment). On an
    exception the file is removed and ``path`` stays as it was.

    Args:
        path: The file; its folder exists.

    Raises:
        OSError: The folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(8)}{target.suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        _sync(temporary, os.O_RDONLY)
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with suppress(OSError):  # the new name is to survive a power failure too; some file systems sync no folder
        _sync(target.parent, os.O_RDONLY)


def unfinished(path: str | Path) -> list[Path]:
    """Files that processes which were killed while they wrote ``path`` have left beside it, in sorted order.

    A process that is writing ``path`` now has such a file, too: ask only where none can be.
    """
    target = Path(path)
    name = re.compile(rf"\.{re.escape(target.stem)}\.[0-9a-f]{{16}}{re.escape(target.suffix)}")
    return sorted(entry for entry in target.parent.iterdir() if name.fullmatch(entry.name))


@contextmanager
def atomic_file(path: str | Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """File as by ``atomic_path``, opened with ``mode`` and the further ``options`` of ``open``."""
    with atomic_path(path) as temporary, open(temporary, mode, **options) as file:
        yield file


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
