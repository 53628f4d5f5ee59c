"""Gradients from single samples, the terms of an average over noise: their spread, spikes and tails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...gradients.core.checked import checked_batch
from ...gradients.core.errors import GradientError
from ...gradients.core.interface import Backend, Objective
from ...gradients.core.objective import evaluate
from ...gradients.noise.counter_random import draw_uniforms

__all__ = ["SCORE", "SingleSamples", "single_samples"]

SCORE = "zeroth order"
"""Name of the samples (f - mean f) w / scale, which need values only."""


@dataclass(frozen=True)
class SingleSamples:
    """One number a sample: its gradient along the reference's direction, float64 on the CPU."""

    reference: float
    """Length of the reference: the mean of an unbiased kind of sample."""
    samples: dict[str, torch.Tensor]
    """Samples by kind, [samples]: ``SCORE``, and the backends that need no samples, at perturbed points."""
    notes: tuple[str, ...]
    """Reasons why backends have none."""

    def zero_share(self, name: str) -> float:
        """Share of samples that are exactly zero."""
        return float((self.samples[name] == 0.0).double().mean())

    def kurtosis(self, name: str) -> float:
        """Fourth central moment over squared variance: 3 for the normal distribution; nan without a variance."""
        x = self.samples[name] - self.samples[name].mean()
        return float(x.pow(4).mean() / x.square().mean().square())

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "reference": self.reference,
            "samples": {name: part.tolist() for name, part in self.samples.items()},
            "notes": list(self.notes),
        }


def single_samples(
    objective: Objective,
    theta: torch.Tensor,
    backends: Mapping[str, Backend],
    reference: torch.Tensor,
    scale: torch.Tensor,
    *,
    samples: int,
    seed: int,
) -> SingleSamples:
    """Single-sample gradients of the cost averaged over Gaussian noise.

    Args:
        objective: The cost.
        theta: [parameters].
        backends: Those that give a gradient without samples: each is taken at the perturbed points.
        reference: Gradient whose direction the samples are projected on [parameters].
        scale: Standard deviation of the noise [parameters].
        samples: Number of samples.
        seed: Seed of the noise.
    """
    direction = reference.double().cpu()
    length = float(direction.norm())
    direction = direction / length if length > 0.0 else torch.eye(len(theta), dtype=torch.float64, device="cpu")[0]
    scale = scale.double().cpu().expand(len(theta))
    noise = torch.special.ndtri(draw_uniforms(seed, "singles", first=0, rows=samples, columns=len(theta)))
    rows = (theta.double().cpu() + scale * noise).to(theta)
    values = evaluate(objective, rows).double().cpu()
    found = {SCORE: (values - values.mean()) * ((noise / scale) @ direction)}
    notes = []
    for name, backend in backends.items():
        try:
            gradient = checked_batch(backend, objective, rows, seed=seed).gradient.double().cpu()
        except GradientError as error:
            notes.append(f"{name}: {error}")
            continue
        if not bool(torch.isfinite(gradient).all()):
            notes.append(f"{name}: not finite at some of the perturbed points")
            continue
        found[name] = gradient @ direction
    return SingleSamples(length, found, tuple(notes))
