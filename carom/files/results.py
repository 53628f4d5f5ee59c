"""results.json: strictly valid JSON, full precision, written whole."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import warp as wp

from .._version import __version__
from .atomic import atomic_file

__all__ = ["plain", "versions", "write_json"]


def plain(entry: Any) -> Any:
    """Convert to dicts, lists, strings and numbers; numbers that are not finite become None, as JSON has none."""
    if isinstance(entry, (torch.Tensor, np.ndarray, np.generic)):
        entry = entry.tolist()
    if isinstance(entry, Mapping):
        return {str(key): plain(value) for key, value in entry.items()}
    if isinstance(entry, (list, tuple)):
        return [plain(value) for value in entry]
    if isinstance(entry, float) and not math.isfinite(entry):
        return None
    if entry is None or isinstance(entry, (bool, int, float, str)):
        return entry
    # the default text of an object has its address in memory, which is another in every process
    bare = type(entry).__repr__ is object.__repr__ and type(entry).__str__ is object.__str__
    return type(entry).__name__ if bare else str(entry)


def versions() -> dict[str, str]:
    """Versions of the software that the numbers were computed with."""
    return {
        "carom": __version__,
        "warp": wp.config.version,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` to ``path`` in one step: a reader sees the old file or the new one, never a part."""
    with atomic_file(path, "w", encoding="utf-8") as file:
        json.dump(plain(content), file, indent=1, allow_nan=False)
        file.write("\n")
