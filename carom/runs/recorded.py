"""Recording at the end of a run; a run whose recording fails keeps its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..sim import SimulationError

__all__ = ["save_recording"]


def save_recording(record: Callable[[], Any], path: Path) -> str | None:
    """Save the recording that ``record()`` gives to ``path``; returns the reason where it cannot be made."""
    try:
        record().save(path)
    except SimulationError as error:
        path.unlink(missing_ok=True)
        return f"there is no recording, since the rollout cannot be recorded: {error}"
    return None
