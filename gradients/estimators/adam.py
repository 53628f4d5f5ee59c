"""Adam, the same whatever torch's default device is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Adam"]


class Adam(torch.optim.Adam):
    """Torch's Adam with its step counters on the CPU, where each step reads them, not on torch's default device."""

    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """One step, as torch's Adam."""
        with torch.device("cpu"):
            return super().step(closure)
