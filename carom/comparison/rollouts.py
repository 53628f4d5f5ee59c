"""Rollouts worth looking at: that of theta, and the best that each backend's descent found; for ``carom view``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..capabilities import can_record, has_scene
from ..gradients.core.objective import evaluate
from .way_points import descent

if TYPE_CHECKING:
    from ..sim import Recording
    from .race import Race
    from .race.outcome import RaceCurve

__all__ = ["START", "Rollout", "rollouts_of"]

START = "start"
"""Label of the rollout of theta."""


@dataclass(frozen=True)
class Rollout:
    """One recorded rollout with its gradients, way-points and curve."""

    label: str
    """``START``, or the name of the backend whose descent found it."""
    recording: Recording
    cost: float
    way_points: list[list[float]] | None
    """Points that the parameters place [m], [n, 2]; None where the objective has no ``way_points``."""
    gradients: dict[str, list[list[float]]] | None
    """Derivative of the cost by backend: displacement of each way-point for a unit step along the gradient, [n, 2]."""
    curve: list[list[float]] | None
    """(rollouts spent, cost) along the descent."""

    @property
    def file(self) -> str:
        """Name of its file in the folder of a run."""
        return f"recording-{''.join(c if c.isalnum() or c in '_.-' else '_' for c in self.label)}.npz"

    def as_dict(self) -> dict[str, Any]:
        """The entry in ``results.json``."""
        return {
            "label": self.label,
            "file": self.file,
            "cost": self.cost,
            "way_points": self.way_points,
            "gradients": self.gradients,
            "curve": self.curve,
        }

    def save(self, folder: Path) -> None:
        """Write the recording."""
        self.recording.save(folder / self.file)


def rollouts_of(
    objective: Any,
    theta: torch.Tensor,
    gradients: Mapping[str, Sequence[float]],
    race: Race | None,
    recording: Recording | None,
) -> tuple[Rollout, ...]:
    """The rollout at theta with all gradients, and the best of each descent with its own; none without ``record``.

    Args:
        objective: The cost.
        theta: [parameters].
        gradients: By backend, at theta.
        race: Descents with each backend.
        recording: Recording of theta, where it was made already.
    """
    if not can_record(objective):
        return ()
    found = [_rollout(objective, START, theta, gradients, None, recording)]
    for name, curve in _from_theta(race).items():
        own = {} if curve.gradient is None else {name: curve.gradient.tolist()}
        found.append(_rollout(objective, name, curve.best.to(theta), own, curve, None))
    files = [rollout.file for rollout in found]
    return tuple(rollout for i, rollout in enumerate(found) if rollout.file not in files[:i])


def _from_theta(race: Race | None) -> dict[str, RaceCurve]:
    """Descents that started at theta itself, by backend."""
    return {} if race is None else {entry.name: entry.curves[0] for entry in race.entries}


def _rollout(
    objective: Any,
    label: str,
    theta: torch.Tensor,
    gradients: Mapping[str, Sequence[float]],
    curve: RaceCurve | None,
    recording: Recording | None,
) -> Rollout:
    places = has_scene(objective)
    pairs = None if curve is None else [[float(n), cost] for n, cost in zip(curve.rollouts, curve.cost, strict=True)]
    return Rollout(
        label=label,
        recording=objective.record(theta[None]) if recording is None else recording,
        cost=float(evaluate(objective, theta[None])[0]),
        way_points=objective.way_points(theta[None])[0].double().cpu().tolist() if places else None,
        gradients={name: (-descent(objective, theta, g)).tolist() for name, g in gradients.items()} if places else None,
        curve=pairs,
    )
