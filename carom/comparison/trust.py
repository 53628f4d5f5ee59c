"""Trusted step lengths of every backend, of the cost as it is and of the averaged one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..gradients.core.interface import Objective
from ..gradients.diagnosis.trust import TrustBand, trust_band

__all__ = ["Trust", "trust_of"]

_AS_IS, _AVERAGED = 5, 2  # estimates, of which the median counts


@dataclass(frozen=True)
class Trust:
    """Bands of one backend."""

    as_is: TrustBand
    averaged: TrustBand

    def as_dict(self) -> dict[str, Any]:
        """Entry of ``results.json``."""
        return {"as_is": self.as_is.as_dict(), "averaged": self.averaged.as_dict()}


def trust_of(
    objective: Objective,
    theta: torch.Tensor,
    scale: torch.Tensor,
    estimates: Mapping[str, torch.Tensor],
    *,
    draws: int,
    seed: int,
) -> dict[str, Trust]:
    """Bands of each backend.

    Args:
        objective: The cost.
        theta: [parameters].
        scale: Standard deviation of the noise [parameters].
        estimates: Gradients over seeds by backend, [seeds, parameters].
        draws: Antithetic pairs for the averaged cost.
        seed: Seed of these.
    """
    return {
        name: Trust(
            trust_band(objective, theta, scale, gradients[:_AS_IS]),
            trust_band(objective, theta, scale, gradients[:_AVERAGED], draws=draws, seed=seed),
        )
        for name, gradients in estimates.items()
    }
