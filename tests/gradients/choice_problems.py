"""Costs of choices with a relaxed version, and control variates that are wrong on purpose."""

from __future__ import annotations

import torch

from carom.gradients import RelaxedObjective


def problem(factors: int, categories: int, seed: int = 0) -> tuple[RelaxedObjective, torch.Tensor]:
    """A random table of costs over all choices plus an offset, linear in each factor's weights; and random logits."""
    numbers = torch.Generator().manual_seed(seed)
    table = torch.randn([categories] * factors, generator=numbers, dtype=torch.float64) + 2.0
    logits = 0.7 * torch.randn(factors * categories, generator=numbers, dtype=torch.float64)

    def cost(choices):
        return table[tuple(choices.T)]

    def relaxed(weights):
        costs = table.to(weights).expand(len(weights), *table.shape)
        for factor in range(factors):
            costs = torch.einsum("nk...,nk->n...", costs, weights[:, factor])
        return costs

    return RelaxedObjective(cost, relaxed), logits


def wild(z):
    """A control variate that has nothing to do with any cost, with outputs in the tens."""
    return 30.0 * torch.sin(z.flatten(1) @ torch.linspace(-1.0, 2.0, z[0].numel(), dtype=z.dtype) + 1.0)
