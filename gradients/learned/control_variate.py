"""A surrogate as a control variate: its error adds variance and never bias."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import Scale, as_batch, check_count, check_scale
from ..core.error_bars import ErrorBar, joined
from ..core.errors import GradientError
from ..core.interface import DifferentiableObjective, Estimate, Objective
from ..core.objective import assemble, evaluate, evaluate_with_gradient, objective_name
from ..core.optional import has_methods, optional
from ..estimators.smoothing.estimator import Smoothing
from ..noise.counter_random import derive_seed
from ..noise.distributions import Distribution

__all__ = ["ControlVariate"]

_BLOCK = 2**16  # rows of the control in one call


@plain_numbers
@dataclass(frozen=True)
class ControlVariate:
    """Unbiased gradient of E f(theta + scale * w): zeroth order of f - c, plus the smoothed gradient of a surrogate c.

    g = mean of (f - c)(theta + scale w_k) s(w_k) / scale + gradient of E c(theta + scale w). Both expectations are
    those of the same noise, so that c cancels in the mean whatever it is, as long as it is *continuous* (networks
    are) and chosen before the samples are drawn. The error is variance: that of the residual f - c, which a good
    surrogate makes small, and a bad one larger than that of f. (Control variates of this form: LAX of
    Grathwohl, Choi, Wu, Roeder and Duvenaud 2018, there with c trained along; here c is fixed.)

    The second term is the pathwise mean over ``control_samples`` points of c, independent of the others. They cost no
    rollouts, only passes of the surrogate, and their error is in the standard error.

    Prefer it over ``Smoothing(order="zeroth")`` when there is a surrogate of the cost with a held-out error well below
    1, and over the surrogate itself when its bias is not to be trusted. Not with a surrogate that was fitted to the
    very rollouts used here: it draws its own. A surrogate is used as it is, also outside its data.

    Diagnostics: ``trace_variance``, the sum of squared standard errors; ``plain_trace_variance``, what the same
    rollouts would have given without the surrogate, and ``variance_ratio`` of the two (below 1: the surrogate helps);
    ``control_trace_variance``, the part that comes from ``control_samples``: raise these if it is not small;
    ``value_standard_error``; ``finite``; ``inside_data`` where the surrogate has it.
    """

    surrogate: DifferentiableObjective
    """c: a fitted surrogate, or any objective with an exact gradient that is cheap."""
    scale: Scale = 0.02
    """Noise scale, one number or one per coordinate, in the units of theta."""
    samples: int = 256
    """Rollouts per theta; with antithetic pairs an even number."""
    control_samples: int = 4096
    """Points of the surrogate per theta, an even number."""
    distribution: str | Distribution = "gaussian"
    """Name or instance of a noise distribution."""
    antithetic: bool = True
    """Whether every w comes with -w."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))
        if not callable(self.surrogate) or not has_methods(self.surrogate, "value_and_gradient"):
            raise GradientError(
                f"surrogate is {self.surrogate!r}: give an objective that has value_and_gradient(theta), e.g. that "
                "of fit_surrogate(objective, Cloud(theta, scale))"
            )
        check_count("control_samples", self.control_samples, 4)
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)
        self._zeroth, self._first  # noqa: B018  their checks are ours

    @property
    def _zeroth(self) -> Smoothing:
        # whole batches here: the objective itself is called in chunks
        return self._smoothing("zeroth", self.samples, None)

    @property
    def _first(self) -> Smoothing:
        return self._smoothing("first", self.control_samples, _BLOCK)

    def _smoothing(self, order: str, samples: int, chunk: int | None) -> Smoothing:
        return Smoothing(
            scale=self.scale,
            samples=samples,
            order=order,
            distribution=self.distribution,
            antithetic=self.antithetic,
            chunk=chunk,
        )

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        costs: list[torch.Tensor] = []

        def residual(theta: torch.Tensor) -> torch.Tensor:
            parts = theta.split(self.chunk or len(theta))
            costs.append(torch.cat([evaluate(objective, part) for part in parts]))
            control, _ = evaluate_with_gradient(self.surrogate, theta)
            return costs[-1] - control

        def replay(theta: torch.Tensor) -> torch.Tensor:
            return costs.pop(0)

        residual.__name__ = f"{objective_name(objective)} less its surrogate"
        rest = self._zeroth.estimate(residual, batch, seed=seed)
        plain = self._zeroth.estimate(replay, batch, seed=seed)
        control = self._first.estimate(self.surrogate, batch, seed=derive_seed(seed, "control variate"))
        variance = _variance(rest) + _variance(control)
        plain_variance = _variance(plain)
        value_error = [part.diagnostics["value_standard_error"] for part in (rest, control)]
        inside = optional(self.surrogate, "inside")
        trace = variance.sum(1)
        gradient = rest.gradient + control.gradient
        return assemble(
            batch,
            single,
            value=rest.value + control.value,
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=rest.evaluations,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": trace,
                "plain_trace_variance": plain_variance.sum(1),
                "control_trace_variance": _variance(control).sum(1),
                "variance_ratio": trace / plain_variance.sum(1),
                "value_standard_error": torch.hypot(*value_error),
            }
            | ({"inside_data": inside(batch)} if callable(inside) else {}),
            bar=ErrorBar(
                joined([_variance(rest), _variance(control)], [rest.degrees_of_freedom, control.degrees_of_freedom]),
                "; ".join(filter(None, [rest.no_error_bar, control.no_error_bar])) or None,
            ),
        )


def _variance(estimate: Estimate) -> torch.Tensor:
    """Squared standard errors [batch, parameters]."""
    assert estimate.standard_error is not None  # Smoothing always has one
    return estimate.standard_error.square()
