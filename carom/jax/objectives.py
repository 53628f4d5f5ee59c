"""Any objective with any backend's gradient as a JAX function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from ..gradients.core.checked import checked_answer
from ..gradients.core.errors import GradientError
from ..gradients.core.interface import Backend, Objective
from ..gradients.core.objective import objective_name
from ..plain import plain_numbers
from .host import first_order_call, tensor

__all__ = ["differentiable"]


@plain_numbers
def differentiable(objective: Objective, backend: Backend, *, seed: int = 0) -> Callable[..., Any]:
    """A pure function ``cost(theta, seed=seed)`` that JAX can differentiate once, compile and batch.

    Its value and gradient are those of ``backend.estimate(objective, theta, seed=...)``, to the bit, in theta's type.
    Theta is [parameters] -> [] or [batch, parameters] -> [batch]; ``jax.vmap`` adds axes, and all thetas of a call go
    to the backend as one batch for each seed.

    A pure function draws the same noise whenever it is called with the same seed. An optimizer should get a seed of
    its own for every step: ``jax.grad(cost)(theta, step)``. It may be traced; a key of ``jax.random`` is one, too.

    Args:
        objective: Callable [batch, parameters] -> [batch] of torch tensors or NumPy arrays, as everywhere in carom.
        backend: An instance, e.g. ``Smoothing(scale=0.02)``.
        seed: Where a call gives none, from 0 to 2**31 - 1.

    Raises:
        GradientError: No objective, no backend, a seed out of range, a gradient that is not finite, a second
            derivative. JAX reports what is raised during a compiled call as an error of its runtime, with this text.
    """
    if not callable(objective):
        raise GradientError(
            f"the objective is a {type(objective).__name__}: give a callable [batch, parameters] -> [batch]"
        )
    if isinstance(backend, type) or not isinstance(backend, Backend):
        raise GradientError(f"the backend is {backend!r}: give an instance, e.g. Smoothing(scale=0.02)")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise GradientError(f"seed is {seed!r}: give an integer from 0 to 2**31 - 1")
    name = objective_name(objective)

    def on_host(theta: Any, seeds: Any) -> tuple[np.ndarray, np.ndarray]:
        theta, seeds = np.asarray(theta), np.asarray(seeds)
        rows = theta.reshape(-1, theta.shape[-1])
        seed_of = np.broadcast_to(seeds.reshape(seeds.shape + (1,) * (theta.ndim - 1 - seeds.ndim)), theta.shape[:-1])
        value, gradient = np.empty(len(rows), theta.dtype), np.empty_like(rows)
        for one in np.unique(seed_of):
            own = np.flatnonzero(seed_of.ravel() == one)
            found = _estimate(objective, backend, tensor(rows[own]), int(one), name)
            value[own], gradient[own] = (part.cpu().numpy() for part in found)
        return value.reshape(theta.shape[:-1]), gradient.reshape(theta.shape)

    def shapes(theta: Any, _: Any) -> Any:
        dtype = theta.dtype
        return jax.ShapeDtypeStruct(theta.shape[:-1], dtype), jax.ShapeDtypeStruct(theta.shape, dtype)

    both = first_order_call(on_host, shapes, what=f"the estimated gradient of {name!r}")

    @jax.custom_vjp
    def value_of(theta: Any, seeds: Any) -> Any:
        return both(theta, seeds)[0]

    value_of.defvjp(
        lambda theta, seeds: both(theta, seeds),
        lambda gradient, cotangent: (cotangent[..., None] * gradient, None),
    )

    def cost(theta: Any, seed: Any = seed) -> Any:
        """Cost of theta, [parameters] -> [] or [batch, parameters] -> [batch]."""
        theta = jnp.asarray(theta)
        if jnp.issubdtype(theta.dtype, jnp.complexfloating):
            raise GradientError(f"theta is complex ({theta.dtype}): give real numbers")
        if not jnp.issubdtype(theta.dtype, jnp.floating):
            theta = theta.astype(jnp.result_type(float))
        if theta.ndim not in (1, 2):
            raise GradientError(
                f"theta has shape {theta.shape}: give [parameters] or [batch, parameters], and jax.vmap for more"
            )
        return value_of(theta, _seed_of(seed))

    return cost


def _seed_of(seed: Any) -> Any:
    """An unsigned integer of 31 bits, from one or from a key; one that is traced cannot be checked."""
    if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed < 2**31:
        raise GradientError(f"seed is {seed!r}: give an integer from 0 to 2**31 - 1")
    seed = jnp.asarray(seed)
    if jnp.issubdtype(seed.dtype, jax.dtypes.prng_key):
        return jax.random.bits(seed, dtype=jnp.uint32) >> 1
    if seed.ndim or not jnp.issubdtype(seed.dtype, jnp.integer):
        raise GradientError(
            f"seed is an array {seed.shape} of {seed.dtype}: give an integer or a key of jax.random.key; jax.vmap "
            "takes several"
        )
    return seed.astype(jnp.uint32)


def _estimate(
    objective: Objective, backend: Backend, theta: torch.Tensor, seed: int, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values [batch] and gradients [batch, parameters] of finite numbers."""
    with torch.enable_grad():  # JAX may call from a thread of its own
        estimate = checked_answer(backend.estimate(objective, theta, seed=seed), theta)
    if not bool(torch.isfinite(estimate.gradient).all()):
        raise GradientError(
            f"the gradient of {name!r} by {type(backend).__name__} is not finite: an optimizer would lose theta to it. "
            'Smoothing(order="zeroth") needs no gradient of the objective'
        )
    return estimate.value, estimate.gradient
