"""Event functions of an objective: labels or signs of what happened in a rollout, beside its cost."""

from __future__ import annotations

import torch

from .errors import GradientError
from .interface import Objective
from .objective import objective_name, refuse_non_finite
from .optional import has_methods

__all__ = ["evaluate_events", "supports_events"]


def supports_events(objective: Objective) -> bool:
    """Whether the objective has ``events(theta)``: theta [batch, parameters] to events [batch, events].

    Booleans or integers are labels ("contact was made", "bounces"); any change of one is an event. Real numbers are
    event functions ("height over the wall" in m), whose change of sign is one.
    """
    return has_methods(objective, "events")


def evaluate_events(objective: Objective, rows: torch.Tensor) -> torch.Tensor:
    """Events of ``rows`` [n, parameters], shape [n, events], in the objective's own type; refused if not finite."""
    name = objective_name(objective)
    with torch.no_grad():
        answer = objective.events(rows)  # type: ignore[attr-defined]
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != len(rows) or answer.is_complex():
        got = list(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise GradientError(
            f"events of {name!r} returned {got} for theta of shape {list(rows.shape)}: return a real tensor [batch, "
            "events], booleans or integers for labels, floating for numbers whose sign matters"
        )
    if answer.is_floating_point():
        refuse_non_finite(name, rows, answer, "event")
    return answer.to(rows.device)
