"""The two orders of smoothing: contributions of a unit of rollouts to the gradient, and to that of the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from ...noise.perturbation import Draw
from ...noise.scale import ScaleMap
from ...statistics.moments import CovarianceMoments, MeanMoments
from ...statistics.smoothing_moments import SmoothingMoments

__all__ = ["FirstOrder", "Order", "ZerothOrder"]


class Order(Protocol):
    """Conversion of rollouts to moments."""

    @property
    def wants_gradients(self) -> bool:
        """Whether rollouts need the objective's exact gradient."""
        ...

    @property
    def wants_centre(self) -> bool:
        """Whether the value at theta itself is subtracted."""
        ...

    @property
    def least_units(self) -> int:
        """Independent units without which there is no estimate with a standard error."""
        ...

    @property
    def by_columns(self) -> bool:
        """Whether the gradient's moments are those of the perturbed parameters only, in their order."""
        ...

    def empty(
        self, replications: int, thetas: int, parameters: int, scale: ScaleMap, device: torch.device
    ) -> SmoothingMoments:
        """Moments of no rollouts."""
        ...

    def add(
        self,
        moments: SmoothingMoments,
        replication: int,
        draw: Draw,
        values: torch.Tensor,
        gradients: torch.Tensor | None,
        keep: torch.Tensor | None,
        centre: torch.Tensor | None,
        columns: torch.Tensor,
    ) -> None:
        """Add units to gradient, scale and zeros: values [n, T, signs], gradients [n, T, signs, P], keep [n, T]."""
        ...

    def zero_share(self, moments: SmoothingMoments, units: int) -> torch.Tensor:
        """Share of units that contribute exactly nothing, shape [T]."""
        ...


def _count(flags: torch.Tensor, keep: torch.Tensor | None) -> torch.Tensor:
    return (flags if keep is None else flags & keep).double().sum(0)


@dataclass(frozen=True)
class ZerothOrder:
    """(f - b) times the score; with pairs, the odd part of f for theta and its even part for the scale."""

    pairs: bool
    baseline: str
    with_scale: bool
    others: bool = False
    """Whether parameters that are not perturbed get the mean of the exact gradient."""

    by_columns = True

    @property
    def wants_gradients(self) -> bool:
        """Whether gradients are wanted: only for parameters that are not perturbed."""
        return self.others

    @property
    def wants_centre(self) -> bool:
        """Whether the centre is wanted: with pairs it cancels from the gradient with respect to theta."""
        return self.baseline == "value" and (self.with_scale or not self.pairs)

    @property
    def least_units(self) -> int:
        """Three for a leave-one-out baseline and its jackknife."""
        return 3 if self.baseline == "leave_one_out" and (self.with_scale or not self.pairs) else 2

    def empty(
        self, replications: int, thetas: int, parameters: int, scale: ScaleMap, device: torch.device
    ) -> SmoothingMoments:
        """Moments of no rollouts."""
        leave, zeros = self.baseline == "leave_one_out", torch.zeros(thetas, dtype=torch.float64, device=device)
        columns, shape = len(scale.widths()), (replications, thetas)
        size = torch.Size(scale.shape).numel()
        return SmoothingMoments(
            value=MeanMoments.zeros(*shape, 1, device),
            gradient=CovarianceMoments.zeros(*shape, columns, centred=leave and not self.pairs, device=device),
            others=MeanMoments.zeros(*shape, parameters - columns, device) if self.others else None,
            scale=CovarianceMoments.zeros(*shape, size, centred=leave, device=device) if self.with_scale else None,
            zeros=zeros,
            dropped=zeros.clone(),
        )

    def add(
        self,
        moments: SmoothingMoments,
        replication: int,
        draw: Draw,
        values: torch.Tensor,
        gradients: torch.Tensor | None,
        keep: torch.Tensor | None,
        centre: torch.Tensor | None,
        columns: torch.Tensor,
    ) -> None:
        """Add units."""
        even = values.mean(2) if centre is None else values.mean(2) - centre
        weights = 0.5 * (values[..., 0] - values[..., 1]) if self.pairs else even
        assert isinstance(moments.gradient, CovarianceMoments)
        moments.gradient.add(replication, weights, draw.scores(), keep)
        if moments.scale is not None:
            assert isinstance(moments.scale, CovarianceMoments)
            moments.scale.add(replication, even, draw.scale_scores(), keep)
        if moments.others is not None and gradients is not None:
            rest = torch.ones(gradients.shape[-1], dtype=torch.bool, device=gradients.device)
            rest[columns] = False
            moments.others.add(replication, gradients.mean(2)[..., rest], keep)
        moments.zeros += _count(weights == 0, keep)

    def zero_share(self, moments: SmoothingMoments, units: int) -> torch.Tensor:
        """Share of zeros; with the mean of the others subtracted a unit is zero only where all values are equal."""
        assert isinstance(moments.gradient, CovarianceMoments)
        if moments.gradient.centred:
            spread = moments.gradient.about(moments.gradient.shift[:1].expand_as(moments.gradient.shift)).base[2]
            return (spread == 0).all(0).double()
        return moments.zeros / units


@dataclass(frozen=True)
class FirstOrder:
    """The exact gradient at the perturbed points; for the scale, its product with the noise."""

    with_scale: bool
    others: bool = True
    """Whether parameters that are not perturbed get their mean gradient too."""

    wants_gradients = True
    wants_centre = False
    least_units = 2

    @property
    def by_columns(self) -> bool:
        """Whether the others are fixed; else all parameters have a gradient."""
        return not self.others

    def empty(
        self, replications: int, thetas: int, parameters: int, scale: ScaleMap, device: torch.device
    ) -> SmoothingMoments:
        """Moments of no rollouts."""
        zeros = torch.zeros(thetas, dtype=torch.float64, device=device)
        columns, shape = len(scale.widths()), (replications, thetas)
        size = torch.Size(scale.shape).numel()
        return SmoothingMoments(
            value=MeanMoments.zeros(*shape, 1, device),
            gradient=MeanMoments.zeros(*shape, parameters if self.others else columns, device),
            others=None,
            scale=MeanMoments.zeros(*shape, size, device) if self.with_scale else None,
            zeros=zeros,
            dropped=zeros.clone(),
        )

    def add(
        self,
        moments: SmoothingMoments,
        replication: int,
        draw: Draw,
        values: torch.Tensor,
        gradients: torch.Tensor | None,
        keep: torch.Tensor | None,
        centre: torch.Tensor | None,
        columns: torch.Tensor,
    ) -> None:
        """Add units."""
        assert gradients is not None
        assert isinstance(moments.gradient, MeanMoments)
        own = gradients[..., columns]
        shown = gradients if self.others else own
        moments.gradient.add(replication, shown.mean(2), keep)
        if moments.scale is not None:
            assert isinstance(moments.scale, MeanMoments)
            # L e changes sign with e, so the halves of a pair enter with theirs.
            odd = own[..., 0, :] if own.shape[2] == 1 else 0.5 * (own[..., 0, :] - own[..., 1, :])
            moments.scale.add(replication, draw.map.pathwise(odd, draw.noise[:, None]), keep)
        moments.zeros += _count((shown == 0).all(-1).all(-1), keep)

    def zero_share(self, moments: SmoothingMoments, units: int) -> torch.Tensor:
        """Share of units with a gradient of exactly zero."""
        return moments.zeros / units
