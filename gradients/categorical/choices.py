"""Objectives on choices: the interface, its checks, and the logits behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from ..core.arrays import as_numbers, called
from ..core.checks import as_batch, check_count
from ..core.errors import GradientError
from ..core.objective import objective_name
from ..core.optional import has_methods, optional

__all__ = [
    "CategoricalObjective",
    "RelaxedObjective",
    "check_categories",
    "evaluate_choices",
    "evaluate_relaxed",
    "split_logits",
    "supports_relaxed",
]

_SHOWN = 3


@runtime_checkable
class CategoricalObjective(Protocol):
    """A cost of choices; it may also have ``relaxed(weights)``, see :class:`RelaxedObjective`."""

    def __call__(self, choices: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of choices [batch, factors], int64 in [0, categories); smaller is better."""
        ...


@dataclass(frozen=True)
class RelaxedObjective:
    """A cost of choices together with a version of it on the simplex.

    ``relaxed`` takes weights [batch, factors, categories], each factor's positive with sum 1, and returns costs [batch]
    that torch can differentiate. At the corners it should equal ``cost``; where it does not, ``REBAR`` and ``RELAX``
    stay unbiased and ``Concrete`` does not even converge as its temperature falls.
    """

    cost: Callable[[torch.Tensor], torch.Tensor]
    """[batch, factors] int64 to [batch]."""
    relaxed: Callable[[torch.Tensor], torch.Tensor]
    """[batch, factors, categories] to [batch]."""

    @property
    def name(self) -> str:
        """Name of the cost."""
        return objective_name(self.cost)

    def __call__(self, choices: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of choices [batch, factors]."""
        return self.cost(choices)


def check_categories(categories: object) -> None:
    """Refuse fewer than two categories."""
    check_count("categories", categories, 2, " (the number of things each factor chooses from)")


def split_logits(theta: torch.Tensor, categories: int) -> tuple[torch.Tensor, bool]:
    """Logits [batch, factors, categories], float64, and whether theta was a single [factors * categories]."""
    batch, single = as_batch(theta)
    if batch.shape[1] % categories:
        raise GradientError(
            f"theta has {batch.shape[1]} logits, which is not a multiple of categories = {categories}: give the logits "
            "[factors, categories] flattened"
        )
    return batch.double().view(len(batch), -1, categories), single


def evaluate_choices(objective: CategoricalObjective, choices: torch.Tensor, chunk: int | None) -> torch.Tensor:
    """Finite costs [n], float64, of choices [n, factors]."""
    if not callable(objective):
        raise GradientError(
            f"the objective is a {type(objective).__name__}: give a callable from choices [batch, factors] to costs "
            "[batch]"
        )
    return torch.cat([_checked(objective, part) for part in choices.split(chunk or len(choices))])


def _checked(objective: CategoricalObjective, choices: torch.Tensor) -> torch.Tensor:
    name = objective_name(objective)
    with torch.no_grad():
        given = called(objective, choices)
    found = as_numbers(given)
    costs = _check_shape(given if found is None else found, choices, name, "choices").double()
    _refuse_non_finite(costs, choices, name, "cost")
    return costs


def supports_relaxed(objective: object) -> bool:
    """Whether the objective has a relaxed version."""
    return has_methods(objective, "relaxed")


def evaluate_relaxed(objective: object, weights: torch.Tensor, dtype: torch.dtype, needed_by: str) -> torch.Tensor:
    """Relaxed costs [n], float64, of weights [n, factors, categories]; differentiable, in the user's dtype inside."""
    name = objective_name(objective)
    relaxed = optional(objective, "relaxed")
    if not callable(relaxed):
        raise GradientError(
            f"objective {name!r} has no relaxed version, which {needed_by} needs: offer relaxed(weights [batch, "
            "factors, categories]) -> [batch], e.g. by RelaxedObjective(cost, relaxed); or use RELAX or REINFORCE, "
            "which need only the costs of choices"
        )
    costs = _check_shape(relaxed(weights.to(dtype)), weights, f"{name}.relaxed", "weights").double()
    if weights.requires_grad and not costs.requires_grad:
        raise GradientError(
            f"torch.autograd does not reach the weights through relaxed of {name!r}: write it in torch operations, "
            "without detach(), numpy or argmax"
        )
    _refuse_non_finite(costs.detach(), weights.detach(), f"{name}.relaxed", "cost")
    return costs


def _check_shape(costs: object, rows: torch.Tensor, name: str, what: str) -> torch.Tensor:
    if not isinstance(costs, torch.Tensor):
        raise GradientError(
            f"objective {name!r} returned a {type(costs).__name__}: return a torch tensor or a NumPy array [batch]"
        )
    if costs.shape != rows.shape[:1]:
        raise GradientError(
            f"objective {name!r} returned shape {list(costs.shape)} for {what} of shape {list(rows.shape)}: return one "
            f"cost per row, shape {[len(rows)]}"
        )
    if costs.is_complex():
        raise GradientError(f"objective {name!r} returned {costs.dtype}: return real costs")
    return costs.to(rows.device)


def _refuse_non_finite(costs: torch.Tensor, rows: torch.Tensor, name: str, what: str) -> None:
    bad = (~torch.isfinite(costs)).nonzero().reshape(-1).tolist()
    if bad:
        shown = "; ".join(f"row {i}, {rows[i].tolist()}: {costs[i].item()}" for i in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise GradientError(
            f"objective {name!r} returned a {what} that is not finite in {len(bad)} of {len(rows)} rollouts "
            f"({shown}{more}). An average over them would mean nothing: make the cost finite there, e.g. cap that "
            "of a failed rollout"
        )
