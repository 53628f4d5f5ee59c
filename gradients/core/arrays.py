"""NumPy at the border: theta as a list or array, and objectives that take or return arrays."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from .errors import GradientError

__all__ = ["Bridged", "as_numbers", "as_theta", "called", "takes_arrays"]

_written_for_arrays: weakref.WeakSet[Any] = weakref.WeakSet()
"""Functions that failed with a tensor and not with an array."""


def as_theta(theta: Any) -> torch.Tensor:
    """A tensor as it is; a list, tuple or array as a float64 tensor on the CPU.

    Raises:
        GradientError: It is no array of real numbers.
    """
    if isinstance(theta, torch.Tensor):
        return theta
    numbers = as_numbers(theta)
    if numbers is None or numbers.is_complex():
        raise GradientError(
            f"theta is a {type(theta).__name__} that is no array of real numbers: give a torch tensor, a NumPy array "
            "or a list, [parameters] or [batch, parameters]"
        )
    return numbers.double()


def as_numbers(values: Any) -> torch.Tensor | None:
    """A tensor as it is, an array or list of numbers as a tensor with numbers of its own; None for anything else."""
    if isinstance(values, torch.Tensor):
        return values
    if not isinstance(values, (list, tuple)) and (np.isscalar(values) or not hasattr(values, "__array__")):
        return None
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that carries a graph
        return None
    if array.ndim == 0 or array.dtype.kind not in "fiubc":
        return None
    return torch.from_numpy(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64))


def called(function: Callable[[Any], Any], rows: torch.Tensor) -> Any:
    """What ``function`` returns for ``rows``; one that is written for arrays and fails with a tensor gets an array.

    An array is tried where a tensor raised TypeError or AttributeError (``np.sum(theta, axis=1)``, ``theta.copy()``).
    Where that fails too, the first error is raised, and no more is known than that the function has a fault.
    """
    if _known(function):
        return function(_array(rows))
    try:
        return function(rows)
    except (TypeError, AttributeError) as error:
        first = error
    answer = _with_array(function, rows)
    if answer is None:
        raise first
    return answer


def takes_arrays(function: Callable[[Any], Any], rows: torch.Tensor) -> bool:
    """Whether ``function``, which has failed with a tensor of these rows, gives numbers for an array of them."""
    return _known(function) or _with_array(function, rows) is not None


class Bridged:
    """An objective for a backend that is not ours: tensors give tensors and arrays give arrays, whatever it is made of.

    It has the attributes of the objective, which gets all rows in the type and on the device of ``theta``.
    """

    def __init__(self, objective: Any, theta: torch.Tensor):
        self._objective, self._theta = objective, theta

    def __call__(self, theta: Any) -> Any:
        """Costs [batch] of ``theta`` [batch, parameters]; with the objective's graph for tensors."""
        given = called(self._objective, theta if isinstance(theta, torch.Tensor) else as_theta(theta).to(self._theta))
        costs = as_numbers(given)
        if costs is None:
            return given  # no numbers: whoever called sees what it is
        return costs.to(theta) if isinstance(theta, torch.Tensor) else costs.detach().cpu().numpy()

    def __getattr__(self, name: str) -> Any:
        """Attribute of the objective of this name."""
        if name in ("_objective", "_theta"):  # of a copy that is not yet filled
            raise AttributeError(name)
        return getattr(self._objective, name)


def _with_array(function: Callable[[Any], Any], rows: torch.Tensor) -> Any:
    """What the function returns for an array, remembered where these are numbers; None where they are not."""
    try:
        answer = function(_array(rows))
    except Exception:
        return None
    parts = answer if isinstance(answer, tuple) else (answer,)
    if any(as_numbers(part) is None for part in parts):
        return None
    with suppress(TypeError):  # what cannot be referred to weakly, or has no hash, is tried anew each time
        _written_for_arrays.add(function)
    return answer


def _known(function: Callable[[Any], Any]) -> bool:
    try:
        return function in _written_for_arrays
    except TypeError:
        return False


def _array(rows: torch.Tensor) -> np.ndarray:
    """A copy: the function may write to it."""
    return rows.detach().cpu().numpy().copy()
