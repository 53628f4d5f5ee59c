"""Least squares of outputs on random perturbations, with standard errors that assume no model of the residuals."""

from __future__ import annotations

import torch

__all__ = ["least_squares"]


def least_squares(
    moves: torch.Tensor, changes: torch.Tensor, *, intercept: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Slopes of ``changes`` on ``moves``, batched over problems of one size.

    The standard errors are those of White's heteroscedasticity-consistent covariance with weights 1/(1 - h)^2 (HC3:
    MacKinnon and White, J. Econometrics 29, 1985), up to (N - 1)/N the jackknife over rows. They hold for a function
    that is not linear, where the residual depends on the perturbation, and err a little to the large side.

    Args:
        moves: Perturbations [problems, N, p], N > p + intercept.
        changes: Outputs [problems, N, n].
        intercept: Whether the fit has a constant. Without one it goes through the origin.

    Returns:
        Slopes [problems, n, p], their standard errors of the same shape, and the rank of each problem [problems]; a
        problem of rank below p has no answer.
    """
    if intercept:
        moves = moves - moves.mean(1, keepdim=True)
        changes = changes - changes.mean(1, keepdim=True)
    size = moves.norm(dim=1, keepdim=True)
    unit = moves / torch.where(size > 0, size, 1.0)
    q, r = torch.linalg.qr(unit)
    diagonal = r.diagonal(dim1=-2, dim2=-1).abs()
    floor = unit.shape[1] * torch.finfo(unit.dtype).eps
    rank = (diagonal > floor).sum(1)
    # A problem without full rank gets some answer here; callers refuse it by its rank.
    r = r + torch.diag_embed((diagonal <= floor).to(r))
    inner = q.mT @ changes
    inverse = torch.linalg.solve_triangular(r, q.mT, upper=True)  # [problems, p, N]: the pseudo-inverse
    slopes = inverse @ changes
    residual = changes - q @ inner
    leverage = q.square().sum(2, keepdim=True) + (1.0 / q.shape[1] if intercept else 0.0)
    jackknifed = residual / (1.0 - leverage).clamp_min(floor)
    variance = inverse.square() @ jackknifed.square()
    scale = torch.where(size > 0, size, 1.0).mT
    return (slopes / scale).mT, (variance.sqrt() / scale).mT, rank
