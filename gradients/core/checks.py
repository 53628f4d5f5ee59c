"""Checks of user input that all backends share; each error names the fault and the way out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ...first_order import inside_transform
from ...plain import plain
from .arrays import as_theta
from .errors import GradientError

__all__ = ["Scale", "as_batch", "check_count", "check_scale", "expand_scale", "suggest"]

Scale = float | Sequence[float] | torch.Tensor
"""A noise scale: one number for all coordinates, or one number per coordinate."""

_SHOWN = 5  # entries named in a message


def suggest(kind: str, given: object, known: Iterable[str]) -> str:
    """Message for an unknown name: the known ones, and the closest of them."""
    names = list(known)
    close = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {given!r}.{hint} Known: {', '.join(names)}"


def as_batch(theta: torch.Tensor | np.ndarray | Sequence) -> tuple[torch.Tensor, bool]:
    """Theta as a detached batch [batch, parameters], and whether it was a single [parameters].

    Lists and arrays become float64 tensors on the CPU.
    """
    theta = as_theta(theta)
    if not theta.is_floating_point():
        raise GradientError(f"theta has dtype {theta.dtype}: give a real floating type, e.g. theta.double()")
    if inside_transform(theta):
        raise GradientError(
            "theta is followed by torch.func or by forward-mode differentiation, and an estimate is plain numbers, "
            "through which no derivative passes: differentiate differentiable(objective, backend) by a backward pass "
            "(torch.func.grad or torch.autograd.grad), or give theta from outside the transformed function"
        )
    if theta.ndim not in (1, 2):
        raise GradientError(f"theta has shape {list(theta.shape)}: give [parameters] or [batch, parameters]")
    if theta.numel() == 0:
        raise GradientError(f"theta is empty, shape {list(theta.shape)}: give at least one row of one parameter")
    bad = (~torch.isfinite(theta)).nonzero().tolist()
    if bad:
        shown = ", ".join(f"theta{index} = {theta[tuple(index)].item()}" for index in bad[:_SHOWN])
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise GradientError(
            f"theta is not finite: {shown}{more}. If an optimizer produced it, use a smaller step or clip its gradient"
        )
    detached = theta.detach()
    return (detached.unsqueeze(0), True) if theta.ndim == 1 else (detached, False)


def check_count(name: str, count: object, least: int, why: str = "") -> None:
    """Refuse anything but an integer of at least ``least``."""
    count = plain(count)
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise GradientError(f"{name} is {count!r}: give an integer of at least {least}{why}")


def check_scale(scale: Scale, *, allow_zero: bool = False) -> float | tuple[float, ...]:
    """The scale as plain numbers (one, or one per coordinate), each positive and finite."""
    try:
        numbers = torch.as_tensor(scale, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise GradientError(f"scale is {scale!r}: give a number, or one number per coordinate") from None
    if numbers.ndim > 1 or numbers.numel() == 0:
        raise GradientError(f"scale has shape {list(numbers.shape)}: give a number, or one number per coordinate")
    flat = numbers.reshape(-1).tolist()
    if allow_zero and not any(flat):
        return 0.0
    for index, number in enumerate(flat):
        if not (math.isfinite(number) and number > 0.0):
            where = f"scale[{index}]" if numbers.ndim else "scale"
            raise GradientError(
                f"{where} is {number}: give a positive standard deviation in the units of theta, e.g. 0.02. "
                "For the gradient without smoothing use Autodiff()"
            )
    return tuple(flat) if numbers.ndim else flat[0]


def expand_scale(scale: float | tuple[float, ...], batch: torch.Tensor) -> torch.Tensor:
    """The scale of every coordinate [parameters], float64, on theta's device; refused if theta cannot resolve it."""
    parameters = batch.shape[1]
    if isinstance(scale, tuple) and len(scale) != parameters:
        raise GradientError(
            f"scale has {len(scale)} entries but theta has {parameters} parameters: give one number, or {parameters}"
        )
    numbers = torch.as_tensor(scale, dtype=torch.float64, device=batch.device).expand(parameters)
    coarse = torch.finfo(batch.dtype).eps * batch.abs().amax(0).double()
    lost = (numbers < 16.0 * coarse).nonzero().reshape(-1).tolist()
    if lost and bool((numbers > 0).all()):
        i = lost[0]
        raise GradientError(
            f"scale {numbers[i].item():.3g} of coordinate {i} drowns in the rounding of {batch.dtype} at theta = "
            f"{batch[:, i].abs().max().item():.6g}: use a larger scale, a float64 theta, or other units"
        )
    return numbers
