"""Randomized smoothing: the gradient of the objective averaged over noise on theta."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .checks import Scale, as_batch, check_count, check_scale, expand_scale, suggest
from .distributions import Distribution, resolve_distribution
from .errors import GradientError
from .interface import Estimate, Objective
from .noise import draw_uniforms
from .objective import assemble, evaluate, evaluate_with_gradient, objective_name, refuse_non_finite

__all__ = ["Smoothing"]

ORDERS = ("zeroth", "first")
BASELINES = ("leave_one_out", "none", "value")
_BLOCK = 2**21  # entries of noise held at once in the second pass


@dataclass(frozen=True)
class Smoothing:
    """Unbiased gradient of F(theta) = E f(theta + scale * w), w drawn from ``distribution``, by perturbed rollouts.

    ``order="zeroth"`` needs only values: g = mean of (f_k - b) s(w_k) / scale, s = -d log density. It sees a contact
    that is not yet made, and jumps; its variance does not grow with the stiffness of f, but grows with the number of
    parameters (about (d + 1)|grad|^2 / samples on a linear cost). ``order="first"`` averages exact gradients at the
    perturbed points. Prefer it where the cost is continuous and smooth: variance scale^2 |H|_F^2 / samples on a
    quadratic. Across a jump of f it is *biased* (it never sees the jump), with a standard error that does not show
    it: on a step function it is exactly 0 with standard error 0.

    ``antithetic`` evaluates w and -w. Even parts of f then cancel within a pair, which removes the constant and the
    curvature from the zeroth order, and the linear part of the gradient's variation from the first. Pairs, of which
    there are samples / 2, are the independent units of the standard error. For a cost that is linear over the cloud,
    zeroth order without pairs and with a baseline has half the variance of pairs; pairs win where the even part of f
    over the cloud (about its mean) has more energy than the odd part, as near an optimum.

    ``baseline`` (zeroth order only) is what is subtracted from f_k:

    - ``"leave_one_out"``: the mean of the other samples. It is independent of w_k and E s = 0, so the estimate stays
      unbiased; it equals sum (f_k - mean f) s_k / (samples - 1), the sample covariance, and its standard error is the
      jackknife's. With antithetic pairs the *pair* is left out: leaving only the sample itself out would keep its
      partner in the baseline and inflate the gradient by samples / (samples - 1). Any baseline that both halves share
      cancels in (f_+ - b) s - (f_- - b) s, so the estimate is mean of (f_+ - f_-) s / 2, whatever the baseline.
    - ``"value"``: f(theta), one more rollout (not used with pairs, where it cancels).
    - ``"none"``: nothing. The variance then grows with f^2: add a constant to the cost and it gets worse.

    The rows of a batch of thetas share their noise, so a batch equals single calls with the same seed; an average
    over the batch therefore has correlated errors. ``chunk`` is the most rollouts passed to the objective in one call
    (pairs stay together); it changes the result by rounding at most.

    Diagnostics: ``finite``; ``trace_variance``, the sum of squared standard errors; ``value_standard_error``;
    ``zero_share``, the share of units (samples or pairs) that contribute exactly nothing: near 1 the cloud does not
    see the cost change, so use a larger scale.
    """

    scale: Scale = 0.02
    """Noise scale, one number or one per coordinate, in the units of theta. Kept as plain numbers."""
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
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))
        if self.order not in ORDERS:
            raise GradientError(suggest("order", self.order, ORDERS))
        if self.baseline not in BASELINES:
            raise GradientError(suggest("baseline", self.baseline, BASELINES))
        distribution = resolve_distribution(self.distribution)
        if self.antithetic and not distribution.symmetric:
            raise GradientError(
                f"antithetic pairs need a symmetric distribution, and {distribution.name} is not: use antithetic=False"
            )
        if self.antithetic:
            check_count("samples", self.samples, 4, " (two antithetic pairs, so that there is a standard error)")
            if self.samples % 2:
                raise GradientError(
                    f"samples is {self.samples}: antithetic pairs need an even number, e.g. {self.samples + 1}; or use "
                    "antithetic=False"
                )
        elif self.order == "zeroth" and self.baseline == "leave_one_out":
            check_count("samples", self.samples, 3, " (leave-one-out needs two others, for its standard error)")
        else:
            check_count("samples", self.samples, 2, " (one has no standard error)")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        scale = expand_scale(self.scale, batch)  # type: ignore[arg-type]
        if self.order == "zeroth":
            values, centre = self._values(objective, batch, scale, seed)
            gradient, variance, zero_share = self._zeroth_moments(values, centre, scale, seed)
        else:
            values, gradient, variance, zero_share = self._first_moments(objective, batch, scale, seed)
            centre = None
        offset = values[:1, :1]
        unit_means = (values - offset).mean(1)
        return assemble(
            theta,
            single,
            value=unit_means.mean(0) + offset[0, 0],
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=batch.shape[0] * (self.samples + (centre is not None)),
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": variance.sum(1),
                "value_standard_error": unit_means.std(0) / len(values) ** 0.5,
                "zero_share": zero_share,
            },
        )

    @property
    def _signs(self) -> tuple[float, ...]:
        return (1.0, -1.0) if self.antithetic else (1.0,)

    @property
    def _units(self) -> int:
        return self.samples // len(self._signs)

    def _noise(self, seed: int, first: int, units: int, scale: torch.Tensor) -> torch.Tensor:
        uniforms = draw_uniforms(seed, "smoothing", first=first, rows=units, columns=len(scale))
        return resolve_distribution(self.distribution).sample(uniforms).to(scale.device)

    def _slices(
        self, batch: torch.Tensor, scale: torch.Tensor, seed: int
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Blocks of the table units x thetas, each with its perturbed rows, shape [units, thetas, signs, parameters].

        A block is either whole units, or a part of one unit where the batch alone exceeds ``chunk``.
        """
        thetas = len(batch)
        limit = self.samples * thetas if self.chunk is None else self.chunk
        theta_step = min(thetas, max(1, limit // len(self._signs)))
        unit_step = max(1, limit // (thetas * len(self._signs)))
        signs = torch.tensor(self._signs, dtype=batch.dtype, device=batch.device)[:, None]
        for low in range(0, self._units, unit_step):
            units = slice(low, min(low + unit_step, self._units))
            moves = (scale * self._noise(seed, low, units.stop - low, scale)).to(batch)
            for left in range(0, thetas, theta_step):
                part = slice(left, min(left + theta_step, thetas))
                yield units, part, batch[part, None] + signs * moves[:, None, None]

    def _values(
        self, objective: Objective, batch: torch.Tensor, scale: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Costs of all perturbed rows [units, signs, batch] and, for the value baseline, of theta [batch]; float64."""
        thetas, signs = len(batch), len(self._signs)
        values = torch.empty(self._units, thetas, signs, dtype=torch.float64, device=batch.device)
        centre = None
        wants_centre = self.baseline == "value" and not self.antithetic
        joined = wants_centre and self.chunk is None
        if wants_centre and not joined:
            centre = torch.cat([evaluate(objective, part) for part in batch.split(self.chunk or thetas)]).double()
        for units, part, rows in self._slices(batch, scale, seed):
            flat = rows.flatten(0, 2)
            costs = evaluate(objective, torch.cat([batch, flat]) if joined else flat).double()
            if joined:
                centre, costs = costs[:thetas], costs[thetas:]
            values[units, part] = costs.view(rows.shape[:3])
        return values.transpose(1, 2), centre

    def _zeroth_moments(
        self, values: torch.Tensor, centre: torch.Tensor | None, scale: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradient, its variance (both [batch, parameters]) and the share of units that are exactly zero [batch]."""
        units, signs, thetas = values.shape
        leave_one_out = self.baseline == "leave_one_out" and signs == 1
        if signs == 2:
            weights = (values[:, 0] - values[:, 1]) / 2
        elif leave_one_out:
            shifted = values[:, 0] - values[:1, 0]  # exact zeros for a constant cost
            weights = shifted - shifted.mean(0)
        else:
            weights = values[:, 0] - (0.0 if centre is None else centre)
        squares = weights.square()
        # Sums over units of s, c s, c^2 s and c^2 s^2, with noise drawn again block by block.
        sums = torch.zeros(3, thetas, len(scale), dtype=torch.float64, device=scale.device)
        score_sum = torch.zeros_like(scale)
        step = max(1, _BLOCK // len(scale))
        for low in range(0, units, step):
            count = min(step, units - low)
            noise = self._noise(seed, low, count, scale)
            scores = resolve_distribution(self.distribution).score(noise) / scale
            part = slice(low, low + count)
            score_sum += scores.sum(0)
            sums += torch.stack([weights[part].T @ scores, squares[part].T @ scores, squares[part].T @ scores.square()])
        first, mixed, second = sums
        if leave_one_out:
            mean_score = score_sum / units
            centred = second - 2 * mean_score * mixed + mean_score.square() * squares.sum(0)[:, None]
            gradient = first / (units - 1)
            # Jackknife: with z_k = c_k (s_k - mean s), leaving unit k out changes the covariance by
            # -n z_k / ((n - 1)(n - 2)) plus a constant.
            variance = (centred - first.square() / units) * units / ((units - 1) * (units - 2) ** 2)
        else:
            gradient = first / units
            variance = (second - first.square() / units) / (units * (units - 1))
        return gradient, variance.clamp_min(0.0), (weights == 0).double().mean(0)

    def _first_moments(
        self, objective: Objective, batch: torch.Tensor, scale: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Costs [units, signs, batch], gradient and its variance [batch, parameters], share of zero units [batch]."""
        shape = (self._units, len(batch), len(self._signs))
        values = torch.empty(shape, dtype=torch.float64, device=batch.device)
        shift = torch.zeros(batch.shape, dtype=torch.float64, device=batch.device)
        sums, squares = torch.zeros_like(shift), torch.zeros_like(shift)
        zeros = torch.zeros_like(shift[:, 0])
        for units, part, rows in self._slices(batch, scale, seed):
            flat = rows.flatten(0, 2)
            costs, gradients = evaluate_with_gradient(objective, flat)
            refuse_non_finite(objective_name(objective), flat, gradients, "gradient")
            values[units, part] = costs.double().view(rows.shape[:3])
            gradients = gradients.double().view(rows.shape)
            zeros[part] += (gradients == 0).all(-1).all(-1).double().sum(0)
            means = gradients.mean(2)
            # Moments about the first unit of each theta: exact zeros for a constant gradient, no cancellation.
            if units.start == 0:
                shift[part] = means[0]
            moved = means - shift[part]
            sums[part] += moved.sum(0)
            squares[part] += moved.square().sum(0)
        gradient = shift + sums / self._units
        variance = (squares - sums.square() / self._units).clamp_min(0.0) / (self._units * (self._units - 1))
        return values.transpose(1, 2), gradient, variance, zeros / self._units
