"""Analytic smoothing: the gradient of the same rollout with contact forces that act before the shapes touch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...plain import plain_numbers
from ..core.checks import check_count, suggest
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import objective_name
from ..core.optional import optional
from .autodiff import Autodiff

__all__ = ["GeometricWidth", "Softened"]

KINDS = ("softplus", "log_barrier")


@plain_numbers
@dataclass(frozen=True)
class Softened:
    """Exact gradient of the objective with softened contact: no noise, one rollout, any number of parameters.

    The objective must have ``softened(kind, width, forward=...)``, another objective with the same parameters whose
    contacts are softened; the tasks on the simulator do. ``docs/contact.md`` describes the softened contacts: the
    impulse of each contact is its mean over noise on the gap, of scale ``width``.

    By default the value is that of the hard objective, its rollout unchanged to the bit, and only the derivative of
    each contact's impulse is softened, along that rollout. On pushes that is by far the better gradient: shapes
    that touch are differentiated nearly as they are, and those that do not touch have a derivative too. With
    ``forward=True`` the rollout has the softened contact as well, and the gradient is exact for its value: a smooth
    program with forces at a distance, for planning with it.

    Limits: it smooths contact by contact and step by step, so it is not the gradient of the cost averaged
    over noise on theta; it has no error bar; a contact far beyond ``width`` has no effect; and with too great a width
    it is the gradient of a world in which bodies never touch. Reduce the width during an optimization: see
    :class:`GeometricWidth`.

    Diagnostics: as :class:`Autodiff`, and ``width`` [m].
    """

    width: float | None = None
    """Scale of the noise on the gap [m]; by default the objective's own ``softening_width[kind]``."""
    kind: str = "softplus"
    """"softplus", whose force acts up to about ten widths away, or "log_barrier", whose force acts much farther for its
    width."""
    forward: bool = False
    """Whether the rollout has softened contact too, or only its gradient."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise GradientError(suggest("kind", self.kind, KINDS))
        if self.width is not None:
            _check_width("width", self.width)
        if not isinstance(self.forward, bool):
            raise GradientError(f"forward is {self.forward!r}: give True or False")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient of the softened objective at ``theta``; ``seed`` has no effect."""
        soften = self._method_of(objective)
        width = self._width(objective)
        softened = soften(self.kind, width, forward=self.forward)
        if not callable(softened):
            raise GradientError(
                f"softened of {objective_name(objective)!r} returned a {type(softened).__name__}: return an objective"
            )
        exact = Autodiff().estimate(softened, theta)
        return replace(exact, diagnostics={**exact.diagnostics, "width": width})

    def warm_up(self, objective: Objective, theta: torch.Tensor) -> None:
        """Compile and record all that ``estimate`` needs at ``theta``, so that it can be timed."""
        self.estimate(objective, theta)

    def _width(self, objective: Objective) -> float:
        if self.width is not None:
            return self.width
        own: Any = optional(objective, "softening_width")
        if own is None or self.kind not in own:
            raise GradientError(
                f"objective {objective_name(objective)!r} has no softening_width[{self.kind!r}] of its own: say at "
                "what distance contact forces are to act, e.g. Softened(width=0.002) [m]"
            )
        return float(own[self.kind])

    def _method_of(self, objective: Objective) -> Any:
        method = optional(objective, "softened")
        if not callable(method):
            raise GradientError(
                f"objective {objective_name(objective)!r} has no contacts to soften: it has no "
                "softened(kind, width, forward=...). The tasks on the simulator (push, carrots) do; for any other "
                "objective use Smoothing"
            )
        return method


@plain_numbers
@dataclass(frozen=True)
class GeometricWidth:
    """A width that shrinks in equal ratios as an optimization goes on: far contacts first, true ones at the end.

    ``schedule(i)`` is the width in iteration i, from ``first`` in iteration 0 to ``last`` in iteration
    ``iterations`` - 1 and after. It changes in ``stages`` steps: each new width has to be prepared once by the
    objective (graphs are recorded).

        schedule = GeometricWidth(first=4e-3, last=5e-4, iterations=60)
        for i in range(60):
            estimate = Softened(width=schedule(i)).estimate(task, theta)
    """

    first: float
    """Width at the beginning [m]."""
    last: float
    """Width at the end [m]."""
    iterations: int
    """Iterations from the first to the last width."""
    stages: int = 6
    """Different widths on the way, both ends counted."""

    def __post_init__(self) -> None:
        _check_width("first", self.first)
        _check_width("last", self.last)
        check_count("stages", self.stages, 2)
        check_count("iterations", self.iterations, self.stages, " (one for each of the stages)")

    def __call__(self, iteration: int) -> float:
        """Width in this iteration, counted from 0 [m]."""
        check_count("iteration", iteration, 0)
        stage = min(iteration * self.stages // self.iterations, self.stages - 1)
        return float(self.first * (self.last / self.first) ** (stage / (self.stages - 1)))


def _check_width(name: str, width: object) -> None:
    if isinstance(width, bool) or not (isinstance(width, (int, float)) and math.isfinite(width) and width > 0.0):
        raise GradientError(
            f"{name} is {width!r}: give a positive distance [m], e.g. 0.002. For hard contact use Autodiff()"
        )
