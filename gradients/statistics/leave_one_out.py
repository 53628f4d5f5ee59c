"""The leave-one-out baseline: each sample's cost less the mean cost of the others."""

from __future__ import annotations

import torch

__all__ = ["leave_one_out"]


def leave_one_out(
    table: torch.Tensor, base: torch.Tensor, count: torch.Tensor, independent: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Mean of (weight less the mean weight of the other samples) times factor, and its jackknife variance.

    That is the sample covariance of weights w and factors y.

    Args:
        table: Sums of w^i y^j about shifts, [3, 2, T, C]; see ``CovarianceMoments.table``.
        base: Sums of w^i, [3, T].
        count: Samples, [T, 1].
        independent: Whether the samples are; else there is no variance.
    """
    mean = base[1][:, None] / count
    scatter = base[2][:, None] - count * mean.square()
    factor = table[0, 0] / count
    product = table[1, 0] - mean * table[0, 0]
    if not independent:
        return product / count, None
    # Sums over samples of c y, c^2 y and c^2 y^2 with c = w - mean w, from those with w - shift.
    mixed = table[2, 0] - 2.0 * mean * table[1, 0] + mean.square() * table[0, 0]
    second = table[2, 1] - 2.0 * mean * table[1, 1] + mean.square() * table[0, 1]
    centred = second - 2.0 * factor * mixed + factor.square() * scatter
    # Jackknife: with z_k = c_k (y_k - mean y), leaving sample k out changes the covariance by -n z_k / ((n - 1)(n - 2))
    # plus a constant.
    variance = (centred - product.square() / count) * count / ((count - 1.0) * (count - 2.0).square())
    return product / (count - 1.0), variance.clamp_min(0.0)
