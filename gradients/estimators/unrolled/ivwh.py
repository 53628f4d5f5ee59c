"""IVW-H: first and zeroth order weighed by their variances, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ....plain import plain_numbers
from ...core.checks import as_batch, check_count
from ...core.error_bars import ErrorBar, judged, of_samples
from ...core.errors import GradientError
from ...core.interface import Estimate, Objective
from ...core.objective import assemble, refuse_non_finite
from ...core.unrolled import unrolled
from ...noise.scale import check_scale_map
from ..mixing import inverse_variance
from .sweep import exact, roll_forward, sweep_backward
from .window_noise import WindowNoise

__all__ = ["IVWH"]

_OWN_WEIGHTS = "its weights come from the variances of the rollouts that they weigh: split=True makes them independent"


@plain_numbers
@dataclass(frozen=True)
class IVWH:
    """Inverse-variance weights of first and zeroth order for every step and coordinate by itself (IVW-H).

    A rollout runs under theta + L w_t at step t, w_t standard normal and fresh at every step, the first state under
    that of step 0. F(theta) is the cost averaged over that noise, as in ``PersistentES(window=1)``; for parameters
    each of which enters one step alone (the controls of an open loop, a first state) it is ``Smoothing``'s. The
    derivative of F is the sum over steps of that by the theta of step t, of which there are two estimates,

        first order   the exact derivative of the rollout's cost by theta of step t,
        zeroth order  (costs from step t on, less the mean of other rollouts) times L^-T w_t,

    and of every coordinate of every step the two are mixed, alpha first + (1 - alpha) zeroth, alpha = V0/(V0 + V1),
    with V1 and V0 their variances over rollouts. Chaos and stiffness make V1 large far from the end of the
    rollout, and V0 is larger the more costs follow: the weights find the horizon from which either is better. Nothing
    looks for jumps: a first order that misses one has *less* variance and gets all the weight, as with
    ``InverseVariance``. Where the cost may jump use ``DDCG`` or ``AlphaOrder``.

    Onoda, Parmas, Yaguchi, Matsuo 2026 (arXiv 2604.18161) give the method for policies: their step is an action drawn
    from a stochastic policy, their zeroth order has advantages of a critic, and the mixed derivative by the action is
    carried on through the policy. From them are the weights by step and by coordinate, with the variances over
    parallel rollouts, and the absence of a test for jumps. Ours are theta at a step in the place of the action, costs
    to go with a leave-one-out baseline in the place of the critic, and ``split``. (Their text was at hand in part
    only: abstract, reviews, and accounts of others.)

    Weights taken from the rollouts that they weigh, as published, bias the estimate: a sample mean and a sample
    variance of one skewed quantity are low together, and the low one gets the weight. With ``split`` the weights of one
    half of the rollouts are applied to the other, and the reverse: the estimate is then unbiased wherever the cost is
    continuous. But a half that has an exploding gradient is weighed by one that may have none, and gets no warning:
    under chaos that is the noise of the first order again (docs/measurements/chaos.md), so it is not the default. The
    standard error takes the weights as they are; there is an error bar with ``split`` only, of the mean of the mixture:
    without the bias from jumps.

    The objective must be unrolled (``stepwise``), with exact gradients. Memory: steps x samples x parameters.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``horizon``; ``alpha``, the mean weight of
    the first order over coordinates, by step: [steps].

    Raises:
        GradientError: The objective is not unrolled, its steps have no exact gradient, or one is not finite.
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Noise scale L in the units of theta: one number, one per coordinate, or a matrix. Kept as plain numbers."""
    samples: int = 256
    """Rollouts per theta; with ``split`` an even number."""
    split: bool = False
    """Whether each half of the rollouts is weighed by the variances of the other."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale_map(self.scale))
        if not isinstance(self.split, bool):
            raise GradientError(f"split is {self.split!r}: give True or False")
        check_count("samples", self.samples, 6 if self.split else 3, " (three in each part, for its variances)")
        if self.split and self.samples % 2:
            raise GradientError(f"samples is {self.samples}: two halves need an even number, e.g. {self.samples + 1}")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value of F and its gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        started = time.perf_counter()
        batch, single = as_batch(theta)
        steps = unrolled(objective)
        thetas, shape = len(batch), (self.samples, len(batch), batch.shape[1])
        noise = WindowNoise.of(
            self.scale,  # type: ignore[arg-type]
            batch,
            windows=steps.horizon,
            rows=self.samples,
            seed=seed,
        )

        def theta_at(step: int) -> torch.Tensor:
            return (batch.double() + noise.window(step)[0][:, None]).to(batch).reshape(-1, batch.shape[1])

        rollout = roll_forward(steps, theta_at)
        slopes = torch.zeros((steps.horizon, *shape), dtype=torch.float64, device=batch.device)
        sweep_backward(steps, rollout, theta_at, exact, lambda step, g: slopes[step].add_(g.reshape(shape)))
        refuse_non_finite(
            steps.name,
            theta_at(0),
            slopes.sum(0).reshape(-1, batch.shape[1]),
            "gradient",
            advice="; PersistentES and Smoothing need values only",
        )
        costs = rollout.costs.reshape(steps.horizon, self.samples, thetas)
        to_go = costs.flip(0).cumsum(0).flip(0)
        halves = 2 if self.split else 1
        size = self.samples // halves
        mixed = torch.zeros(shape, dtype=torch.float64, device=batch.device)
        alphas = torch.zeros(steps.horizon, thetas, dtype=torch.float64, device=batch.device)
        for step in range(steps.horizon):
            scores = noise.window(step)[1].reshape(halves, size, 1, -1)
            # the mean of the scores drops out of the sum; less it, the terms spread as the jackknife of their sum says
            scores = scores - scores.mean(1, keepdim=True)
            left = to_go[step].reshape(halves, size, thetas)
            left = (left - left.mean(1, keepdim=True)) * (size / (size - 1.0))
            first = slopes[step].reshape(halves, size, *shape[1:])
            zeroth = left[..., None] * scores
            alpha = inverse_variance(first.var(1), zeroth.var(1))
            weight = alpha.flip(0)[:, None]
            mixed += (weight * first + (1.0 - weight) * zeroth).reshape(shape)
            alphas[step] = alpha.mean((0, 2))
        gradient = mixed.mean(0)
        spread = mixed.reshape(halves, size, *shape[1:]).var(1).mean(0) / self.samples
        bar = ErrorBar(torch.zeros_like(gradient), _OWN_WEIGHTS)
        if self.split:
            degrees, epsilon = of_samples(mixed.transpose(0, 1)), torch.finfo(batch.dtype).eps
            bar = judged(gradient, spread, degrees, self.samples, epsilon=epsilon, what="rollouts")
        return assemble(
            batch,
            single,
            value=to_go[0].mean(0),
            gradient=gradient,
            standard_error=spread.sqrt(),
            evaluations=self.samples * thetas,
            seconds=time.perf_counter() - started,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": spread.sum(1),
                "value_standard_error": (to_go[0].var(0) / self.samples).sqrt(),
                "horizon": steps.horizon,
                "alpha": alphas.T,
            },
            bar=bar,
        )
