"""Base of the simulated tasks: an objective with an exact gradient, made of outputs and a loss."""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from ..first_order import Limits, numbers_only, refuse_vmap
from ..sim import Simulator
from ..sim.derivatives.linearized_rollout import LinearizedRollout, contact_history, linearize
from ..sim.stepping.contact_functions import contact_function
from ..sim.stepping.torch_rollout import LIMITS as ROLLOUT_LIMITS
from .errors import TaskError

__all__ = ["GRADIENT_LIMITS", "LIMITS", "Task"]

LIMITS = Limits(
    what="a task",
    instead=ROLLOUT_LIMITS.instead,
    batch="it takes rows already, theta [batch, parameters]; a gradient for each row is value_and_gradient(theta)",
    error=ROLLOUT_LIMITS.error,
)

GRADIENT_LIMITS = dataclasses.replace(
    LIMITS,
    what="value_and_gradient",
    instead="differentiate the cost itself, task(theta), for a first derivative; for a second one "
    + ROLLOUT_LIMITS.instead,
)

KEPT = 4
"""Softened copies that a task keeps."""


class Task(ABC):
    """An objective: parameters [batch, parameters] in, costs [batch] out; differentiable by torch.

    A subclass gives ``outputs(theta)`` and ``loss(outputs)``, so that either can be smoothed.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    parameter_names: tuple[str, ...]
    device: str
    dtype: torch.dtype
    softened_shapes: ClassVar[tuple[str, ...] | None] = None
    """Shapes whose contacts rollouts of the ``softened`` task soften; None: all, also those that carry weight."""
    softening_width: ClassVar[Mapping[str, float]] = {}
    """Width for which softened contact of each kind is informative at the start [m]."""

    @abstractmethod
    def initial_parameters(self) -> torch.Tensor:
        """Parameters to start from, [parameters]."""

    @abstractmethod
    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Outputs of the rollouts, [batch, outputs]."""

    @abstractmethod
    def loss(self, outputs: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of outputs [batch, outputs]."""

    simulator: Simulator
    """Simulator of the rollouts; only tasks that simulate have one."""

    @property
    def rollout_steps(self) -> int:
        """Steps of the simulator in a rollout."""
        return int(self.steps)  # type: ignore[attr-defined]

    @property
    def rollout_work(self) -> float:
        """Work of a rollout: steps times bodies, one of convex hulls counted as four. Comparisons plan by it."""
        model = self.simulator.model
        hulls = {int(body) for body, mesh in zip(model.shape_body, model.shape_mesh, strict=True) if mesh >= 0}
        return float(self.rollout_steps * (len(model.body_names) + 3 * len(hulls - {-1})))

    def unroll(self, theta: torch.Tensor) -> LinearizedRollout:
        """The evaluation of one theta [1, parameters] step by step: Jacobians, gradient by time."""
        return linearize(self.simulator, self, self.check(theta))

    def _pieces_simulator(self) -> Simulator:
        """The simulator for rollouts in pieces, which may start with the overlaps that a whole one meets on its way."""
        kept = self.__dict__.get("_for_pieces")
        if kept is None or kept[0] is not self.simulator:
            options = vars(self.simulator.options) | {"allow_overlap": True}
            kept = self.__dict__["_for_pieces"] = (self.simulator, Simulator(self.simulator.model, **options))
        free: Simulator = kept[1]
        return free

    def contact_history(self, theta: torch.Tensor) -> tuple[np.ndarray, list[str]]:
        """Pairs of shapes that exert forces over time, bool [batch, T, pairs], and the names of the pairs."""
        return contact_history(self.simulator, self, self.check(theta))

    def check(self, theta: torch.Tensor) -> torch.Tensor:
        """``theta`` in the task's precision and on its device, or a TaskError."""
        count = len(self.parameter_names)
        if not isinstance(theta, torch.Tensor) or theta.dim() != 2 or theta.shape[1] != count:
            shape = tuple(theta.shape) if isinstance(theta, torch.Tensor) else type(theta).__name__
            raise TaskError(f"{self.name}: theta must be a tensor of shape [batch, {count}], got {shape}")
        refuse_vmap(LIMITS, theta)
        bad = ~torch.isfinite(theta.detach())
        if bool(bad.any()):
            row, column = torch.nonzero(bad)[0].tolist()
            raise TaskError(
                f"{self.name}: theta is not finite at row {row}, parameter {self.parameter_names[column]!r}"
            )
        return theta.to(device=self.device, dtype=self.dtype)

    def variant(self) -> Any:
        """A copy to be changed: it shares the scene and what the simulator has prepared, but no softened copies."""
        twin = copy.copy(self)
        twin.__dict__["_softened"] = {}
        return twin

    def softened(self, kind: str, width: float, *, forward: bool = True) -> Task:
        """The task with contact forces that act before the shapes touch; see ``carom.gradients.Softened``.

        The last few are kept, with what their simulators have prepared.

        Args:
            kind: "softplus" or "log_barrier".
            width: Scale of the noise on the gap [m].
            forward: Whether rollouts have softened contacts too, those of ``softened_shapes``; otherwise only their
                gradients have, of all shapes.

        Raises:
            ModelError: An unknown kind, or a width that is not positive.
        """
        kept: dict[tuple[str, float, bool], Task] = self.__dict__.setdefault("_softened", {})
        key = (kind, width, forward)
        if key not in kept:
            function = contact_function(kind, width, shapes=self.softened_shapes if forward else None, forward=forward)
            twin = self.variant()
            twin.simulator = Simulator(self.simulator.model, **vars(self.simulator.options) | {"softening": function})
            while len(kept) >= KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = twin
        return kept[key]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch], in the type of ``theta``."""
        return self.loss(self.outputs(theta)).to(theta.dtype)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters], as numbers, whose differentiation is refused."""
        refuse_vmap(LIMITS, theta)
        leaf = theta.detach().clone().requires_grad_()
        with torch.enable_grad():
            value = self(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        value, gradient = numbers_only(GRADIENT_LIMITS, (value.detach(), gradient), (theta,))
        return value, gradient
