"""Backpropagation through a window of steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from ....plain import plain_numbers
from ...core.checks import check_count
from ...core.interface import Backend, Estimate, Objective
from ...core.unrolled import unrolled
from ..autodiff import Autodiff
from .changed_backprop import check_inner, estimate_changed
from .sweep import Pull

__all__ = ["Truncated"]


@plain_numbers
@dataclass(frozen=True)
class Truncated:
    """Truncated backpropagation through time: no adjoint passes from one block of ``window`` steps to the one before.

    Blocks are counted from the end, so that the last one, which a final cost needs, is whole. Within a block the
    gradient is exact. Every step's theta has the gradient of the costs from that step to the end of its block; a
    window of the horizon or more gives exactly ``Autodiff``.

    Growth of the adjoint is limited to that over a window, at the price of a bias: the influence of theta on costs in
    later blocks is left out. A cost of the last state then has a gradient by the controls of the last block alone, and
    parameters that enter the first state alone have a gradient of exactly zero: such problems need another remedy
    (Metz, Freeman, Schoenholz, Kachman 2021, "Gradients are not all you need", section 4; Williams, Peng 1990).

    The objective must be unrolled (``stepwise``); on tasks that are simulated a step of it is several of the simulator,
    see there. ``backend`` says what is done with the gradients: ``Autodiff()`` (default) takes the one at theta,
    ``Smoothing(order="first", ...)``, ``Mixed`` or ``DDCG`` average them over noise.

    Diagnostics: those of ``backend``; ``horizon`` and ``window``, in steps of the unrolled objective; ``cuts``, the
    number of places at which the adjoint was dropped, 0 where nothing was truncated.

    Raises:
        GradientError: The objective is not unrolled, or its steps have no exact gradient.
    """

    window: int = 10
    """Steps of a block."""
    backend: Backend = field(default_factory=Autodiff)
    """Backend that is given the truncated gradients."""

    def __post_init__(self) -> None:
        check_count("window", self.window, 1)
        check_inner(self.backend)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and truncated gradient at ``theta`` ([parameters] or [batch, parameters])."""
        steps = unrolled(objective)

        def change(time: int, adjoint: torch.Tensor, pull: Pull) -> tuple[torch.Tensor, torch.Tensor]:
            adjoint, by_theta = pull.back(adjoint)
            border = time > 0 and (steps.horizon - time) % self.window == 0
            return torch.zeros_like(adjoint) if border else adjoint, by_theta

        found = estimate_changed(self.backend, objective, steps, change, theta, seed)
        cuts = (steps.horizon - 1) // self.window
        return replace(found, diagnostics={**found.diagnostics, "window": self.window, "cuts": cuts})
