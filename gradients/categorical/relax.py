"""RELAX: REINFORCE with a network as control variate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..control_variates.lax import check_hidden, check_state
from ..control_variates.state import ControlVariateState
from ..control_variates.terms import check_baseline
from ..control_variates.training import VarianceTraining
from ..core.arrays import as_theta
from ..core.checks import check_count
from ..core.errors import GradientError
from ..core.interface import Estimate
from ..estimators.network import Ensemble
from ..noise.counter_random import derive_seed
from .choices import CategoricalObjective, check_categories, evaluate_relaxed, split_logits, supports_relaxed
from .concrete import check_temperature
from .controlled import Settings, controlled_estimate, weights_at

__all__ = ["RELAX"]


@plain_numbers
@dataclass(frozen=True)
class RELAX:
    """Unbiased gradient of E f(b) for a black box f, with a trained network c(z) as control variate.

    Grathwohl et al. 2018, "Backpropagation through the Void", eq. 8: see ``controlled`` for the estimator, ``gumbel``
    for the noise given the choice. c(z) is a network of softmax(z / temperature), one for each theta; where the
    objective has ``relaxed`` (and ``use_relaxed`` holds) eta f_relaxed(softmax(z / temperature)) is added, as in
    the paper, and c starts as REBAR's. Network, temperature and eta are trained on the variance of the estimate
    between rounds; the estimate is unbiased for any values of them.

    Prefer it to ``REINFORCE`` where a rollout costs far more than a pass of a small network. It cannot learn a cost
    with no structure over many choices from few samples; ``variance_ratio`` then stays near 1.

    ``evaluations`` counts rollouts of the objective, not evaluations of its relaxed version (see ``REBAR``).

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``entropy`` of the choice in nats;
    ``variance_ratio``, variance of one sample of the last round with c over that without; ``temperature`` at the end.
    """

    categories: int
    """Categories of each factor."""
    samples: int = 256
    """Rollouts per theta."""
    temperature: float = 0.5
    """Temperature to start from."""
    use_relaxed: bool = True
    """Whether to add the objective's relaxed version to the network, where there is one."""
    baseline: str = "leave_one_out"
    """Baseline subtracted from f - c: ``"leave_one_out"``, the mean of the round's other samples, or ``"none"``."""
    hidden: Sequence[int] = (16,)
    """Widths of the network's hidden layers."""
    training: VarianceTraining = VarianceTraining()  # noqa: RUF009 - frozen
    """Training of the control variate."""
    variate: Callable[[torch.Tensor], torch.Tensor] | None = None
    """A control variate of your own in place of the network: z [n, factors, categories], the perturbed
    log-probabilities, to [n], differentiable by torch, without jumps. It is used as it is, not trained."""
    state: ControlVariateState | None = None
    """State that carries the control variate from call to call; None to start anew in each."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for a round at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_hidden(self.hidden))
        check_categories(self.categories)
        check_temperature(self.temperature)
        check_baseline(self.baseline)
        check_count("samples", self.samples, 2 if self.baseline == "none" else 3, " (for its standard error)")
        check_state(self.training, self.variate, self.state)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: CategoricalObjective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at logits ``theta`` ([factors * categories], or a batch [batch, factors * categories])."""
        theta = as_theta(theta)
        logits, single = split_logits(theta, self.categories)
        thetas, factors, categories = logits.shape
        state = ControlVariateState() if self.state is None else self.state
        network = Ensemble(
            inputs=factors * categories,
            hidden=self.hidden,
            members=1,
            copies=thetas,
            seed=derive_seed(seed, "relax network"),
            dtype=torch.float64,
            device=logits.device,
        )
        ones = logits.new_ones(thetas)
        state.enter(
            seed,
            ("RELAX", f"{thetas} thetas of {factors} factors of {categories} categories", f"hidden {self.hidden}"),
            lambda: [math.log(self.temperature) * ones, ones, *network.weights],
        )
        with_relaxed = self.use_relaxed and supports_relaxed(objective)

        def control(z: torch.Tensor, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
            if self.variate is not None:
                return _own(self.variate, z)
            log_temperature, eta, *layers = parameters
            weights = weights_at(z, log_temperature)
            unit = 1.0 if state.spread is None else state.spread[:, None]
            values = unit * network(categories * weights.flatten(2) - 1.0, layers)
            if with_relaxed:
                relaxed = evaluate_relaxed(objective, weights.flatten(0, 1), theta.dtype, "RELAX with use_relaxed")
                values = values + eta[:, None] * relaxed.view(z.shape[:2])
            return values

        return controlled_estimate(
            objective,
            theta,
            logits,
            single,
            control,
            Settings(self.samples, self.baseline, self.training, self.chunk, trainable=self.variate is None),
            state,
            carried=self.state is not None,
            seed=seed,
            measures=lambda p: {"temperature": p[0].detach().exp()},
        )


def _own(variate: Callable[[torch.Tensor], torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    """A user's control variate at z [thetas, points, factors, categories], checked for its shape."""
    rows = z.flatten(0, 1)
    values = variate(rows)
    if not isinstance(values, torch.Tensor) or values.shape != rows.shape[:1]:
        shape = list(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise GradientError(
            f"the variate returned {shape} for z of shape {list(rows.shape)}: return one number per row, [{len(rows)}]"
        )
    return values.double().view(z.shape[:2])
