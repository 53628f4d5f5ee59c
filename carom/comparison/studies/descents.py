"""Descents by the same optimizer with each gradient, at equal numbers of rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from ...gradients.core.checked import checked_estimate
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.core.objective import evaluate
from ...gradients.estimators.adam import Adam
from ...gradients.noise.counter_random import derive_seed
from ...optimization.counting import Counted, Tally
from ...optimization.problem import BACKWARD_ROLLOUTS
from .backend_options import with_option

__all__ = ["Curve", "descend", "descents"]

RATE = 0.25
"""Step of Adam in noise scales: it changes no parameter by much more than this at once."""


@dataclass(frozen=True)
class Curve:
    """Curve of one descent."""

    rollouts: tuple[int, ...]
    """Spent before each point, a backward pass counted as ``BACKWARD_ROLLOUTS``; 0 at the start."""
    cost: tuple[float, ...]
    """Cost of the objective as it is."""
    best: torch.Tensor
    """Theta of the least cost [parameters], on the CPU."""
    gradient: torch.Tensor | None
    """The backend's gradient there; None where the descent ended before it was taken."""
    stopped: str | None = None
    """Reason for an early end."""

    @property
    def least(self) -> float:
        """The least cost of the descent."""
        return min(self.cost)

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "rollouts": list(self.rollouts),
            "cost": list(self.cost),
            "best": self.best.tolist(),
            "stopped": self.stopped,
        }


def descend(
    objective: Objective,
    theta: torch.Tensor,
    backend: Backend,
    scale: torch.Tensor,
    *,
    rollouts: int,
    steps: int,
    seed: int,
) -> Curve:
    """Adam (Kingma and Ba 2015) on the parameters in units of the noise, until rollouts or steps are spent.

    Rollouts are counted as ``carom.optimization.minimize`` does, but for those of the costs along the way, which are
    the objective's as it is. A gradient that cannot be taken ends the descent there, with the reason in the curve.

    Args:
        objective: The cost.
        theta: Start [parameters].
        backend: Backend of the gradient.
        scale: Standard deviation of the noise [parameters].
        rollouts: To spend on gradients, at most.
        steps: At most.
        seed: Every step has noise of its own below it.
    """
    unit = scale.double().cpu().expand(len(theta))
    start = theta.detach().double().cpu()
    moved = torch.zeros_like(start)  # in units of the noise
    adam = Adam([moved], lr=RATE)
    path, gradients, spent, stopped = [start], [], [0], None
    tally = Tally()
    counted: Any = Counted(objective, tally, remember=False)
    for step in range(steps):
        try:
            at, noise = path[-1].to(theta), derive_seed(seed, "descent", step)
            estimate = checked_estimate(backend, counted, at, seed=noise)
        except GradientError as error:
            stopped = f"after {step} steps: {error}"
            break
        used = tally.forward + BACKWARD_ROLLOUTS * tally.backward
        if used > rollouts:
            break
        gradient = estimate.gradient.double().cpu()
        if not bool(torch.isfinite(gradient).all()):
            stopped = f"after {step} steps: the gradient is not finite"
            break
        gradients.append(gradient)
        spent.append(used)
        moved.grad = gradient * unit
        adam.step()
        path.append(start + unit * moved.detach())
    costs = evaluate(objective, torch.stack(path).to(theta), finite=False).double().cpu()
    if not bool(torch.isfinite(costs).all()):
        end = int((~torch.isfinite(costs)).nonzero()[0])
        stopped = f"after {end} steps: the cost is not finite"
        if end == 0:
            raise GradientError("the cost is not finite at theta: there is nothing to descend from")
        costs, path, spent = costs[:end], path[:end], spent[:end]
    best = int(costs.argmin())
    return Curve(
        rollouts=tuple(spent),
        cost=tuple(costs.tolist()),
        best=path[best].to(theta.dtype),
        gradient=gradients[best] if best < len(gradients) else None,
        stopped=stopped,
    )


def descents(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    scale: torch.Tensor,
    *,
    samples: int,
    rollouts: int,
    steps: int,
    seed: int,
) -> dict[str, Curve]:
    """A descent with each backend; those that sample take ``samples`` a step. The other arguments are ``descend``'s."""
    found = {}
    for name, backend in backends.items():
        curve = None
        with suppress(GradientError):  # that many may be too few for it
            fewer = with_option(backend, "samples", samples) or backend
            curve = descend(objective, theta, fewer, scale, rollouts=rollouts, steps=steps, seed=seed)
        if curve is None or len(curve.cost) == 1:
            curve = descend(objective, theta, backend, scale, rollouts=rollouts, steps=steps, seed=seed)
        found[name] = curve
    return found
