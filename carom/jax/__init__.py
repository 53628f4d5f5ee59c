"""carom from JAX: objectives with any backend's gradient, and rollouts, as pure functions.

    import carom, carom.jax, jax

    task = carom.envs.make("push", start="apart")
    cost = carom.jax.differentiable(task, carom.gradients.Smoothing(scale=0.02))
    value, gradient = jax.value_and_grad(cost)(theta)

Install with ``pip install 'carom[jax]'``. Nothing else in carom needs JAX.
"""

from __future__ import annotations

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "carom.jax needs JAX: pip install 'carom[jax]'; carom.gradients.differentiable does without, in torch"
    ) from error

from .objectives import differentiable
from .rollouts import Path, simulate

__all__ = ["Path", "differentiable", "simulate"]
