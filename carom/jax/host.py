"""Calls from compiled JAX functions to code on the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import torch

from ..gradients.core.errors import GradientError

__all__ = ["SECOND", "first_order_call", "tensor"]

SECOND = (
    "{what} has no second derivative: its gradient comes from the host by a first-order method. Take central "
    "differences of the gradient, or for a squared cost the Gauss-Newton part from first derivatives"
)


def first_order_call(function: Callable[..., Any], shapes: Callable[..., Any], *, what: str) -> Callable[..., Any]:
    """``function`` of NumPy arrays as a JAX function that is batched by vmap, runs under jit and has no derivative.

    Args:
        function: Gets arrays, each with the leading axes of vmap (broadcast to the same for all).
        shapes: ``jax.ShapeDtypeStruct`` of the results, from the arguments.
        what: Subject of the error that a derivative raises.
    """

    @jax.custom_jvp
    def call(*arguments: Any) -> Any:
        return jax.pure_callback(function, shapes(*arguments), *arguments, vmap_method="broadcast_all")

    @call.defjvp
    def _refuse(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise GradientError(SECOND.format(what=what))

    return call


def tensor(array: Any, dtype: torch.dtype | None = None) -> torch.Tensor:
    """A tensor with numbers of its own, as JAX's arrays are read-only."""
    numbers = torch.from_numpy(np.array(array))
    return numbers if dtype is None else numbers.to(dtype)
