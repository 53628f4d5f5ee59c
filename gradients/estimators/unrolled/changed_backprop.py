"""An objective whose exact gradient is replaced by one with a changed adjoint, for any backend that takes gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ...core.errors import GradientError
from ...core.interface import Backend, Estimate, Objective
from ...core.objective import evaluate, objective_name
from ...core.optional import optional
from ...core.unrolled import UnrolledObjective
from .sweep import Change, roll_forward, sweep_backward

__all__ = ["ChangedBackprop", "check_inner", "estimate_changed"]


class ChangedBackprop:
    """The costs of an objective, with gradients by a backward sweep whose adjoint is changed.

    It has the name and the parameters' names of the objective and nothing else of it, so that no backend can go
    around the sweep.
    """

    def __init__(self, objective: Objective, steps: UnrolledObjective, change: Change) -> None:
        self.objective, self.steps, self.change = objective, steps, change
        self.name = objective_name(objective)
        names: Any = optional(objective, "parameter_names")
        if names is not None:
            self.parameter_names = names

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of theta [batch, parameters]."""
        return evaluate(self.objective, theta, finite=False)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and changed gradients [batch, parameters]."""
        rows = theta.detach()
        gradient = torch.zeros_like(rows)
        rollout = roll_forward(self.steps, lambda _: rows)
        sweep_backward(self.steps, rollout, lambda _: rows, self.change, lambda _, part: gradient.add_(part))
        return rollout.costs.sum(0).to(rows), gradient


def estimate_changed(
    backend: Backend, objective: Objective, steps: UnrolledObjective, change: Change, theta: torch.Tensor, seed: int
) -> Estimate:
    """The estimate of ``backend`` with changed gradients, and the horizon among its diagnostics."""
    found = backend.estimate(ChangedBackprop(objective, steps, change), theta, seed=seed)
    return replace(found, diagnostics={**found.diagnostics, "horizon": steps.horizon})


def check_inner(backend: object) -> None:
    """Refuse what is no backend, and one that would not use the changed gradient."""
    if isinstance(backend, type) or not isinstance(backend, Backend):
        raise GradientError(f'backend is {backend!r}: give an instance, e.g. Autodiff() or Smoothing(order="first")')
    if getattr(backend, "order", "first") == "zeroth" and getattr(backend, "parameters", None) is None:
        raise GradientError(
            f"backend {type(backend).__name__} is of order 'zeroth', which takes no gradients: nothing would be "
            'changed. Give Autodiff() or Smoothing(order="first", scale=...)'
        )
