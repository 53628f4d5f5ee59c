"""Training of a control variate on the variance of the estimate that it serves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import check_count
from ..core.errors import GradientError
from ..estimators.adam import Adam
from ..estimators.network import one_thread
from .state import ControlVariateState
from .terms import Terms, contributions

__all__ = ["VarianceTraining", "fit"]

TermsOf = Callable[[Sequence[torch.Tensor], bool], Terms]
"""Terms of all samples gathered, from parameters and whether a graph is wanted."""

_LEAST_ROUND = 16  # samples in the first of several rounds: a network trained on fewer only learns their noise
_LEAST_CHECKED = 4  # fewer samples than this cannot tell a better control variate from a worse one


@plain_numbers
@dataclass(frozen=True)
class VarianceTraining:
    """Training of a control variate within an estimate.

    The samples come in ``rounds``, each as large as all before it. After a round the control variate is trained on all
    samples so far, to lessen the sample variance of g in equation (1) of ``terms``: its gradient with respect to the
    weights is that of the mean of g^2 (Grathwohl et al. 2018, eq. 9), as E g does not depend on them. The next round
    uses it. Each round's control variate is thus independent of that round's noise: every round is unbiased, and the
    rounds are uncorrelated, so that their errors add in squares. The first round, with a control variate that has
    learned nothing, is 1 / 2^(rounds - 1) of the samples, and with it that share of its variance stays.

    With a ``ControlVariateState`` the last round is trained on too, for the next call; then ``rounds=1`` makes sense,
    and with ``steps=1, validation=0`` it is the stochastic gradient descent of the papers.
    """

    rounds: int = 5
    """Rounds; fewer where the first would hold less than 16 samples."""
    steps: int = 60
    """Steps of Adam after each round; 0 trains nothing. More steps fit the samples' noise."""
    learning_rate: float = 0.02
    """Step size of Adam."""
    validation: float = 0.25
    """Share of the samples that is not trained on: the weights that do best on it are kept, each theta's own, so that
    training does not make things worse. 0 to train on all and keep the last weights."""

    def __post_init__(self) -> None:
        check_count("rounds", self.rounds, 1)
        check_count("steps", self.steps, 0)
        if not 0.0 < self.learning_rate < math.inf:
            raise GradientError(f"learning_rate is {self.learning_rate!r}: give a positive number, e.g. 0.02")
        if not (self.validation == 0.0 or 0.05 <= self.validation <= 0.5):
            raise GradientError(f"validation is {self.validation!r}: give 0, or a share of the data from 0.05 to 0.5")

    def sizes(self, samples: int) -> list[int]:
        """Samples of each round."""
        rounds = self.rounds if self.steps else 1
        while rounds > 1 and samples // 2 ** (rounds - 1) < _LEAST_ROUND:
            rounds -= 1
        ends = [samples // 2 ** (rounds - 1 - i) for i in range(rounds)]
        return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def fit(terms_of: TermsOf, samples: int, state: ControlVariateState, training: VarianceTraining, baseline: str) -> None:
    """Train ``state.parameters`` in place; each theta's copy trains as if it were alone."""
    with one_thread(), torch.enable_grad():
        _fit(terms_of, samples, state, training, baseline)


def _fit(
    terms_of: TermsOf, samples: int, state: ControlVariateState, training: VarianceTraining, baseline: str
) -> None:
    parameters = state.parameters
    if state.optimizer is None:
        state.optimizer = Adam(parameters, lr=training.learning_rate)
    for group in state.optimizer.param_groups:
        group["lr"] = training.learning_rate
    best: torch.Tensor | None = None
    kept = [parameter.detach().clone() for parameter in parameters]
    train, check = _split(samples, training.validation, parameters[0].device)
    unit: torch.Tensor | None = None
    for step in range(training.steps + (check is not None)):
        terms = terms_of(parameters, True)
        if check is not None:
            error = _variance(terms.pick(check), baseline).detach()
            better = torch.isfinite(error) if best is None else error < best
            best = torch.where(better, error, torch.inf if best is None else best)
            for keeper, parameter in zip(kept, parameters, strict=True):
                keeper.copy_(torch.where(better.view(-1, *[1] * (parameter.ndim - 1)), parameter.detach(), keeper))
        if step == training.steps:
            break
        loss = _variance(terms.pick(train), baseline)
        if unit is None:
            unit = torch.where(loss > 0, loss, 1.0).detach()
        gradients = torch.autograd.grad((loss / unit).sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        state.optimizer.step()
        if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
            state.optimizer = None  # its moments are spoilt too
            if check is None:
                raise GradientError(
                    f"training the control variate diverged at step {step + 1}: use a smaller learning_rate than "
                    f"{training.learning_rate}, or validation > 0, which keeps the best weights"
                )
            break
    if check is not None:
        with torch.no_grad():
            for keeper, parameter in zip(kept, parameters, strict=True):
                parameter.copy_(keeper)


def _split(samples: int, validation: float, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Masks of the samples to train on and to check on, evenly mixed."""
    everything = torch.ones(samples, dtype=torch.bool, device=device)
    if validation == 0.0 or round(samples * validation) < _LEAST_CHECKED:
        return everything, None
    position = torch.arange(samples, device=device) * validation
    check = (position + validation).floor() > position.floor()
    return ~check, check


def _variance(terms: Terms, baseline: str) -> torch.Tensor:
    """Variance of one sample's contribution summed over the parameters, [thetas]."""
    return contributions(terms, baseline).var(1).sum(-1)
