"""Randomized smoothing: the gradient of the objective averaged over noise on theta."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ....plain import plain_numbers
from ...core.arrays import as_theta
from ...core.checks import as_batch, check_count, suggest
from ...core.errors import GradientError
from ...core.interface import Estimate, Objective
from ...core.objective import objective_name
from ...core.optional import has_methods
from ...noise.distributions import DISTRIBUTIONS, Distribution, orders_of, resolve_distribution
from ...noise.perturbation import Perturbation
from ...noise.sampling import Sampling, resolve_sampling
from ...noise.scale import check_scale_map, scale_map
from ...noise.subset import check_parameters, chosen_columns
from .orders import FirstOrder, Order, ZerothOrder
from .run import CountCallback, SmoothingRun

__all__ = ["Smoothing"]

ORDERS = ("zeroth", "first")
BASELINES = ("leave_one_out", "none", "value")
NON_FINITE = ("refuse", "drop")
OTHERS = ("first", "fixed")


@plain_numbers
@dataclass(frozen=True)
class Smoothing:
    """Unbiased gradient of F(theta) = E f(theta + L w), w drawn from ``distribution``, by perturbed rollouts.

    ``order="zeroth"`` needs only values: g = mean of (f_k - b) L^-T s(w_k), s = -d log density. It takes account
    of contacts that are not yet made, and of jumps; its variance does not grow with the stiffness of f, but grows with
    the number of parameters (about (d + 1)|grad|^2 / samples on a linear cost). ``order="first"`` averages exact
    gradients at the perturbed points. Prefer it where the cost is continuous and smooth: variance scale^2 |H|_F^2 /
    samples on a quadratic. Across a jump of f it is *biased* (no exact gradient contains the jump), with a standard
    error that does not show it: on a step function it is exactly 0 with standard error 0.

    ``scale`` is L: one number, one per coordinate, or a full non-singular matrix. :meth:`estimate_with_scale` also
    gives dF/dL, from the same rollouts.

    *Variance reduction* has three independent axes.

    ``baseline`` (zeroth order only) is the number subtracted from f_k:

    - ``"leave_one_out"``: the mean of the other samples. It is independent of w_k and E s = 0, so the estimate stays
      unbiased; it equals sum (f_k - mean f) s_k / (samples - 1), the sample covariance, and its standard error is the
      jackknife's. With antithetic pairs the *pair* is left out: leaving only the sample itself out would keep its
      partner in the baseline and inflate the gradient by samples / (samples - 1). Any baseline that both halves share
      cancels in (f_+ - b) s - (f_- - b) s, so the estimate is mean of (f_+ - f_-) s / 2, whatever the baseline. (In
      the gradient with respect to the scale, whose score is even, it does not cancel.)
    - ``"value"``: f(theta), one more rollout (not used where it cancels).
    - ``"none"``: nothing. The variance then grows with f^2: add a constant to the cost and it gets worse.

    ``antithetic`` evaluates w and -w, for symmetric distributions. Even parts of f then cancel within a pair, which
    removes the constant and the curvature from the zeroth order, and the linear part of the gradient's variation from
    the first. Pairs, of which there are samples / 2, are the independent units of the standard error. For a cost that
    is linear over the cloud, zeroth order without pairs and with a baseline has half the variance of pairs; pairs win
    where the even part of f over the cloud (about its mean) has more energy than the odd part, as near an optimum.

    ``sampling`` is the source of the noise: independent (``"monte_carlo"``), deterministic (``"qmc"``,
    ``"cartesian"``) or random but dependent points (``"rqmc"``, ``"latin_hypercube"``, ``"cartesian_rqmc"``); see
    ``carom.gradients.sampling``. Only independent points have the usual standard error. Otherwise it is None, unless
    ``replications`` (3 or more, of samples / replications each) of a random sampling are asked for: the standard error
    then comes from their spread, with replications - 1 degrees of freedom. Unbiased: every random sampling with
    baseline ``"none"`` or ``"value"``, or wherever the baseline cancels; ``"leave_one_out"`` with independent points,
    or with replications, where the mean of the *other replications* is subtracted. Not unbiased: deterministic points;
    and ``"leave_one_out"`` on one table of dependent points, where leaving one out means nothing and the mean of all
    is subtracted: its bias, minus the covariance of the means of f and s over the table, is at most
    sd(mean f) sd(mean s), i.e. small of higher order than the error itself.

    ``parameters`` (indices, or names that the objective has in ``parameter_names``) smooths a subset; the others stay
    as they are. F is still a function of the others, with the gradient E df/d(other): ``others="first"`` averages the
    objective's exact gradient for them, and refuses an objective without one; ``others="fixed"`` says that they are
    constants, whose entries of gradient and standard error are zero because nothing is to move them.

    ``non_finite="drop"`` leaves out samples whose cost (or gradient) is not finite, with pairs the pair, and counts
    them in ``dropped``. The value is then E[f | f finite], another function than F. Its gradient is what the zeroth
    order without pairs and with the leave-one-out baseline estimates, without bias (a covariance under the condition
    is the derivative of the conditional mean). Every other combination is conditional too, but misses how the finite
    region moves with theta: an error of the order of the share dropped.

    The rows of a batch of thetas share their noise, so a batch equals single calls with the same seed; an average
    over the batch therefore has correlated errors. ``chunk`` is the most rollouts passed to the objective in one call
    (pairs stay together); moments are streamed, so memory is that of one chunk, and it changes the result by rounding
    at most.

    Diagnostics: ``finite``; ``trace_variance``, the sum of squared standard errors; ``value_standard_error``;
    ``zero_share``, the share of units (samples or pairs) that contribute exactly nothing: near 1 the cost is constant
    over the cloud, so use a larger scale; ``dropped``, rollouts left out; ``smoothed``, shape [parameters];
    ``infinite_variance``, whether the standard error lacks a variance behind it (zeroth order, triangular noise).
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Noise scale L in the units of theta: one number, one per coordinate, or a matrix. Kept as plain numbers."""
    samples: int = 256
    """Rollouts per theta; with antithetic pairs an even number."""
    order: str = "zeroth"
    """``"zeroth"`` or ``"first"``."""
    distribution: str | Distribution = "gaussian"
    """Name or instance of a noise distribution."""
    antithetic: bool = True
    """Whether every w comes with -w."""
    baseline: str = "leave_one_out"
    """``"leave_one_out"``, ``"value"`` or ``"none"``."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once, up to 2^20 (fewer with many parameters)."""
    sampling: str | Sampling = "monte_carlo"
    """Name or instance of a sampling."""
    replications: int = 1
    """Independent tables of samples / replications each: 1, or at least 3."""
    parameters: Sequence[int | str] | None = None
    """Indices or names of the parameters to smooth; None for all."""
    others: str = "first"
    """Gradient of the other parameters: ``"first"`` (mean exact gradient) or ``"fixed"`` (zero: not variables)."""
    non_finite: str = "refuse"
    """Treatment of costs that are not finite: ``"refuse"`` (an error that says which) or ``"drop"``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale_map(self.scale))
        for name, known in (("order", ORDERS), ("baseline", BASELINES), ("non_finite", NON_FINITE), ("others", OTHERS)):
            if getattr(self, name) not in known:
                raise GradientError(suggest(name, getattr(self, name), known))
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)
        self._check_distribution()
        self._check_samples()
        if self.parameters is not None:
            object.__setattr__(self, "parameters", check_parameters(self.parameters))

    def estimate(
        self, objective: Objective, theta: torch.Tensor, *, seed: int = 0, progress: CountCallback | None = None
    ) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result.

        ``progress(done, total)`` is called with the rollouts done after each chunk.
        """
        run = self.start_run(objective, theta, seed=seed)
        return run.finish(run.measure(0, run.units, progress=progress))[0]

    def estimate_with_scale(
        self, objective: Objective, theta: torch.Tensor, *, seed: int = 0, progress: CountCallback | None = None
    ) -> tuple[Estimate, Estimate]:
        """The estimate with respect to theta, and one whose gradient is dF/dL, from the same rollouts.

        The second has the shape of ``scale``: [], [smoothed parameters] or [smoothed, smoothed] (batch first where
        theta is a batch), with its own standard error. Zeroth order: E[f L^-T (s w^T - I)]; first: E[grad f w^T].
        """
        run = self.start_run(objective, theta, seed=seed, with_scale=True)
        main, scale = run.finish(run.measure(0, run.units, progress=progress))
        assert scale is not None
        return main, scale

    def start_run(
        self,
        objective: Objective,
        theta: torch.Tensor,
        *,
        seed: int = 0,
        with_scale: bool = False,
        tilt: torch.Tensor | None = None,
    ) -> SmoothingRun:
        """The work of an estimate, not yet done: ``measure`` any ranges of its units, ``merge``, and ``finish``.

        ``tilt`` [batch, parameters] is a slope that is taken out of the cost, about each theta: the estimate is that
        of f(x) - tilt.(x - theta).
        """
        theta = as_theta(theta)
        batch, _ = as_batch(theta)
        columns = chosen_columns(self.parameters, objective, batch)
        some = len(columns) < batch.shape[1]
        if some and self.others == "first" and self.order == "zeroth":
            self._check_exact(objective)
        order: Order
        if self.order == "zeroth":
            order = self.zeroth_order(with_scale=with_scale, others=some and self.others == "first")
        else:
            order = FirstOrder(with_scale, not some or self.others == "first")
        return SmoothingRun(
            objective,
            theta,
            batch,
            perturbation=self.perturbation(batch[:, columns], seed=seed),
            columns=columns,
            signs=(1.0, -1.0) if self.antithetic else (1.0,),
            order=order,
            independent=self.independent,
            drop=self.non_finite == "drop",
            chunk=self.chunk,
            with_scale=with_scale,
            infinite_variance=self.order == "zeroth" and self._information == math.inf,
            tilt=tilt,
        )

    @property
    def _information(self) -> float:
        return float(getattr(resolve_distribution(self.distribution), "information", math.nan))

    @property
    def independent(self) -> bool:
        """Whether samples (with pairs, pairs) are independent of each other."""
        return resolve_sampling(self.sampling).independent

    def perturbation(self, batch: torch.Tensor, *, seed: int) -> Perturbation:
        """The noise for thetas [batch, perturbed parameters]: units of it by number."""
        return Perturbation(
            resolve_distribution(self.distribution),
            scale_map(self.scale, batch),  # type: ignore[arg-type]
            resolve_sampling(self.sampling),
            seed=seed,
            points=self.samples // ((2 if self.antithetic else 1) * self.replications),
            columns=batch.shape[1],
            replications=self.replications,
            device=batch.device,
        )

    def zeroth_order(self, *, with_scale: bool = False, others: bool = False) -> ZerothOrder:
        """Conversion of values to the moments of a zeroth-order estimate, with this baseline and these pairs."""
        return ZerothOrder(self.antithetic, self.baseline, with_scale, others)

    def _check_distribution(self) -> None:
        distribution = resolve_distribution(self.distribution)
        if self.order not in orders_of(distribution):
            able = [name for name, kind in DISTRIBUTIONS.items() if self.order in orders_of(kind())]
            raise GradientError(
                f"{distribution.name} noise cannot give order {self.order!r}, only "
                f"{', '.join(orders_of(distribution))}: its density has jumps that a score does not see. Distributions "
                f"that can: {', '.join(able)}"
            )
        if self.antithetic and not distribution.symmetric:
            raise GradientError(
                f"antithetic pairs need a symmetric distribution, and {distribution.name} is not: use antithetic=False"
            )
        sampling = resolve_sampling(self.sampling)
        if self.antithetic and sampling.mirrored:
            raise GradientError(
                f"{sampling.name} points come with their mirror images: antithetic pairs would evaluate each twice. "
                "Use antithetic=False"
            )

    def _check_samples(self) -> None:
        sampling = resolve_sampling(self.sampling)
        leave_one_out = self.order == "zeroth" and self.baseline == "leave_one_out"
        check_count("replications", self.replications, 1)
        if self.replications == 2:
            raise GradientError("replications is 2: give 1 (no spread over replications), or at least 3")
        if self.replications > 1 and not sampling.random:
            raise GradientError(
                f"replications is {self.replications}, and {sampling.name} points do not depend on the seed: all "
                "replications would be equal. Use a randomized sampling, e.g. rqmc or cartesian_rqmc"
            )
        if self.replications > 1 or not sampling.independent:
            why = " (leave-one-out needs another)" if leave_one_out and self.replications == 1 else ""
            check_count("samples", self.samples, 2 if why else 1, why)
        elif self.antithetic:
            check_count("samples", self.samples, 4, " (two antithetic pairs, so that there is a standard error)")
        elif leave_one_out:
            check_count("samples", self.samples, 3, " (leave-one-out needs two others, for its standard error)")
        else:
            check_count("samples", self.samples, 2, " (one has no standard error)")
        if self.antithetic and self.samples % 2:
            raise GradientError(
                f"samples is {self.samples}: antithetic pairs need an even number, e.g. {self.samples + 1}; or use "
                "antithetic=False"
            )
        each = self.replications * (2 if self.antithetic else 1)
        if self.samples % each:
            raise GradientError(
                f"samples is {self.samples}: {self.replications} replications"
                f"{' of antithetic pairs' if self.antithetic else ''} need a multiple of {each}, e.g. "
                f"{-(-self.samples // each) * each}"
            )

    def _check_exact(self, objective: Objective) -> None:
        if not has_methods(objective, "value_and_gradient"):
            raise GradientError(
                f"parameters= smooths some parameters, and objective {objective_name(objective)!r} has no "
                "value_and_gradient for the others, to which the zeroth order is blind. Smooth all parameters, or say "
                'that the others are constants: others="fixed" (their gradient is then zero)'
            )
