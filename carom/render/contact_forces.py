"""The contact forces of a recording as a picture shows them: on one body of each pair, at one scale for the run."""

from __future__ import annotations

import numpy as np

from ..sim import Recording

__all__ = ["contact_forces", "round_scale", "typical_force"]


def contact_forces(recording: Recording, step: int, world: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, 3] (m) and forces [n, 3] (N) of the contacts of a step.

    Each is the force on the body that moves, and of two that do on the one that is not driven.
    """
    listed = recording.contacts(step, world)
    force = recording.contact_force[listed].astype(float)
    body = recording.contact_body[listed]
    driven = np.isin(body, recording.actuator_body) | (body < 0)
    flipped = driven[:, 1] & ~driven[:, 0]
    return recording.contact_point[listed].astype(float), np.where(flipped[:, None], -force, force)


def typical_force(recording: Recording, world: int = 0, axes: int = 3) -> float:
    """A round force [N] that the largest one of most steps is near; of its first ``axes`` components."""
    size = np.linalg.norm(recording.contact_force[:, :axes], axis=1)
    spans = (recording.contacts(t, world) for t in range(recording.steps))
    largest = np.array([size[span].max(initial=0.0) for span in spans])
    largest = largest[largest > 0.0]
    return round_scale(float(np.quantile(largest, 0.9))) if len(largest) else 1.0


def round_scale(value: float) -> float:
    """1, 2 or 5 times a power of ten, the nearest."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(min((1.0, 2.0, 5.0, 10.0), key=lambda m: abs(np.log(value / (m * power)))) * power)
