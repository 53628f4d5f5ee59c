"""The delete-a-group jackknife: error and bias of a statistic that is no mean, from its values without each group."""

from __future__ import annotations

import torch

__all__ = ["corrected", "group_sizes", "jackknife_variance"]


def group_sizes(units: int, groups: int) -> list[int]:
    """Sizes of ``groups`` groups of ``units`` units, equal but for one unit."""
    return [units // groups + (number < units % groups) for number in range(groups)]


def jackknife_variance(without: torch.Tensor) -> torch.Tensor:
    """Variance of a statistic from its values without each of G groups of nearly equal size, [G, ...] -> [...].

    (G - 1)/G sum (without_g - mean)^2 (Quenouille, Tukey; for groups Shao and Tu 1995, section 2.3), with G - 1 degrees
    of freedom.
    """
    groups = len(without)
    return (without - without.mean(0)).square().sum(0) * ((groups - 1) / groups)


def corrected(whole: torch.Tensor, without: torch.Tensor) -> torch.Tensor:
    """The statistic less its bias of order 1/units: G whole - (G - 1) mean of those without a group."""
    groups = len(without)
    return whole + (groups - 1) * (whole - without.mean(0))
