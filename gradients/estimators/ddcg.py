"""DDCG: first order where a test finds no discontinuity, zeroth order elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import as_batch, check_count, check_scale, expand_scale
from ..core.error_bars import ErrorBar, judged, of_samples
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate_with_gradient, objective_name, refuse_non_finite
from ..noise.distributions import Gaussian
from ..noise.perturbation import Perturbation
from ..noise.sampling import MonteCarlo
from ..noise.scale import scale_map
from .mixing import inverse_variance

__all__ = ["DDCG"]


@plain_numbers
@dataclass(frozen=True)
class DDCG:
    """Discontinuity detection composite gradient: a test of the samples decides between mixture and zeroth order.

    Both orders come from the same N rollouts at theta + scale w, w standard normal. With g the mean exact gradient,
    V1 and V0 the variances of one sample of either order, summed over coordinates, and f the costs, the mixture is

        alpha = V0/(V0 + V1)   if   V1 + 2 |g|^2 >= 2 (1 - slack) Var f / scale^2,                                 (1)
        alpha = 0              otherwise.

    For every continuous f the true moments satisfy (1) with a slack of zero: of the components of f in Hermite
    polynomials of order k = 1, 2, ... with energies e_k, Var f is the sum of e_k, scale^2 (V1 + |g|^2) the sum of
    k e_k and scale^2 |g|^2 at most e_1, with equality for a quadratic f. A jump adds to Var f and to no exact gradient.
    The slack is room for the noise of estimates. Unlike ``AlphaOrder`` the test does not need the zeroth order, whose
    noise is large, and has no number in the units of the problem.

    A jump passes that is small beside the slope: for a step of height a in a slope b of one parameter, in the middle of
    the noise, up to a = .47 b scale at a slack of .3. The first order is then short by up to .399 a/scale, 16 % of the
    whole, which no error bar shows. A narrow ramp that no sample met, or a stiff contact, is like a jump, and found
    as one.

    Onoda, Parmas, Yaguchi, Matsuo 2026 (arXiv 2604.18161). From them are (1), the slack of 0.3 for all problems, and
    the mixture. Ours are the derivation above, one scale a coordinate (g, V1 then in units of it), and the baseline of
    the zeroth order, the mean of the other rollouts (theirs: f(theta), one rollout more). (Their text was at hand in
    part only: (1) is as an implementation by others has it, without a further term that the main method leaves out.)

    The estimate is not unbiased: alpha depends on the samples that it weighs, as published. The standard error is that
    of the mixture at this alpha; an error bar there is only where alpha is zero. Noise is Gaussian, without pairs.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``alpha``; ``continuous``, whether (1) holds;
    ``ratio``, the left side of (1) over 2 Var f/scale^2: at least 1 - slack where it holds, infinite where all costs
    are equal; ``variance_first`` and ``variance_zeroth``, V1/N and V0/N.

    Raises:
        GradientError: The objective has no exact gradient; a cost or a gradient is not finite.
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Standard deviation of the noise in the units of theta: one number, or one per coordinate."""
    samples: int = 256
    """Rollouts per theta, each with its exact gradient."""
    slack: float = 0.3
    """Share of Var f that the test forgives, from 0 to below 1."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))
        check_count("samples", self.samples, 3, " (leave-one-out needs two others, for its standard error)")
        slack = self.slack
        if isinstance(slack, bool) or not isinstance(slack, (int, float)) or not 0.0 <= slack < 1.0:
            raise GradientError(f"slack is {slack!r}: give a number from 0 to below 1, e.g. 0.3 as published")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and mixed gradient at ``theta`` ([parameters] or [batch, parameters])."""
        started = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        scale = expand_scale(self.scale, batch)  # type: ignore[arg-type]
        noise = Perturbation(
            Gaussian(), scale_map(self.scale, batch), MonteCarlo(),  # type: ignore[arg-type]
            seed=seed, points=self.samples, columns=parameters, device=batch.device,
        ).draw(0, self.samples)  # fmt: skip
        rows = (batch.double() + noise.moves[:, None]).to(batch).reshape(-1, parameters)
        values, gradients = evaluate_with_gradient(objective, rows)
        refuse_non_finite(
            objective_name(objective),
            rows,
            gradients,
            "gradient",
            advice='. Smoothing(order="zeroth") takes no gradients',
        )
        costs = values.double().reshape(self.samples, thetas)
        first = gradients.double().reshape(self.samples, thetas, parameters)
        left = (costs - costs.mean(0)) * (self.samples / (self.samples - 1.0))
        scores = noise.scores()
        # the mean of the scores drops out of the sum; less it, the terms spread as the jackknife of their sum says
        zeroth = left[..., None] * (scores - scores.mean(0))[:, None]
        v1, v0 = first.var(0), zeroth.var(0)
        slopes = (v1 + 2.0 * first.mean(0).square()) @ scale.square()
        spread = 2.0 * costs.var(0)
        continuous = slopes >= (1.0 - self.slack) * spread
        alpha = torch.where(continuous, inverse_variance(v1.sum(1), v0.sum(1)), 0.0)
        mixed = alpha[:, None] * first + (1.0 - alpha)[:, None] * zeroth
        gradient, variance = mixed.mean(0), mixed.var(0) / self.samples
        epsilon = torch.finfo(batch.dtype).eps
        events = (left != 0).sum(0)[:, None]
        bar = judged(
            gradient, variance, of_samples(mixed.transpose(0, 1)), self.samples, epsilon=epsilon, events=events
        )
        if bool((alpha > 0).any()):
            assert bar.degrees is not None
            bar = ErrorBar(
                torch.where(alpha[:, None] > 0, 0.0, bar.degrees),
                f"the first order enters with a weight of up to {float(alpha.max()):.2g}, which comes from the samples "
                "that it weighs, and the bias of a jump too small for the test is not in the spread",
            )
        return assemble(
            batch,
            single,
            value=costs.mean(0),
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=self.samples * thetas,
            seconds=time.perf_counter() - started,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": variance.sum(1),
                "value_standard_error": (costs.var(0) / self.samples).sqrt(),
                "alpha": alpha,
                "continuous": continuous,
                "ratio": torch.where(spread > 0, slopes / torch.where(spread > 0, spread, 1.0), torch.inf),
                "variance_first": v1.sum(1) / self.samples,
                "variance_zeroth": v0.sum(1) / self.samples,
            },
            bar=bar,
        )
