"""Backpropagation with the Jacobian of each step, or the adjoint before it, clipped."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch

from ....plain import plain_numbers
from ...core.checks import suggest
from ...core.errors import GradientError
from ...core.interface import Backend, Estimate, Objective
from ...core.unrolled import UnrolledObjective, unrolled
from ..autodiff import Autodiff
from .changed_backprop import check_inner, estimate_changed
from .sweep import Pull

__all__ = ["Clipped"]

KINDS = ("jacobian", "adjoint")


@plain_numbers
@dataclass(frozen=True)
class Clipped:
    """Backpropagation in which every step is clipped, so that the adjoint cannot grow without bound.

    ``by`` says what is clipped:

    - ``"jacobian"`` (default): the singular values of each step's Jacobian of next state by state, at ``limit``. The
      adjoint then grows by at most that factor a step, by none at 1; directions that do not grow are left as they
      are. It takes n backward passes a step for a state of n numbers.
    - ``"adjoint"``: the length of the adjoint before each step (the derivative of the later costs by the state), at
      ``limit``, in units of cost over state. One backward pass a step.

    Lengths and singular values are those of the numbers in the state, whatever their units: positions beside
    velocities in a state of the simulator. Without contact a step moves a body by h times its velocity, which is a
    singular value of about 1 + h/2; a limit of 1 takes a little from such steps, too.

    The gradient is biased wherever a step is clipped, and its bias is not known; ``clipped`` says how often that is.
    With ``limit=math.inf`` it is exactly ``Autodiff``. Clipping keeps what flows within a step, so parameters that
    enter the first state alone keep a gradient, in contrast to ``Truncated``. (Metz, Freeman, Schoenholz, Kachman
    2021, "Gradients are not all you need", section 4, have clipping among the remedies and name its bias; that singular
    values are clipped, one by one, is a choice of this project. Clipping of lengths: Pascanu, Mikolov, Bengio 2013.)

    The objective must be unrolled (``stepwise``). ``backend`` says what is done with the gradients, as in
    ``Truncated``.

    Diagnostics: those of ``backend``; ``horizon``, in steps of the unrolled objective; ``clipped``, the share of steps,
    over all rollouts, that were clipped.

    Raises:
        GradientError: The objective is not unrolled, its steps have no exact gradient, or a Jacobian is not finite.
    """

    limit: float = 1.0
    """Largest singular value of a step, or length of an adjoint; ``math.inf`` clips nothing."""
    by: str = "jacobian"
    """``"jacobian"`` or ``"adjoint"``."""
    backend: Backend = field(default_factory=Autodiff)
    """Backend that is given the clipped gradients."""

    def __post_init__(self) -> None:
        if self.by not in KINDS:
            raise GradientError(suggest("by", self.by, KINDS))
        if isinstance(self.limit, bool) or not isinstance(self.limit, (int, float)) or not self.limit > 0.0:
            raise GradientError(f"limit is {self.limit!r}: give a positive number, e.g. 1.0; math.inf clips nothing")
        check_inner(self.backend)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and clipped gradient at ``theta`` ([parameters] or [batch, parameters])."""
        steps = unrolled(objective)
        clip = (_Jacobians if self.by == "jacobian" else _Adjoints)(steps, float(self.limit))
        found = estimate_changed(self.backend, objective, steps, clip, theta, seed)
        return replace(found, diagnostics={**found.diagnostics, "clipped": clip.share()})


class _Clip:
    """A change of the adjoint that counts what it clips."""

    def __init__(self, steps: UnrolledObjective, limit: float) -> None:
        self.steps, self.limit = steps, limit
        self._counts: list[torch.Tensor] = []
        self._seen = 0

    def count(self, clipped: torch.Tensor) -> None:
        """Add steps of all rows, clipped or not, [batch]."""
        self._counts.append(clipped.sum())
        self._seen += len(clipped)

    def share(self) -> float:
        """Share of clipped steps."""
        return float(torch.stack(self._counts).sum()) / self._seen if self._seen else 0.0


class _Adjoints(_Clip):
    def __call__(self, time: int, adjoint: torch.Tensor, pull: Pull) -> tuple[torch.Tensor, torch.Tensor]:
        adjoint, by_theta = pull.back(adjoint)
        length = torch.linalg.vector_norm(adjoint, dim=1)
        long = length > self.limit
        self.count(long)
        return torch.where(long[:, None], adjoint * (self.limit / length)[:, None], adjoint), by_theta


class _Jacobians(_Clip):
    def __call__(self, time: int, adjoint: torch.Tensor, pull: Pull) -> tuple[torch.Tensor, torch.Tensor]:
        if math.isinf(self.limit):
            self.count(torch.zeros(len(adjoint), dtype=torch.bool, device=adjoint.device))
            return pull.back(adjoint)
        matrices = pull.jacobian()
        bad = (~torch.isfinite(matrices.flatten(1)).all(1)).nonzero().reshape(-1).tolist()
        if bad:
            raise GradientError(
                f"the Jacobian of step {time} of {self.steps.name!r} is not finite in {len(bad)} of {len(matrices)} "
                f"rows (the first is row {bad[0]}), and has no singular values to clip: repair the step there, or use "
                "PersistentES, which needs values only"
            )
        left, values, right = torch.linalg.svd(matrices, full_matrices=False)
        large = values[:, 0] > self.limit
        self.count(large)
        by_after, by_before, cost_by_theta = pull.of_cost()
        adjoint = adjoint + by_after
        by_state = ((adjoint[:, None] @ left) * values.clamp(max=self.limit)[:, None] @ right)[:, 0]
        plain, by_theta = pull.of_state(adjoint)
        return torch.where(large[:, None], by_state, plain) + by_before, by_theta + cost_by_theta
