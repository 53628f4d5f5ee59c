"""Plan of the studies of a report: fewer points and rollouts where a rollout computes much."""

from __future__ import annotations

from dataclasses import dataclass

from ..budget import Budget

__all__ = ["Plan", "plan_for"]


@dataclass(frozen=True)
class Plan:
    """Numbers of points and of rollouts."""

    repeats: int
    """Seeds over which bias and variance are measured: more where few parameters make the variance less well known."""
    fitted_repeats: int
    """Seeds for backends that train something, which takes longer than their rollouts."""
    shares: tuple[float, ...]
    """Numbers of samples, as shares of those of the comparison."""
    scales: tuple[float, ...]
    """Noise scales, as multiples of that of the comparison."""
    samples: int
    """Samples of an estimate where something else than their number is varied, of an arrow."""
    reference_samples: int
    """Noise draws of the reference where the objective itself is varied."""
    points: int
    """Horizons, and stiffnesses."""
    arrows: int
    """Arrows along each side of the map."""
    single_samples: int
    """Single-sample gradients in a histogram."""
    diagnosis: int
    """Samples of either order in the diagnosis."""


def plan_for(budget: Budget, samples: int, parameters: int) -> Plan:
    """The plan for this budget, ``samples`` of each estimate in the comparison, and so many parameters."""

    def even(least: float, most: float) -> int:
        return 2 * round(budget.between(least, most) / 2.0)

    few = max(8, samples // 4 * 2 // 2)
    return Plan(
        repeats=round(budget.between(3, min(16, max(4, 1 + 24 // parameters)))),
        fitted_repeats=3,
        shares=(0.125, 0.25, 0.5, 1.0) if budget.rollouts >= 3000 else (0.25, 0.5, 1.0),
        scales=(0.5, 1.0, 2.0, 4.0) if budget.rollouts >= 3000 else (0.5, 1.0, 2.0),
        samples=few - few % 2,
        reference_samples=even(8, 32),
        points=3,
        arrows=5 if budget.rollouts >= 3000 else 3,
        single_samples=even(64, 256),
        diagnosis=even(16, 128),
    )
