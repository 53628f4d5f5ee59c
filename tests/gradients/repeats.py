"""Statistics that the estimator tests share."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from carom.gradients import Backend, Objective


@dataclass(frozen=True)
class Repeats:
    """Gradients and standard errors of many independent seeds, shape [seeds, parameters]."""

    gradients: torch.Tensor
    errors: torch.Tensor

    def z_of_mean(self, truth: torch.Tensor) -> torch.Tensor:
        """z-score of the mean over seeds, by the scatter over seeds; unbiased means N(0, 1) up to t-tails."""
        scatter = self.gradients.std(0) / len(self.gradients) ** 0.5
        return (self.gradients.mean(0) - truth) / scatter

    def variance(self) -> torch.Tensor:
        """Trace variance over seeds; its own relative error is about sqrt(2 / (seeds * parameters)) or more."""
        return self.gradients.var(0).sum()

    def honesty(self) -> float:
        """Mean reported variance over the variance seen; 1 if the standard error is right."""
        return float(self.errors.square().mean(0).sum() / self.variance())


def repeat(backend: Backend, objective: Objective, theta: torch.Tensor, seeds: int, first: int = 0) -> Repeats:
    estimates = [backend.estimate(objective, theta, seed=first + seed) for seed in range(seeds)]
    errors = [estimate.standard_error for estimate in estimates]
    assert all(error is not None for error in errors)
    return Repeats(
        torch.stack([estimate.gradient for estimate in estimates]),
        torch.stack([error for error in errors if error is not None]),
    )
