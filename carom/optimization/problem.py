"""Problem of an optimizer: costs and gradients, counted, checked and seeded, and the bounds of theta."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..capabilities import bounds_of, parameter_names, smoothing_scale
from ..gradients import Backend, Estimate, GradientError, Objective
from ..gradients.core.checked import checked_estimate
from ..gradients.core.objective import evaluate, objective_name
from ..gradients.noise.counter_random import derive_seed
from ..runs import refuse_not_finite
from .counting import Counted, Tally

__all__ = ["BACKWARD_ROLLOUTS", "Problem"]

BACKWARD_ROLLOUTS = 2
"""Rollouts that a backward pass counts for. Measured on the tasks: forward and backward together take 1.7 to 3.8 times
what a rollout alone does (docs/measurements/optimization.md)."""


class Problem:
    """An objective with the backend that gives its gradient.

    Args:
        objective: Costs [batch] of parameters [batch, parameters].
        backend: Backend of the gradients; None for an optimizer that needs none.
        seed: Seed of all randomness; each iteration gets one of its own, derived from it.
        bounds: Lowest and highest value of every parameter, numbers or [parameters]; by default the objective's
            ``parameter_bounds``, where it has some.
    """

    def __init__(self, objective: Objective, backend: Backend | None = None, *, seed: int = 0, bounds: Any = None):
        self.name = objective_name(objective)
        self.backend, self.seed = backend, seed
        self.tally = Tally()
        self.objective: Any = Counted(objective, self.tally)
        scale = smoothing_scale(objective)
        self.scale = None if scale is None else float(torch.as_tensor(scale, dtype=torch.float64, device="cpu").mean())
        """Noise for which the smoothed cost is informative, in the units of theta: the mean, where the objective has
        one for each parameter; None where it has none."""
        found = bounds_of(objective) if bounds is None else bounds
        self._bounds = (
            None if found is None else tuple(torch.as_tensor(b, dtype=torch.float64, device="cpu") for b in found)
        )

    @property
    def rollouts(self) -> int:
        """Counted since the tally was reset; a backward pass as ``BACKWARD_ROLLOUTS``."""
        return self.tally.forward + BACKWARD_ROLLOUTS * self.tally.backward

    def bounds(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Lowest and highest theta, each like ``theta`` [parameters]; None where it is free."""
        if self._bounds is None:
            return None
        low, high = (bound.to(theta).expand_as(theta) for bound in self._bounds)
        return low, high

    def check_bounds(self, theta: torch.Tensor) -> None:
        """Refuse bounds that do not fit ``theta`` [parameters].

        Raises:
            GradientError: They are not a number or one a parameter, or a lower one is above its upper one.
        """
        if self._bounds is None:
            return
        for what, bound in zip(("lower", "upper"), self._bounds, strict=True):
            if tuple(bound.shape) not in ((), (1,), tuple(theta.shape)) or bool(torch.isnan(bound).any()):
                raise GradientError(
                    f"the {what} bounds of {self.name!r} have shape {tuple(bound.shape)}: give a number, or one for "
                    f"each of the {len(theta)} parameters, none of them nan"
                )
        low, high = (bound.expand(len(theta)) for bound in self._bounds)
        wrong = (low > high).nonzero()
        if len(wrong):
            i = int(wrong[0])
            raise GradientError(
                f"the bounds of {self.name!r} are the wrong way round for parameter {i}: {float(low[i]):g} above "
                f"{float(high[i]):g}"
            )

    def project(self, theta: torch.Tensor) -> torch.Tensor:
        """The nearest theta [..., parameters] within the bounds."""
        if self._bounds is None:
            return theta
        low, high = (bound.to(theta) for bound in self._bounds)
        return torch.minimum(torch.maximum(theta, low), high)

    def random_seed(self, iteration: int, *path: int | str) -> int:
        """A seed for this iteration of this problem."""
        return derive_seed(self.seed, "optimize", iteration, *path)

    def costs(self, rows: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of ``rows`` [batch, parameters], float64, on the CPU.

        Raises:
            GradientError: One of them is not finite; the message names the row.
        """
        return evaluate(self.objective, rows).double().cpu()

    def cost(self, theta: torch.Tensor) -> float:
        """Cost of theta [parameters]; no rollout where it was made in this iteration anyway."""
        known = self.tally.known(theta)
        cost = self.costs(theta[None])[0] if known is None else known
        refuse_not_finite(f"the cost of {self.name!r}", cost)
        return float(cost)

    def estimate(self, theta: torch.Tensor, seed: int) -> Estimate:
        """Value and gradient at theta [parameters].

        Raises:
            GradientError: There is no backend, or it cannot.
            NotFiniteError: The gradient is not finite.
        """
        if self.backend is None:
            raise GradientError("this optimizer follows a gradient: give a backend, e.g. Smoothing(scale=0.02)")
        estimate = checked_estimate(self.backend, self.objective, theta, seed=seed)
        refuse_not_finite(f"the value of {self.name!r}", estimate.value)
        names = parameter_names(self.objective, estimate.gradient.shape[-1])
        bad = (~torch.isfinite(estimate.gradient)).nonzero().reshape(-1).tolist()
        which = f" (parameter {names[bad[0]]!r})" if bad and bad[0] < len(names) else ""
        refuse_not_finite(
            f"the gradient of {self.name!r} by {type(self.backend).__name__}{which}",
            estimate.gradient,
            advice="Smoothing of zeroth order needs no gradient of the objective",
        )
        error = estimate.standard_error
        if error is not None and not bool(torch.isfinite(error).all()):
            estimate = replace(estimate, standard_error=None)  # a backend's way to say that it has none
        return estimate
