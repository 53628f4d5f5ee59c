"""The exact expected cost over all choices: the reference."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.checks import check_count
from ..core.errors import GradientError
from ..core.interface import Estimate
from ..core.objective import assemble
from .choices import CategoricalObjective, check_categories, evaluate_choices, split_logits

__all__ = ["Enumeration"]


@plain_numbers
@dataclass(frozen=True)
class Enumeration:
    """Exact value and gradient of the expected cost E f(b) by one rollout for each of the categories^factors choices.

    dE f/dlogit_fj = sum over choices of p(b) (f(b) - E f) (1[b_f = j] - p_fj). Prefer it wherever that number is within
    reach; all other backends of this kind are measured by it. The costs do not depend on the logits: a batch of thetas
    needs no more rollouts than one.

    Diagnostics: ``finite``; ``best_cost``, the least cost of all, and ``best_choice`` [factors], the first that has it.
    """

    categories: int
    """Categories of each factor."""
    limit: int = 100_000
    """Largest number of choices to evaluate."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        check_categories(self.categories)
        check_count("limit", self.limit, 2)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: CategoricalObjective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at logits ``theta`` ([factors * categories], or a batch); ``seed`` has no effect."""
        start = time.perf_counter()
        theta = as_theta(theta)
        logits, single = split_logits(theta, self.categories)
        factors = logits.shape[1]
        count = self.categories**factors
        if count > self.limit:
            raise GradientError(
                f"{self.categories} categories of {factors} factors make {count} choices, more than limit = "
                f"{self.limit}: raise the limit, or sample them with REINFORCE or RELAX"
            )
        axis = torch.arange(self.categories, device=logits.device)
        choices = torch.cartesian_prod(*[axis] * factors).view(count, factors)
        costs = evaluate_choices(objective, choices, self.chunk)
        log_p = logits.log_softmax(-1)
        onehot = torch.nn.functional.one_hot(choices, self.categories).double()
        weights = torch.einsum("nfk,tfk->tn", onehot, log_p).exp()
        shifted = costs - costs[0]
        mean = weights @ shifted
        gradient = torch.einsum("tn,nfk->tfk", weights * (shifted - mean[:, None]), onehot)
        # The term -p_fj adds p_fj times the sum of p (f - E f), which is zero.
        best = int(costs.argmin())
        return assemble(
            theta,
            single,
            value=mean + costs[0],
            gradient=gradient.flatten(1),
            standard_error=None,
            evaluations=count,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradient).all(2).all(1),
                "best_cost": costs[best].expand(len(logits)),
                "best_choice": choices[best].expand(len(logits), -1),
            },
        )
