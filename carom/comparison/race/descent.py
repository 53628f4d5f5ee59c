"""Descents by Adam that can be continued: several rates at once from one start, in rollouts counted the same way."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from ...gradients.core.checked import checked_estimate
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.core.objective import evaluate_in_calls
from ...gradients.estimators.adam import Adam
from ...gradients.noise.counter_random import derive_seed
from ...optimization.counting import Counted, Tally
from ...optimization.problem import BACKWARD_ROLLOUTS

__all__ = ["Arm", "Descent", "advance", "costs_of"]

_MOST_STEPS = 400
_IDLE_STEPS = 8
"""Steps in a row with a gradient of exactly 0 after which a descent is over."""


@dataclass(frozen=True, order=True)
class Arm:
    """A backend with the settings of its descent."""

    backend: str
    samples: int
    """Samples a step; 0 where the backend takes none."""
    rate: float
    """Rate of Adam, in noise scales."""

    @property
    def text(self) -> str:
        """Settings in words."""
        samples = f"{self.samples} samples a step, " if self.samples else ""
        return f"{samples}rate {self.rate:.2g} noise scales"


@dataclass
class Descent:
    """One descent in progress."""

    arm: Arm
    backend: Backend
    start: torch.Tensor
    """[parameters], float64 on the CPU."""
    scale: torch.Tensor
    seed: int
    path: list[torch.Tensor] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    stopped: str | None = None

    def __post_init__(self) -> None:
        self.moved = torch.zeros_like(self.start)
        self.adam = Adam([self.moved], lr=self.arm.rate)
        self.path, self.spent, self.seconds = [self.start], [0.0], [0.0]
        self.gradients: list[torch.Tensor] = []
        self.idle = 0

    @property
    def steps(self) -> int:
        """Steps made."""
        return len(self.path) - 1

    def take(self, gradient: torch.Tensor, spent: float, seconds: float) -> None:
        """One step along ``gradient``, which took so many rollouts and seconds."""
        if not bool(torch.isfinite(gradient).all()):
            self.stopped = f"after {self.steps} steps: the gradient is not finite"
            return
        self.idle = 0 if bool(gradient.any()) else self.idle + 1
        if self.idle == _IDLE_STEPS:
            self.stopped = f"after {self.steps} steps: the gradient is exactly 0"
            return
        self.gradients.append(gradient)
        self.moved.grad = gradient * self.scale
        self.adam.step()
        self.path.append(self.start + self.scale * self.moved.detach())
        self.spent.append(self.spent[-1] + spent)
        self.seconds.append(self.seconds[-1] + seconds)
        if self.steps >= _MOST_STEPS:
            self.stopped = f"after {self.steps} steps: no more are made"


def advance(objective: Objective, theta: torch.Tensor, descents: list[Descent], budget: float) -> None:
    """Continue descents of one backend and one seed until each has spent ``budget`` rollouts.

    Descents at the same step share a call: their noise is that of the step. A step that would go beyond the budget is
    not made. A backward pass counts as ``BACKWARD_ROLLOUTS``, the cost along the path as 1.

    Args:
        objective: The cost.
        theta: Any point, for its dtype and device.
        descents: Those to continue.
        budget: Rollouts of each, in all.
    """
    tally = Tally()
    counted: Any = Counted(objective, tally, remember=False)
    open_ = [descent for descent in descents if descent.stopped is None]
    while open_:
        step = min(descent.steps for descent in open_)
        together = [descent for descent in open_ if descent.steps == step]
        cost = _cost(together[0])
        if cost is not None and together[0].spent[-1] + cost > budget:
            open_ = [descent for descent in open_ if descent not in together]
            continue
        tally.reset()
        clock = time.process_time()
        gradients = _gradients(counted, theta, together, step)
        seconds = (time.process_time() - clock) / len(together)
        spent = (tally.forward + BACKWARD_ROLLOUTS * tally.backward) / len(together) + 1.0
        for descent, gradient in zip(together, gradients, strict=True):
            if isinstance(gradient, str):
                descent.stopped = f"after {step} steps: {gradient}"
            elif descent.spent[-1] + spent > budget:
                open_ = [other for other in open_ if other is not descent]
            else:
                descent.take(gradient, spent, seconds)
        open_ = [descent for descent in open_ if descent.stopped is None]


def _cost(descent: Descent) -> float | None:
    """Rollouts that the next step takes, as the last one did; None before the first."""
    return descent.spent[-1] - descent.spent[-2] if descent.steps else None


def _gradients(
    objective: Objective, theta: torch.Tensor, descents: list[Descent], step: int
) -> list[torch.Tensor | str]:
    """Gradient of each descent, or the reason why there is none."""
    backend, seed = descents[0].backend, derive_seed(descents[0].seed, "race", step)
    points = torch.stack([descent.path[-1] for descent in descents]).to(theta)
    if len(descents) > 1:
        with suppress(GradientError):  # one of them may be at fault, or the backend takes a single theta
            return list(checked_estimate(backend, objective, points, seed=seed).gradient.double().cpu())
    found: list[torch.Tensor | str] = []
    for point in points:
        try:
            found.append(checked_estimate(backend, objective, point, seed=seed).gradient.double().cpu())
        except GradientError as error:
            found.append(str(error))
    return found


def costs_of(objective: Objective, theta: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Costs [n] of ``rows`` [n, parameters] as they are; infinite where they are not finite."""
    costs = evaluate_in_calls(objective, rows.to(theta), finite=False).double().cpu()
    return torch.where(torch.isfinite(costs), costs, torch.full_like(costs, math.inf))
