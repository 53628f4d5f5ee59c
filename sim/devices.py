"""Devices and precisions by name, checked."""

from __future__ import annotations

from typing import Any

import torch
import warp as wp

from ..kernel_cache import start_warp
from .errors import DeviceError, ModelError

__all__ = ["check_device", "check_dtype", "warp_dtype"]

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def check_device(name: str) -> str:
    """The device's name as both Warp and torch know it.

    Raises:
        DeviceError: There is no such device.
    """
    start_warp()
    known = [d.alias for d in wp.get_devices()]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in known:
        hint = (
            "no CUDA device or driver was found; use device='cpu'"
            if "cuda" in str(name) and len(known) == 1
            else f"there are {', '.join(known)}"
        )
        raise DeviceError(f"there is no device {name!r}: {hint}")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"Warp finds {wanted} but this torch build has no CUDA; install a CUDA build of torch, or use device='cpu'"
        )
    return wanted


def check_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """The torch type of "float32" or "float64"."""
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found not in (torch.float32, torch.float64):
        raise ModelError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return found


def warp_dtype(dtype: torch.dtype) -> Any:
    """Warp's scalar type for a torch type."""
    return wp.float64 if dtype == torch.float64 else wp.float32
