"""Start Warp, also where the folder for its compiled kernels cannot be written."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import warp as wp

__all__ = ["KernelCacheWarning", "start_warp"]

_own: tempfile.TemporaryDirectory | None = None
"""The folder that stands in for one that cannot be written; removed when the process ends."""
_checked = False
_NO_DRIVER = "Could not find or load the NVIDIA CUDA driver"


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept."""


def start_warp() -> None:
    """Start Warp without its remark that there is no CUDA driver; does nothing when called again.

    Warp's native code writes to file descriptor 2, which is diverted for the moment; anything else that was written is
    passed on. A CUDA device that is asked for and is not there still gets the simulator's ``DeviceError``.

    Where its kernel cache cannot be written, a temporary folder is used instead, with the kernels that the cache has
    already, and a ``KernelCacheWarning`` says so once.
    """
    global _checked
    if _checked:
        return
    try:
        with _without_remark():
            wp.init()
        with tempfile.TemporaryFile(dir=wp.config.kernel_cache_dir):
            pass
    except OSError as error:
        _stand_in(Path(str(wp.config.kernel_cache_dir)), error)  # which Warp sets before it makes the folder
        wp.init()
    _checked = True


def _stand_in(cache: Path, error: OSError) -> None:
    """Let Warp keep its kernels in a temporary folder."""
    global _own
    try:
        _own = tempfile.TemporaryDirectory(prefix="carom-kernels-")
    except OSError as none:
        raise OSError(
            f"Warp's kernel cache {cache} cannot be written ({error}), nor can a temporary folder ({none}); set the "
            "environment variable WARP_CACHE_PATH to a folder that can be written"
        ) from error
    folder = Path(_own.name)
    with suppress(OSError):  # a cache that can be read, at least
        for kept in cache.iterdir():
            (folder / kept.name).symlink_to(kept)
    wp.config.kernel_cache_dir = str(folder)
    warnings.warn(
        f"Warp's kernel cache {cache} cannot be written ({error}): kernels are compiled into {folder} instead, which "
        "takes up to minutes, and are gone when this process ends. Set the environment variable WARP_CACHE_PATH to a "
        "folder that can be written",
        KernelCacheWarning,
        stacklevel=4,
    )


@contextmanager
def _without_remark() -> Iterator[None]:
    """Keep the remark on the driver from standard error."""
    lines: list[str] = []
    try:
        with _diverted_stderr(lines):
            yield
    finally:
        sys.stderr.writelines(line for line in lines if _NO_DRIVER not in line)


@contextmanager
def _diverted_stderr(lines: list[str]) -> Iterator[None]:
    """Collect what is written to file descriptor 2 as lines."""
    try:
        file = tempfile.TemporaryFile(mode="w+", errors="replace", dir=tempfile.gettempdir())  # noqa: SIM115 - closed below
        keep = os.dup(2)
    except OSError:  # no place for a file, or no standard error at all
        yield
        return
    sys.stderr.flush()
    with file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(keep, 2)
            os.close(keep)
            file.seek(0)
            lines.extend(file.readlines())
