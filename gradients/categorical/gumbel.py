"""Categorical choices by Gumbel noise, and the noise given the choice, as a differentiable function of the logits.

For one factor let p = softmax(logits) and l = log p. With G_j independent standard Gumbels, -log(-log u_j),

    z_j = l_j + G_j,    b = argmax_j z_j                                                                         (1)

draws b with probability p_b (the Gumbel-max trick). P(max z <= x) = prod_j exp(-p_j e^-x) = exp(-e^-x), as sum p = 1:
the maximum m = z_b is a standard Gumbel whatever b is. So, given b,

    m = G'_b                                                                                                      (2)

with G' new standard Gumbels, -log(-log v_j). Given m and b the others are independent Gumbels with location l_j, cut
off at m. Their distribution function is exp(-p_j e^-x) / exp(-p_j e^-m), x <= m; setting it to v_j and solving for x,

    e^-x = e^-m - log(v_j) / p_j,    so    z'_j = -log(e^-m + e^-(l_j + G'_j)),   j != b                          (3)

since -log v_j = e^-G'_j: a soft minimum of m and a fresh draw l_j + G'_j of (1). (2) and (3) have the law of z given b
and are smooth in the logits, without noise of z: what REBAR (Tucker et al. 2017, appendix C) and RELAX (Grathwohl et
al. 2018, appendix B) differentiate. In both z' has its maximum at b, at every v.
"""

from __future__ import annotations

import torch

from ..noise.counter_random import draw_uniforms

__all__ = ["conditional_gumbels", "draw_gumbels"]


def draw_gumbels(seed: int, stream: str, *, first: int, count: int, factors: int, categories: int) -> torch.Tensor:
    """Standard Gumbels of samples ``first`` to ``first + count``, [count, factors, categories], float64, on the CPU."""
    uniforms = draw_uniforms(seed, stream, first=first, rows=count, columns=factors * categories)
    return -torch.log(-torch.log(uniforms)).view(count, factors, categories)


def conditional_gumbels(log_p: torch.Tensor, choices: torch.Tensor, gumbels: torch.Tensor) -> torch.Tensor:
    """The z' of equations (2) and (3), shape [..., categories].

    Args:
        log_p: Log-probabilities l, [..., categories].
        choices: The categories chosen b, [...].
        gumbels: Standard Gumbels G', independent of those that made the choice, [..., categories].
    """
    shape = torch.broadcast_shapes(log_p.shape, gumbels.shape)
    gumbels = gumbels.expand(shape)
    top = gumbels.gather(-1, choices.unsqueeze(-1))
    others = -torch.logaddexp(-top, -(log_p + gumbels))
    chosen = torch.nn.functional.one_hot(choices, shape[-1]).bool()
    return torch.where(chosen, top, others)
