"""Errors of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..runs import NotFiniteError, RunError

__all__ = ["PolicyFileError", "TrainingError", "refuse_not_finite_in_window"]


class TrainingError(ValueError):
    """An option of a training that cannot be; the message names it and a way out."""


class PolicyFileError(RunError):
    """A file that holds no policy, or one of another task."""


def refuse_not_finite_in_window(
    what: str, numbers: Sequence[torch.Tensor], times: torch.Tensor, *, first: int = 0, first_world: int = 0
) -> None:
    """Raise where one of ``numbers`` (of one step each, [W] or [W, n]) is not finite, naming the first step and world.

    Args:
        what: Name of the numbers, e.g. ``"the cost"``.
        numbers: One tensor for each step of the window, in order.
        times: Step of the episode at which the window began, int [W].
        first: Step of the window that ``numbers`` begin with.
        first_world: Number of the world that rows begin with, where they are a part of all worlds.

    Raises:
        NotFiniteError: There is one.
    """
    for step, now in enumerate(numbers, first):
        bad = ~torch.isfinite(now.detach().reshape(len(now), -1)).all(1)
        if bool(bad.any()):
            world = int(bad.nonzero()[0])
            others = f" (and in {int(bad.sum()) - 1} other worlds)" if int(bad.sum()) > 1 else ""
            raise NotFiniteError(
                f"{what} is not finite in world {first_world + world}{others}, first at step "
                f"{int(times[world]) + step} of its episode, step {step} of the window. Try a smaller learning rate or "
                "action noise, or dtype=float64"
            )
