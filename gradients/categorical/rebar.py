"""REBAR: REINFORCE with the Concrete relaxation as control variate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..control_variates.lax import check_state
from ..control_variates.state import ControlVariateState
from ..control_variates.terms import check_baseline
from ..control_variates.training import VarianceTraining
from ..core.arrays import as_theta
from ..core.checks import check_count
from ..core.errors import GradientError
from ..core.interface import Estimate
from .choices import CategoricalObjective, check_categories, evaluate_relaxed, split_logits
from .concrete import check_temperature
from .controlled import Settings, controlled_estimate, weights_at

__all__ = ["REBAR"]


@plain_numbers
@dataclass(frozen=True)
class REBAR:
    """Unbiased gradient of E f(b), with c(z) = eta f_relaxed(softmax(z / temperature)) as control variate.

    Tucker et al. 2017, "REBAR: Low-variance, unbiased gradient estimates for discrete latent variable models", eq. 6-8:
    see ``controlled`` for the estimator, ``gumbel`` for the noise given the choice. eta and the temperature are trained
    on the variance of the estimate between rounds; the estimate is unbiased for any values of them and any relaxation.
    Prefer it where a cost has a natural relaxation that costs little beside a rollout. Needs ``objective.relaxed``,
    which must be differentiable twice by torch (training; once with ``VarianceTraining(steps=0)``).

    ``evaluations`` counts rollouts of the objective itself; the relaxed cost is evaluated twice for each of them, and
    twice for each sample at hand in each step of training.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``entropy`` of the choice in nats;
    ``variance_ratio``, variance of one sample of the last round with c over that without; ``temperature`` and ``eta``
    at the end.
    """

    categories: int
    """Categories of each factor."""
    samples: int = 256
    """Rollouts per theta."""
    temperature: float = 0.5
    """Temperature to start from."""
    eta: float = 1.0
    """Weight of the relaxed cost to start from."""
    baseline: str = "leave_one_out"
    """Baseline subtracted from f - c: ``"leave_one_out"``, the mean of the round's other samples, or ``"none"``."""
    training: VarianceTraining = VarianceTraining()  # noqa: RUF009 - frozen
    """Training of eta and the temperature."""
    state: ControlVariateState | None = None
    """State that carries both from call to call; None to start anew in each call."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for a round at once."""

    def __post_init__(self) -> None:
        check_categories(self.categories)
        check_temperature(self.temperature)
        if not math.isfinite(self.eta):
            raise GradientError(f"eta is {self.eta!r}: give a finite number, e.g. 1.0")
        check_baseline(self.baseline)
        check_count("samples", self.samples, 2 if self.baseline == "none" else 3, " (for its standard error)")
        check_state(self.training, None, self.state)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: CategoricalObjective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at logits ``theta`` ([factors * categories], or a batch [batch, factors * categories])."""
        theta = as_theta(theta)
        logits, single = split_logits(theta, self.categories)
        thetas, factors, categories = logits.shape
        state = ControlVariateState() if self.state is None else self.state
        ones = logits.new_ones(thetas)
        state.enter(
            seed,
            ("REBAR", f"{thetas} thetas of {factors} factors of {categories} categories"),
            lambda: [math.log(self.temperature) * ones, self.eta * ones],
        )

        def control(z: torch.Tensor, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
            log_temperature, eta = parameters
            weights = weights_at(z, log_temperature)
            relaxed = evaluate_relaxed(objective, weights.flatten(0, 1), theta.dtype, "REBAR")
            return eta[:, None] * relaxed.view(z.shape[:2])

        return controlled_estimate(
            objective,
            theta,
            logits,
            single,
            control,
            Settings(self.samples, self.baseline, self.training, self.chunk, trainable=True),
            state,
            carried=self.state is not None,
            seed=seed,
            measures=lambda p: {"temperature": p[0].detach().exp(), "eta": p[1].detach().clone()},
        )
