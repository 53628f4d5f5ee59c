"""Start Warp, also where the folder for its compiled kernels cannot be written."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import warp as wp

__all__ = ["KernelCacheWarning", "start_warp"]

_own: tempfile.TemporaryDirectory | None = None
"""The folder that stands in for one that cannot be written; removed when the process ends."""
_checked = False


class KernelCacheWarning(UserWarning):
    """Compiled kernels cannot be kept."""


def start_warp() -> None:
    """Start Warp; does nothing when called again.

    Where its kernel cache cannot be written, a temporary folder is used instead, with the kernels that the cache has
    already, and a ``KernelCacheWarning`` says so once.
    """
    global _checked
    if _checked:
        return
    try:
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
