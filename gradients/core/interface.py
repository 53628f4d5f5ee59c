"""The one interface of all gradient backends: an objective in, an estimate with its error bar out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from ...short_text import counted, first_numbers
from .error_bars import student_t

__all__ = ["Backend", "DifferentiableObjective", "Estimate", "Objective"]


@runtime_checkable
class Objective(Protocol):
    """A cost to be minimized: any callable from parameters [batch, parameters] to costs [batch].

    It gets a tensor. It may return a NumPy array or a list; one that is written for arrays, and fails with a tensor by
    TypeError or AttributeError, gets an array.
    """

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Cost of each row of ``theta``; smaller is better."""
        ...


@runtime_checkable
class DifferentiableObjective(Objective, Protocol):
    """An objective with an exact gradient."""

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and their exact gradients [batch, parameters] at ``theta`` [batch, parameters]."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A gradient and its measured quality, as plain numbers without a graph of torch.

    ``differentiable(objective, backend)`` is for losses that torch differentiates.

    For ``theta`` of shape [parameters] the fields have the shapes given here; for a batch [batch, parameters] each
    tensor gets a leading batch dimension.
    """

    value: torch.Tensor
    """Value of the (possibly smoothed) objective at theta, shape []."""
    gradient: torch.Tensor
    """Gradient with respect to theta, shape [parameters]."""
    standard_error: torch.Tensor | None
    """Standard error of each coordinate of the gradient, shape [parameters]: the root of an estimate of its variance
    that has no bias. None where the backend has none. By itself it is no error bar: that is ``interval()``."""
    evaluations: int
    """Rollouts (rows passed to the objective) used, gradient passes counted once."""
    seconds: float
    """Wall time of the estimate [s]."""
    diagnostics: dict[str, Any] = field(default_factory=dict)
    """Backend-specific measures, e.g. ``finite``, ``held_out_error``, ``trace_variance``. ``no_error_bar``, where it
    is there, is a sentence that says why some coordinates, or all, have no error bar."""
    degrees_of_freedom: torch.Tensor | None = None
    """Degrees of freedom of the standard error, shape [parameters]: how well it is known. Lower than the number of
    samples where the samples are skewed; 0 where the samples say too little for an error bar. None: known well enough
    for the normal distribution."""

    def __repr__(self) -> str:
        rows = "" if self.value.dim() == 0 else f" of {len(self.value)} thetas"
        gradient = self.gradient.reshape(-1, self.gradient.shape[-1])[0].tolist() if self.gradient.numel() else []
        parts = [f"value {float(self.value.reshape(-1)[0]):.4g}", f"gradient {first_numbers(gradient)}"]
        if self.standard_error is not None:
            error = self.standard_error.reshape(-1, self.standard_error.shape[-1])[0]
            parts.append(f"standard error {first_numbers(error.tolist())}")
        first = ", first" if rows else ""
        return (
            f"Estimate{rows}{first}: {', '.join(parts)}; {counted(self.evaluations, 'rollout')}, {self.seconds:.2g} s"
        )

    @property
    def no_error_bar(self) -> str | None:
        """Why some coordinates, or all, have no error bar, in a sentence; None where all have one."""
        reason = self.diagnostics.get("no_error_bar")
        return None if reason is None else str(reason)

    def interval(self, level: float = 0.95) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Low and high end of each coordinate, by Student's t, each of the gradient's shape.

        They enclose the mean of what the backend estimates (docs/concepts/error_bars.md) with probability
        ``level``, between 0 and 1. -inf and inf where a coordinate has no error bar; None where no coordinate can have
        one, as there is no standard error.

        Raises:
            ValueError: ``level`` is not between 0 and 1.
        """
        if self.standard_error is None:
            return None
        half = student_t(level, self.degrees_of_freedom, self.standard_error)
        return self.gradient - half, self.gradient + half


@runtime_checkable
class Backend(Protocol):
    """A way to get a gradient of an objective: a small frozen dataclass with this one method."""

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Estimate value and gradient of ``objective`` at ``theta`` ([parameters] or [batch, parameters]).

        The backends of carom take lists and arrays for ``theta`` too, as float64.
        """
        ...
