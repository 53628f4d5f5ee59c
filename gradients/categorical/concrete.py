"""The Concrete relaxation (Gumbel-softmax): the pathwise gradient of a relaxed cost."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.arrays import as_theta
from ..core.checks import check_count
from ..core.error_bars import of_samples
from ..core.errors import GradientError
from ..core.interface import Estimate
from .choices import CategoricalObjective, check_categories, evaluate_relaxed, split_logits
from .gumbel import draw_gumbels
from .sampling import finish

__all__ = ["Concrete", "check_temperature"]


def check_temperature(temperature: object) -> None:
    """Refuse what is not a positive number."""
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0.0 < temperature < math.inf:
        raise GradientError(f"temperature is {temperature!r}: give a positive number, e.g. 0.5")


@plain_numbers
@dataclass(frozen=True)
class Concrete:
    """Gradient of E f_relaxed(softmax((log p + Gumbels) / temperature)) (Maddison et al. 2017; Jang et al. 2017).

    *Biased* as a gradient of E f(b), and its standard error does not show it: value and gradient are those of the
    relaxed cost at weights that are not quite one-hot. The bias falls with the temperature (if the relaxed cost equals
    the cost at the corners) while the variance grows like 1 / temperature. Prefer it where the relaxed cost is cheap
    and close to linear in the weights, for which it is exact at high temperature; else ``REBAR`` takes the same input
    and removes the bias. Needs ``objective.relaxed``; never calls the objective itself.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``entropy`` of the choice in nats;
    ``sharpness``, the mean largest weight of a factor: near 1 the relaxation is nearly a choice.
    """

    categories: int
    """Categories of each factor."""
    samples: int = 256
    """Relaxed rollouts per theta."""
    temperature: float = 0.5
    """Temperature of the softmax."""

    def __post_init__(self) -> None:
        check_categories(self.categories)
        check_count("samples", self.samples, 2, " (one has no standard error)")
        check_temperature(self.temperature)

    def estimate(self, objective: CategoricalObjective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient of the relaxed cost at logits ``theta`` ([factors * categories], or a batch)."""
        start = time.perf_counter()
        theta = as_theta(theta)
        logits, single = split_logits(theta, self.categories)
        thetas, factors, _ = logits.shape
        gumbels = draw_gumbels(
            seed, "choices", first=0, count=self.samples, factors=factors, categories=self.categories
        ).to(logits.device)
        leaf = logits[:, None].expand(-1, self.samples, -1, -1).clone().requires_grad_()
        with torch.enable_grad():
            weights = ((leaf.log_softmax(-1) + gumbels) / self.temperature).softmax(-1)
            costs = evaluate_relaxed(objective, weights.flatten(0, 1), theta.dtype, "Concrete").view(thetas, -1)
            (slopes,) = torch.autograd.grad(costs.sum(), leaf)
        slopes, sharpness = slopes.flatten(2), weights.detach().amax(-1).mean((1, 2))
        return finish(
            theta,
            single,
            logits,
            costs.detach(),
            slopes.mean(1),
            slopes.var(1) / self.samples,
            of_samples(slopes),
            start,
            {"sharpness": sharpness},
        )
