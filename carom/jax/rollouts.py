"""Rollouts of a simulator as JAX functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from ..sim import PARAMETERS, ModelError, Simulator, State
from .host import first_order_call, tensor

__all__ = ["Path", "simulate"]


class Path(NamedTuple):
    """States of a rollout of T steps; entry 0 is the initial state. W is there where the start has it."""

    body_q: Any
    """Poses: centre of mass [m], unit quaternion (x, y, z, w); [T + 1, (W,) bodies, 7]."""
    body_v: Any
    """Velocities [m/s] and [rad/s]; [T + 1, (W,) bodies, 6]."""


def simulate(simulator: Simulator) -> Callable[..., Path]:
    """A pure function ``rollout(body_q, body_v, control=None, parameters=None, *, steps=None) -> Path``.

    JAX can compile it, batch it by ``jax.vmap``, and differentiate it once, by reverse mode, with respect to every
    array: the exact gradient of ``Simulator.rollout``. The backward pass repeats the forward one, as a pure function
    keeps nothing. All worlds of a call, axes of ``jax.vmap`` included, run as one batch.

    Args of the function:
        body_q, body_v: Start of one world, [bodies, 7] and [bodies, 6], or of W worlds, [W, bodies, ...].
        control: [T, A], or [T, W, A] with W worlds; may be left out if the model has no actuators.
        parameters: By name, as in ``Simulator.rollout``: of the model's shape for all worlds, or with a leading W.
        steps: T where there are no controls.

    Numbers are computed in the model's type and returned in that of ``body_q``.

    Raises:
        ModelError: The simulator is none, its model has several worlds of its own, or an array has another shape.
        GradientError: A second derivative.
    """
    if not isinstance(simulator, Simulator):
        raise ModelError(
            f"simulate needs a Simulator, got {type(simulator).__name__}: carom.Simulator(model, step=...)"
        )
    if simulator.model.worlds != 1:
        raise ModelError(
            f"the model has {simulator.model.worlds} worlds: make it with one, and give the worlds' own numbers as "
            "parameters with a leading axis"
        )

    runs: dict[tuple[str, ...], Callable[..., Any]] = {}

    def rollout(
        body_q: Any, body_v: Any, control: Any = None, parameters: Mapping[str, Any] | None = None,
        *, steps: int | None = None,
    ) -> Path:  # fmt: skip
        """States of the path; see ``simulate``."""
        body_q, body_v = jnp.asarray(body_q), jnp.asarray(body_v)
        n, worlds = simulator.model.bodies, body_q.shape[:-2]
        if body_q.ndim not in (2, 3) or body_q.shape != (*worlds, n, 7) or body_v.shape != (*worlds, n, 6):
            raise ModelError(
                f"body_q has shape {body_q.shape} and body_v {body_v.shape}: give [bodies, 7] = {(n, 7)} and "
                f"[bodies, 6] = {(n, 6)} for one world, or both with a leading axis of worlds"
            )
        control = _controls(simulator, control, steps, body_q)
        values = {name: _parameter(simulator, name, value, worlds) for name, value in (parameters or {}).items()}
        names = tuple(values)
        run = runs[names] = runs.get(names) or _world_rollout(simulator, names)
        if body_q.ndim == 2:
            return Path(*run(body_q, body_v, control, *values.values()))
        axes = [0 if value.ndim > _rank(simulator, name) else None for name, value in values.items()]
        batched = jax.vmap(run, in_axes=(0, 0, 1, *axes), out_axes=1)
        return Path(*batched(body_q, body_v, control, *values.values()))

    return rollout


def _controls(simulator: Simulator, control: Any, steps: int | None, body_q: Any) -> Any:
    """Controls [T, A] or [T, W, A]."""
    worlds, actuators = body_q.shape[:-2], simulator.model.actuators
    if control is None:
        if steps is None:
            raise ModelError("neither control nor steps is given: give one of them")
        if actuators:
            raise ModelError(f"control is missing: the model has {actuators} actuators, give [steps, actuators]")
        return jnp.zeros((steps, *worlds, 0), body_q.dtype)
    control = jnp.asarray(control)
    if control.ndim != 2 + len(worlds) or control.shape[1:] != (*worlds, actuators):
        wanted = "[steps, worlds, actuators]" if worlds else "[steps, actuators]"
        raise ModelError(f"control has shape {control.shape}: give {wanted} = (steps, {str((*worlds, actuators))[1:]}")
    if steps is not None and steps != len(control):
        raise ModelError(f"control has {len(control)} steps, and steps is {steps}: leave steps out")
    return control


def _rank(simulator: Simulator, name: str) -> int:
    """Axes of a parameter of one world."""
    if name not in PARAMETERS:
        raise ModelError(f"there is no parameter {name!r}: one of {', '.join(PARAMETERS)}")
    return len(getattr(simulator.model, name).shape) - 1


def _parameter(simulator: Simulator, name: str, value: Any, worlds: tuple[int, ...]) -> Any:
    """Of a world, or with a leading axis of worlds; an axis of one world, as the model has it, is taken away."""
    value, rank = jnp.asarray(value), _rank(simulator, name)
    value = value[0] if value.ndim == rank + 1 and value.shape[0] == 1 else value
    own = tuple(getattr(simulator.model, name).shape[1:])
    if value.shape not in (own, (*worlds, *own)):
        also = f", or a leading axis of {worlds[0]} worlds" if worlds else ""
        raise ModelError(f"{name} has shape {value.shape}: give {own}{also}")
    return value


def _world_rollout(simulator: Simulator, names: tuple[str, ...]) -> Callable[..., Any]:
    """Path of one world, from its start, controls [T, A] and parameters in the order of ``names``."""
    dtype = simulator.model.state().body_q.dtype

    def inputs(q: Any, v: Any, control: Any, *values: Any) -> tuple[list[torch.Tensor], tuple[int, ...]]:
        """Tensors with the leading axes made one, and these axes."""
        lead = np.shape(q)[:-2]
        return [_rows(a, lead, dtype) for a in (q, v, control, *values)], lead

    def run(flat: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        q, v, control, *values = flat
        path = simulator.rollout(
            State(q, v), control.transpose(0, 1), dict(zip(names, values, strict=True)), steps=control.shape[1]
        )
        assert path.body_q is not None
        assert path.body_v is not None
        return path.body_q.transpose(0, 1), path.body_v.transpose(0, 1)

    def forward(*arrays: Any) -> tuple[np.ndarray, ...]:
        flat, lead = inputs(*arrays)
        with torch.no_grad():
            path = run(flat)
        return tuple(_array(part, lead, np.asarray(arrays[0]).dtype) for part in path)

    def backward(*arrays: Any) -> tuple[np.ndarray, ...]:
        *given, seed_q, seed_v = arrays
        flat, lead = inputs(*given)
        seeds = [_rows(a, lead, dtype) for a in (seed_q, seed_v)]
        with torch.enable_grad():
            leaves = [part.requires_grad_() for part in flat]
            found = torch.autograd.grad(run(leaves), leaves, seeds)
        return tuple(_array(part, lead, np.asarray(array).dtype) for part, array in zip(found, given, strict=True))

    def path_shapes(q: Any, v: Any, control: Any, *_: Any) -> Any:
        length = control.shape[0] + 1
        return tuple(jax.ShapeDtypeStruct((length, *part.shape), q.dtype) for part in (q, v))

    def input_shapes(*arrays: Any) -> Any:
        return tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays[:-2])

    what = "a rollout of the simulator"
    ahead = first_order_call(forward, path_shapes, what=what)
    back = first_order_call(backward, input_shapes, what=what)

    @jax.custom_vjp
    def rollout(*arrays: Any) -> Any:
        return ahead(*arrays)

    rollout.defvjp(
        lambda *arrays: (ahead(*arrays), arrays),
        lambda arrays, seeds: back(*arrays, *seeds),
    )
    return rollout


def _rows(array: Any, lead: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """The array with its leading axes made one; controls may have no numbers, so that -1 would be ambiguous."""
    return tensor(array, dtype).reshape(math.prod(lead), *np.shape(array)[len(lead) :])


def _array(part: torch.Tensor, lead: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The tensor with the leading axes of the call again."""
    return part.detach().reshape(*lead, *part.shape[1:]).cpu().numpy().astype(dtype, copy=False)
