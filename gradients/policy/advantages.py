"""Factors of the score of each action, from costs."""

from __future__ import annotations

import torch

from ...plain import plain_numbers

__all__ = ["generalized_advantages", "returns"]


@plain_numbers
def returns(costs: torch.Tensor, discount: float, *, to_go: bool) -> torch.Tensor:
    """Return that is credited to the action of each step, [T, N], from costs [T, N].

    To go: sum over k >= t of discount^(k-t) cost_k. Otherwise the whole return, in the units of step t:
    discount^-t times the sum over all k of discount^k cost_k.
    """
    out = torch.empty_like(costs)
    tail = torch.zeros_like(costs[0])
    for time in range(len(costs) - 1, -1, -1):
        tail = costs[time] + discount * tail
        out[time] = tail
    if to_go:
        return out
    powers = discount ** torch.arange(len(costs), dtype=costs.dtype, device=costs.device)
    return out[0] / powers[:, None]


@plain_numbers
def generalized_advantages(costs: torch.Tensor, values: torch.Tensor, discount: float, decay: float) -> torch.Tensor:
    """Sum over l of (discount decay)^l (cost_(t+l) + discount V_(t+l+1) - V_(t+l)), [T, N].

    Schulman, Moritz, Levine, Jordan, Abbeel, "High-Dimensional Continuous Control Using Generalized Advantage
    Estimation", 2016, eq. 16. ``values`` is [T + 1, N], zero in the last row. Decay 1 telescopes to the return to go
    minus V.
    """
    surprise = costs + discount * values[1:] - values[:-1]
    return returns(surprise, discount * decay, to_go=True)
