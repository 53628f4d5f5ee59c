"""Targets of a critic."""

from __future__ import annotations

import torch

from ..plain import plain_numbers

__all__ = ["td_lambda_targets"]


@plain_numbers
def td_lambda_targets(costs: torch.Tensor, next_values: torch.Tensor, discount: float, decay: float) -> torch.Tensor:
    """TD(lambda) returns of a window that is bootstrapped at its end, [T, W].

        G_t = cost_t + discount ((1 - decay) V_(t+1) + decay G_(t+1)),   G_(T-1) = cost_(T-1) + discount V_T

    Sutton and Barto 2018, eq. 12.18. Decay 1 is the discounted sum of costs plus the discounted last value, decay 0 one
    step.

    Args:
        costs: [T, W].
        next_values: Value of the state after each step, [T, W].
        discount: In (0, 1].
        decay: Lambda, in [0, 1].
    """
    out = torch.empty_like(costs)
    tail = next_values[-1]
    for time in range(len(costs) - 1, -1, -1):
        tail = costs[time] + discount * ((1.0 - decay) * next_values[time] + decay * tail)
        out[time] = tail
    return out
