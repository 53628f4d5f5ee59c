"""Checks of the inputs of bundles: knots of a trajectory, and scales that may be zero."""

from __future__ import annotations

import torch

from .checks import Scale
from .errors import GradientError

__all__ = ["knots", "plain_scale", "spread_scale"]


def knots(name: str, rows: torch.Tensor) -> torch.Tensor:
    """Detached rows [knots, coordinates], each finite; a single row becomes one knot."""
    if not isinstance(rows, torch.Tensor) or not rows.is_floating_point() or rows.ndim not in (1, 2) or not len(rows):
        what = f"{rows.dtype} {list(rows.shape)}" if isinstance(rows, torch.Tensor) else f"a {type(rows).__name__}"
        raise GradientError(f"{name} is {what}: give a real floating tensor [coordinates] or [knots, coordinates]")
    if not bool(torch.isfinite(rows).all()):
        raise GradientError(f"{name} is not finite at index {(~torch.isfinite(rows)).nonzero()[0].tolist()}")
    rows = rows.detach()
    return rows.unsqueeze(0) if rows.ndim == 1 else rows


def plain_scale(name: str, scale: Scale) -> float | tuple[float, ...]:
    """The scale as plain numbers, each zero or positive, and finite."""
    try:
        numbers = torch.as_tensor(scale, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise GradientError(f"{name} is {scale!r}: give a number, or one number per coordinate") from None
    if numbers.ndim > 1 or numbers.numel() == 0 or not bool((torch.isfinite(numbers) & (numbers >= 0)).all()):
        raise GradientError(
            f"{name} is {scale!r}: give a standard deviation, zero or positive, or one for each coordinate"
        )
    return tuple(numbers.tolist()) if numbers.ndim else numbers.item()


def spread_scale(name: str, scale: Scale, rows: torch.Tensor) -> torch.Tensor:
    """The scale of every coordinate, float64; refused where the rows' type cannot resolve it."""
    size = rows.shape[1]
    if isinstance(scale, tuple) and len(scale) != size:
        raise GradientError(f"{name} has {len(scale)} entries for {size} coordinates: give one number, or {size}")
    numbers = torch.as_tensor(scale, dtype=torch.float64, device=rows.device).expand(size)
    coarse = 16.0 * torch.finfo(rows.dtype).eps * rows.abs().amax(0).double()
    lost = ((numbers > 0) & (numbers < coarse)).nonzero().reshape(-1).tolist()
    if lost:
        raise GradientError(
            f"{name} {float(numbers[lost[0]]):.3g} of coordinate {lost[0]} drowns in the rounding of {rows.dtype}: use "
            "a larger scale or float64"
        )
    return numbers
