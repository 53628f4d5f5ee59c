"""A backend's estimate with every fault of the backend as one kind of error: for whoever calls backends of others."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
import torch

from ...plain import plain
from .arrays import Bridged
from .errors import BackendFault, GradientError
from .interface import Backend, Estimate, Objective

__all__ = ["checked_answer", "checked_batch", "checked_estimate", "fault"]

_LOG = logging.getLogger("carom.gradients")
_INSIDE = ("carom", "numpy", "scipy", "torch", "warp")
"""Packages whose lines are not where a backend went wrong."""


def checked_estimate(backend: Backend, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
    """The estimate of ``backend``, its tensors of theta's type and on its device, of the shapes of an ``Estimate``.

    A backend that is not ours may be written for NumPy: its objective takes arrays too, and gives arrays for them, and
    numbers, lists and arrays in its answer become tensors. A gradient and a standard error need not be finite: an exact
    gradient that is not is a finding about the objective.

    Raises:
        GradientError: The backend refuses, by a GradientError of its own.
        BackendFault: It raised something else, which is the ``__cause__`` and whose traceback is logged at the level
            debug under the name "carom.gradients"; or its answer is no estimate for this theta.
    """
    try:
        ours = type(backend).__module__.partition(".")[0] == "carom"
        answer = backend.estimate(objective if ours else Bridged(objective, theta), theta, seed=seed)
    except GradientError:
        raise
    except Exception as error:
        raise fault(error) from error
    return checked_answer(answer, theta)


def checked_batch(backend: Backend, objective: Objective, rows: torch.Tensor, *, seed: int = 0) -> Estimate:
    """Estimates at thetas ``rows`` [batch, parameters]; a row at a time by a backend that takes single thetas only.

    Raises:
        GradientError: As of :func:`checked_estimate`.
    """
    try:
        return checked_estimate(backend, objective, rows, seed=seed)
    except BackendFault:
        single = [checked_estimate(backend, objective, row, seed=seed) for row in rows]
    errors = [one.standard_error for one in single if one.standard_error is not None]
    return Estimate(
        value=torch.stack([one.value for one in single]),
        gradient=torch.stack([one.gradient for one in single]),
        standard_error=torch.stack(errors) if len(errors) == len(single) else None,
        evaluations=sum(one.evaluations for one in single),
        seconds=sum(one.seconds for one in single),
    )


def fault(error: Exception) -> BackendFault:
    """An error of code that is not ours as a sentence: its type, its message, and the line that raised it."""
    _LOG.debug("a gradient backend failed", exc_info=error)
    text = " ".join(str(error).split())
    return BackendFault(f"{type(error).__name__}{f': {text}' if text else ''}{_place(error.__traceback__)}")


def _place(trace: TracebackType | None) -> str:
    """The innermost line outside of carom and of the libraries below it; nothing where there is none."""
    frames = [
        (frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in traceback.walk_tb(trace)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] not in _INSIDE
    ]
    if not frames:
        return ""
    file, line, function = frames[-1]
    short = file.replace("\\", "/").rpartition("/")[2]
    return f" ({short}, line {line}, in {function})"


def checked_answer(answer: object, theta: torch.Tensor) -> Estimate:
    """What a backend returned for ``theta``, checked and converted as by :func:`checked_estimate`."""
    if not isinstance(answer, Estimate):
        raise BackendFault(
            f"the backend returned a {type(answer).__name__}: return a carom.gradients.Estimate(value, gradient, "
            "standard_error, evaluations, seconds)"
        )
    shape = tuple(theta.shape)
    value = _tensor("value", answer.value, theta, shape[:-1])
    gradient = _tensor("gradient", answer.gradient, theta, shape)
    error = None
    if answer.standard_error is not None:
        error = _tensor("standard error", answer.standard_error, theta, shape)
        if bool((error < 0.0).any()):
            raise BackendFault(f"the backend returned a standard error of {float(error.min()):.3g}: it is a root")
    degrees = None
    if answer.degrees_of_freedom is not None:
        degrees = _tensor("degrees of freedom", answer.degrees_of_freedom, theta, shape)
        if not bool((degrees >= 0.0).all()):
            raise BackendFault(
                "the backend returned degrees of freedom that are negative or nan: return 0 where there is no error bar"
            )
    if not bool(torch.isfinite(value).all()):
        bad = value.flatten()[~torch.isfinite(value.flatten())][0]
        raise BackendFault(f"the backend returned a value of {float(bad)}: return the cost at theta, or its average")
    evaluations, seconds = plain(answer.evaluations), plain(answer.seconds)
    if isinstance(evaluations, bool) or not isinstance(evaluations, int) or evaluations < 0:
        raise BackendFault(
            f"the backend returned evaluations = {answer.evaluations!r}: return the number of rollouts, an integer"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise BackendFault(f"the backend returned seconds = {answer.seconds!r}: return the time that it took, a number")
    if not isinstance(answer.diagnostics, Mapping):
        raise BackendFault(
            f"the backend returned diagnostics of type {type(answer.diagnostics).__name__}: return a dict, or none"
        )
    return replace(
        answer,
        value=value,
        gradient=gradient,
        standard_error=error,
        evaluations=evaluations,
        seconds=float(seconds),
        degrees_of_freedom=degrees,
    )


def _tensor(what: str, given: Any, theta: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """``given`` of this shape, like theta and without a graph."""
    try:
        tensor = given if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given))
    except (TypeError, ValueError, RuntimeError):
        raise BackendFault(f"the backend returned a {what} of type {type(given).__name__}: return a tensor") from None
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise BackendFault(f"the backend returned a {what} of {tensor.dtype}: return real numbers, like theta's")
    if tuple(tensor.shape) != shape:
        batch = "" if theta.ndim == 1 else "; a backend takes batches of thetas too, [batch, parameters], as rows"
        raise BackendFault(
            f"the backend returned a {what} of shape {list(tensor.shape)} for theta of shape {list(theta.shape)}: "
            f"return {list(shape)}{batch}"
        )
    if not tensor.is_floating_point() and what == "gradient":
        raise BackendFault(f"the backend returned a gradient of {tensor.dtype}, which rounds it: return {theta.dtype}")
    return tensor.detach().to(theta)
