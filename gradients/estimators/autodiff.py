"""The exact gradient of the program as it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..core.checks import as_batch
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate_with_gradient

__all__ = ["Autodiff"]


@dataclass(frozen=True)
class Autodiff:
    """Exact gradient: the objective's own ``value_and_gradient``, else torch.autograd.

    Prefer it where the cost is smooth at the scale of a step: one rollout, no noise, any number of parameters. It
    depends on the cost at theta alone: where a contact is not made, or a cost is piecewise constant, the exact gradient
    is zero although the cost is not flat on the whole; ``blind`` in the diagnostics marks such coordinates.
    Chaotic or stiff rollouts give exact gradients that are large and of no use for descent; look at ``norm``.

    Diagnostics: ``finite``; ``norm``; ``blind``, shape [parameters], coordinates whose derivative is exactly zero. A
    gradient that is not finite is returned as it is, with ``finite`` false; a cost that is not finite is refused.
    """

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and exact gradient at ``theta`` ([parameters] or [batch, parameters]); ``seed`` has no effect."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        values, gradients = evaluate_with_gradient(objective, batch)
        return assemble(
            batch,
            single,
            value=values,
            gradient=gradients,
            standard_error=None,
            evaluations=batch.shape[0],
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradients).all(1),
                "norm": torch.linalg.vector_norm(gradients, dim=1),
                "blind": gradients == 0,
            },
        )
