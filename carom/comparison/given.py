"""Estimates that are already there, as backends: for a table of what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..gradients.core.error_bars import of_samples
from ..gradients.core.errors import GradientError
from ..gradients.core.interface import Estimate, Objective
from ..gradients.core.objective import evaluate_in_calls
from ..gradients.diagnosis.slope_reference import SlopeReference
from ..gradients.estimators.central_differences import CentralDifferences
from .cost_slice import slice_noise

__all__ = ["Given", "given_reference"]

_FEWEST = 4


@dataclass(frozen=True)
class Given:
    """A backend whose answer is known: an estimate, or an error."""

    known: Estimate | None
    error: GradientError | None = None

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """The answer.

        Raises:
            GradientError: The answer is an error.
        """
        if self.error is not None:
            raise self.error
        if self.known is None:
            raise GradientError("no estimate was made")
        return self.known


def given_reference(
    objective: Objective, theta: torch.Tensor, reference: SlopeReference, *, samples: int, seed: int
) -> Given:
    """The reference's gradient by parameter, with its standard error.

    Where its units know random directions only, the gradient is that of a few full central differences instead. Its
    value is the averaged cost over ``samples`` draws, those of the slice, whose curve passes through it.
    """
    if not reference.complete:
        few = CentralDifferences(scale=reference.scale.tolist(), samples=_FEWEST)
        return Given(few.estimate(objective, theta, seed=seed))
    rows = theta.double().cpu() + slice_noise(reference.scale, samples=samples, seed=seed).flatten(0, 1)
    costs = evaluate_in_calls(objective, rows.to(theta)).double().cpu()
    units = reference.units / reference.scale
    error = units.std(0) / math.sqrt(len(units))
    return Given(
        Estimate(
            value=costs.mean(),
            gradient=units.mean(0),
            standard_error=error,
            evaluations=reference.rollouts + len(rows),
            seconds=0.0,
            diagnostics={"trace_variance": float(error.square().sum()), "units": len(units)},
            degrees_of_freedom=of_samples(units[None])[0],
        )
    )
