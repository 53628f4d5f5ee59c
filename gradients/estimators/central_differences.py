"""Central differences of the smoothed objective: the reference that other backends are held against."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import Scale, as_batch, check_count, check_scale, expand_scale
from ..core.error_bars import judged
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Gaussian
from ..statistics.moments import MeanMoments

__all__ = ["CentralDifferences"]

_MOST_STEP = 3.0**0.5  # of scale: the difference alone then smooths as much as the noise should


@plain_numbers
@dataclass(frozen=True)
class CentralDifferences:
    """Central differences of F(theta) = E f(theta + scale * w), w Gaussian, with common random numbers.

    g_i = mean over k of [f(theta + n_k + h_i e_i) - f(theta + n_k - h_i e_i)] / (2 h_i), h = ``step`` * scale: the same
    noise n_k on both sides, for every coordinate and every theta. It needs only values of f, shares no formula with
    the other backends, and costs (2 * parameters + 1) * samples rollouts, so it is a reference, not a method.

    *Bias.* A central difference is itself smoothing: it averages the derivative over a uniform offset in [-h, h], of
    variance h^2/3. With noise of the full scale the error would be h^2/6 F'''. Here the noise along coordinate i has
    standard deviation sqrt(scale^2 - h^2/3) instead, so that noise and difference together have the variance asked
    for; what remains is -h^4/180 F^(5). On a step function at its edge that is 0.1 % at the default step of 0.5 (0.17
    % with its sign changed two scales away); on a cubic, exactly 0. *Variance.* On a jump a pair has no information
    unless it straddles the jump, so variance goes like 1/h: hence a step this large.

    ``scale=0`` gives plain central differences of f itself, one pair per coordinate and no standard error, with step
    cbrt(machine epsilon) * max(1, |theta_i|), or ``step`` in the units of theta where it is given.

    ``value`` is the mean of f(theta + scale * w_k), from rollouts of its own. Diagnostics: ``finite``;
    ``trace_variance``; ``zero_share``, shape [parameters], the share of exactly equal pairs; ``step``, shape
    [parameters].
    """

    scale: Scale = 0.02
    """Standard deviation of the noise, one number or one per coordinate; 0 for none."""
    samples: int = 4096
    """Noise draws; with antithetic pairs an even number. Not used where scale is 0."""
    step: float | None = None
    """Half the distance between the two sides, in units of scale (default 0.5); where scale is 0, in units of theta."""
    antithetic: bool = True
    """Whether every w comes with -w; pairs are then the independent units of the standard error."""
    chunk: int | None = 65536
    """Most rollouts in one call of the objective (at least one unit is taken); None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale, allow_zero=True))
        check_count("samples", self.samples, 4 if self.antithetic else 2, " (so that there is a standard error)")
        if self.antithetic and self.samples % 2:
            raise GradientError(f"samples is {self.samples}: antithetic pairs need an even number, or antithetic=False")
        if self.step is not None:
            if not (isinstance(self.step, (int, float)) and 0.0 < self.step < float("inf")):
                raise GradientError(f"step is {self.step!r}: give a positive number, or None for the default")
            if self.scale != 0.0 and self.step >= _MOST_STEP:
                raise GradientError(
                    f"step is {self.step} scales: give less than sqrt(3), where the difference alone smooths more than "
                    "the noise should; 0.5 is the default"
                )
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and its central differences at ``theta`` ([parameters] or [batch, parameters])."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        scale = expand_scale(self.scale, batch)  # type: ignore[arg-type]
        noisy = self.scale != 0.0
        steps = self._steps(batch, scale)
        signs = (1.0, -1.0) if self.antithetic and noisy else (1.0,)
        units = self.samples // len(signs) if noisy else 1
        unit_rows = thetas * len(signs) * (2 * parameters + 1)
        count = units if self.chunk is None else max(1, self.chunk // unit_rows)
        moments, zeros = MeanMoments.zeros(1, thetas, parameters, batch.device), torch.zeros_like(steps)
        total = torch.zeros_like(steps[:, 0])
        for low in range(0, units, count):
            high = min(low + count, units)
            centres, rows, distance = self._rows(batch, scale, steps, signs, seed, low, high)
            flat = torch.cat([centres.reshape(-1, parameters), rows.reshape(-1, parameters)])
            values = evaluate(objective, flat).double()
            total += values[: centres[..., 0].numel()].view(centres.shape[:-1]).mean(2).sum(0)
            sides = values[centres[..., 0].numel() :].view(rows.shape[:-1])
            # [units, thetas, signs, parameters]: one difference quotient per coordinate
            slopes = (sides[..., 0] - sides[..., 1]) / distance
            zeros += (slopes == 0).all(2).double().sum(0)
            moments.add(0, slopes.mean(2))
        gradient, variance = moments.estimate(independent=bool(noisy))
        bar = None
        if variance is not None:
            bar = judged(
                gradient,
                variance,
                moments.degrees(),
                units,
                epsilon=torch.finfo(batch.dtype).eps,
                events=units - zeros,
                what="differences",
            )
        return assemble(
            batch,
            single,
            value=total / units,
            gradient=gradient,
            standard_error=None if variance is None else variance.sqrt(),
            evaluations=units * unit_rows,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": None if variance is None else variance.sum(1),
                "zero_share": zeros / units,
                "step": steps,
            },
            bar=bar,
        )

    def _steps(self, batch: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Half-distances [batch, parameters], float64."""
        if self.scale != 0.0:
            return ((0.5 if self.step is None else self.step) * scale).expand(batch.shape).clone()
        if self.step is not None:
            return torch.full(batch.shape, float(self.step), dtype=torch.float64, device=batch.device)
        return torch.finfo(batch.dtype).eps ** (1 / 3) * batch.double().abs().clamp_min(1.0)

    def _rows(
        self,
        batch: torch.Tensor,
        scale: torch.Tensor,
        steps: torch.Tensor,
        signs: tuple[float, ...],
        seed: int,
        low: int,
        high: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows for the value and for the differences, and the distance between the two sides of each difference.

        Shapes [units, thetas, signs, parameters], [units, thetas, signs, parameters (moved), 2 (sides), parameters] and
        [units, thetas, signs, parameters (moved)].
        """
        parameters = batch.shape[1]
        middle = batch.double()[None, :, None]
        centre = middle.unsqueeze(-2).expand(1, len(batch), 1, parameters, parameters)
        if self.scale != 0.0:
            uniforms = draw_uniforms(seed, "central differences", first=low, rows=high - low, columns=parameters)
            noise = Gaussian().sample(uniforms).to(scale.device) * scale
            shrink = torch.ones(parameters, parameters, dtype=torch.float64, device=scale.device)
            shrink.diagonal().copy_((1.0 - (steps[0] / scale).square() / 3.0).sqrt())
            sign = torch.tensor(signs, dtype=torch.float64, device=scale.device)[:, None]
            middle = middle + noise[:, None, None] * sign
            centre = centre + noise[:, None, None, None] * sign.unsqueeze(-1) * shrink
        moves = torch.diag_embed(steps)[:, None]
        moves = torch.stack([moves, -moves], dim=-2)
        rows = (centre.unsqueeze(-2) + moves).to(batch)
        sides = rows.double().diagonal(dim1=-3, dim2=-1)  # [..., sides, parameters]: the moved coordinate as rounded
        return middle.to(batch), rows, sides[..., 0, :] - sides[..., 1, :]
