"""All moments of one smoothed estimate together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .moments import CovarianceMoments, MeanMoments

__all__ = ["SmoothingMoments"]


@dataclass
class SmoothingMoments:
    """Moments of any number of rollouts; all shapes are the same whatever the range."""

    value: MeanMoments
    gradient: MeanMoments | CovarianceMoments
    others: MeanMoments | None
    """Pathwise gradient of parameters that are not perturbed, where a zeroth order leaves it to the first."""
    scale: MeanMoments | CovarianceMoments | None
    zeros: torch.Tensor
    """Units that contribute exactly nothing, shape [T]."""
    dropped: torch.Tensor
    """Rollouts left out since they were not finite, shape [T]."""

    def merge(self, other: SmoothingMoments) -> SmoothingMoments:
        """Moments of both ranges."""
        merged = [mine.merge(theirs) for mine, theirs in zip(self._parts(), other._parts(), strict=True)]  # type: ignore[arg-type]
        return self._with(merged, self.zeros + other.zeros, self.dropped + other.dropped)

    def tensors(self) -> list[torch.Tensor]:
        """All moments as plain float64 tensors, in a fixed order."""
        return [self.zeros, self.dropped, *(tensor for part in self._parts() for tensor in part.tensors())]

    def load(self, tensors: Sequence[torch.Tensor]) -> SmoothingMoments:
        """Moments like these from what ``tensors`` gave elsewhere."""
        rest = list(tensors[2:])
        parts = []
        for part in self._parts():
            size = len(part.tensors())
            parts.append(part.load(rest[:size]))
            rest = rest[size:]
        return self._with(parts, tensors[0], tensors[1])

    def _parts(self) -> list[MeanMoments | CovarianceMoments]:
        return [part for part in (self.value, self.gradient, self.others, self.scale) if part is not None]

    def _with(
        self, parts: Sequence[MeanMoments | CovarianceMoments], zeros: torch.Tensor, dropped: torch.Tensor
    ) -> SmoothingMoments:
        names = [name for name in ("value", "gradient", "others", "scale") if getattr(self, name) is not None]
        return replace(self, zeros=zeros, dropped=dropped, **dict(zip(names, parts, strict=True)))  # type: ignore[arg-type]
