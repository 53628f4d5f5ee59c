"""Errors of runs."""

from __future__ import annotations

import torch

__all__ = ["NotFiniteError", "RunError", "refuse_not_finite"]


class RunError(RuntimeError):
    """A run cannot be begun, continued or saved; the message names the cause and a way out."""


class NotFiniteError(RunError):
    """A number of a run became NaN or infinite."""


def refuse_not_finite(what: str, numbers: torch.Tensor, *, row: str = "row", advice: str = "") -> None:
    """Raise where ``numbers`` ([], [columns] or [rows, ...]) is not finite, naming the first row.

    Args:
        what: Name of the numbers, e.g. ``"the gradient"``.
        numbers: Anything of torch; the first of several dimensions is that of rows.
        row: Name of a row, e.g. ``"world"``.
        advice: A way out, added to the message.

    Raises:
        NotFiniteError: There is one.
    """
    bad = ~torch.isfinite(numbers.detach())
    if not bool(bad.any()):
        return
    where = ""
    if numbers.ndim:
        first = torch.nonzero(bad)[0].tolist()
        names = [row if numbers.ndim > 1 else "entry"] + ["entry"] * (numbers.ndim - 1)
        where = " at " + ", ".join(f"{name} {index}" for name, index in zip(names, first, strict=True))
        where += f" (and {int(bad.sum()) - 1} more)" if int(bad.sum()) > 1 else ""
    raise NotFiniteError(f"{what} is not finite{where}. {advice}".rstrip())
