"""Adam, the same whatever torch's default device is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Adam"]


class Adam(torch.optim.Adam):
    """Torch's. Its step counters are made on torch's default device; here on the CPU, where they are read each step."""

    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """As torch's."""
        with torch.device("cpu"):
            return super().step(closure)
