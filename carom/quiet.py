"""Control of the output of Warp."""

from __future__ import annotations

import warp as wp

from .kernel_cache import start_warp

__all__ = ["init_warp", "quiet_warp"]


def quiet_warp() -> None:
    """Keep Warp's banner and its lines about loaded modules from the user; warnings and errors still come through.

    A level that the user has chosen before (``wp.config.log_level``) stays as it is.
    """
    if wp.config.log_level == wp.LOG_INFO:
        wp.config.log_level = wp.LOG_WARNING


def init_warp() -> None:
    """Start Warp before its first use, so that its time falls where a program says that it loads."""
    start_warp()
