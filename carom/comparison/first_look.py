"""A comparison when its gradients are there and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..capabilities import unit_of
from ..gradients import Comparison, Objective
from ..gradients.core.objective import objective_name
from ..gradients.diagnosis.slope import SlopeVerdict

__all__ = ["FirstLook", "noise_text", "title_of"]


@dataclass(frozen=True)
class FirstLook:
    """The table and the verdicts, before the race and the studies."""

    title: str
    """Name of the objective, with the options that were given for it."""
    noise: str
    """Description of the noise over which the reference averages."""
    comparison: Comparison
    """The reference and one row per backend."""
    verdicts: Mapping[str, SlopeVerdict]
    """Verdict on each backend as the slope of the averaged cost."""
    seconds_left: float
    """About how long the rest takes [s]."""


def title_of(objective: Objective, settings: Mapping[str, Any]) -> str:
    """Name of the objective, with the options that were given for it."""
    options = settings.get("options") or {}
    given = ", ".join(f"{key} = {value}" for key, value in options.items())
    return objective_name(objective) + (f" ({given})" if given else "")


def noise_text(objective: Objective, scale: float | Sequence[float]) -> str:
    """Description of Gaussian noise of this standard deviation on theta."""
    sizes = sorted(set(scale)) if isinstance(scale, (list, tuple)) else [scale]
    text = f"{sizes[0]:g}" if len(sizes) == 1 else f"{sizes[0]:g} to {sizes[-1]:g}"
    unit = unit_of(objective)
    return f"Gaussian noise on theta (standard deviation {text}{' ' + unit if unit else ''})"
