"""A smooth fit to rollouts around theta, differentiated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...plain import plain_numbers
from ..core.checks import Scale, as_batch, check_count, check_scale, expand_scale, suggest
from ..core.error_bars import SHARED_BY_FITS, ErrorBar, spread_bar
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, evaluate
from ..noise.counter_random import derive_seed, draw_uniforms
from ..noise.distributions import Gaussian
from .network import Ensemble

__all__ = ["Surrogate"]

_SAMPLES_PER_PARAMETER = 4
_LEAST_SAMPLES = 20


@plain_numbers
@dataclass(frozen=True)
class Surrogate:
    """Gradient of a fit to costs at Gaussian points around theta: a plane, and a smooth network on what it leaves.

    *Estimate.* ``at="cloud"`` (default): the slope of the fit averaged over the cloud it was fitted to,
    which is the gradient of the Gaussian-smoothed cost up to the error of the fit. ``at="theta"``: the slope of the
    fit at theta itself, which is the exact gradient where the network can follow the cost, and otherwise nothing
    definite. On smooth costs both agree to a few percent or better. At jumps and kinks they do not: with a scale of
    0.05 and 512 samples the cloud's slope of a step is 13 % off the smoothed gradient, theta's is wrong by three times
    its size, and both have a held-out error of 0.14.

    Its error is an unknown bias, not noise: read ``held_out_error`` before use. Near 0 the fit explains
    the cost; near 1 the network explains nothing, and the gradient is no better than that of the plane. Prefer it
    where rollouts are expensive and the parameters few: on smooth costs it was 15 to 100 times closer than the zeroth
    order at equal rollouts. It does not suit many parameters (at least 4 (d + 1) samples, for a good fit many
    more). One fit has no error bar: the spread of the gradient over the ensemble (``gradient_spread``), whose members
    differ in their start and in the points they train on, leaves out the error that all members share, and on the step
    above it was a tenth of the true error. With ``repeats`` the data are drawn and fitted that many times, and the
    standard error is that of the mean of these fits, with repeats - 1 degrees of freedom: an error bar of what the fit
    gives on the average, which is off the slope of the smoothed cost by the fit's bias.

    Each member stops where its error is least on the ``validation`` share of the data, drawn anew for each; the share
    ``held_out`` is used by none and measures the ensemble's mean. A cost that is the same at every point has gradient
    exactly 0, with ``constant`` true: all costs in the cloud are equal, so use a larger scale. The thetas of a batch
    share their noise and starts and train together in one pass: a batch equals single calls up to rounding.

    Diagnostics: ``held_out_error``, root mean square error on held-out data over their standard deviation, and
    ``held_out_r2`` = 1 - error^2 (nan where those data are constant); ``gradient_spread``, shape [parameters];
    ``finite``; ``constant``; ``inside_data``, whether data lie on both sides of theta in every coordinate;
    ``best_step``, the mean step whose weights were kept (near ``steps``: more steps may help).
    """

    scale: Scale = 0.05
    """Standard deviation of the points around theta, one number or one per coordinate."""
    samples: int = 512
    """Rollouts per theta."""
    hidden: Sequence[int] = (64, 64)
    """Widths of the hidden layers."""
    ensemble: int = 4
    """Networks in the ensemble."""
    steps: int = 400
    """Most steps of Adam, on all training data at once."""
    learning_rate: float = 0.01
    """First learning rate; it falls to 0 along a cosine."""
    patience: int = 100
    """Steps without a better validation error after which a member is done."""
    validation: float = 0.15
    """Share of the data on which a member's training is stopped."""
    held_out: float = 0.15
    """Share of the data on which the fit is measured."""
    at: str = "cloud"
    """Place of differentiation: ``"cloud"``, averaged over its points, or ``"theta"``."""
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once."""
    repeats: int = 1
    """Fits of ``samples`` rollouts each, of which the mean is given: 1, without an error bar, or at least 3."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if self.at not in ("cloud", "theta"):
            raise GradientError(suggest("at", self.at, ("cloud", "theta")))
        if not self.hidden:
            raise GradientError("hidden is empty: give at least one width, e.g. (64, 64)")
        for index, width in enumerate(self.hidden):
            check_count(f"hidden[{index}]", width, 1)
        check_count("samples", self.samples, _LEAST_SAMPLES, " (a network cannot be fitted and checked on fewer)")
        check_count("ensemble", self.ensemble, 2, " (one network has no spread)")
        check_count("steps", self.steps, 1)
        check_count("patience", self.patience, 1)
        check_count("repeats", self.repeats, 1)
        if self.repeats == 2:
            raise GradientError("repeats is 2: give 1 (no error bar), or at least 3, better 4 to 8")
        if not 0.0 < self.learning_rate < float("inf"):
            raise GradientError(f"learning_rate is {self.learning_rate!r}: give a positive number, e.g. 0.01")
        for name in ("validation", "held_out"):
            if not 0.05 <= getattr(self, name) <= 0.4:
                raise GradientError(f"{name} is {getattr(self, name)!r}: give a share of the data from 0.05 to 0.4")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and slope of the fit around ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        if self.repeats == 1:
            return self._fitted(objective, theta, seed)
        batch, single = as_batch(theta)
        fits = [self._fitted(objective, batch, derive_seed(seed, "surrogate repeat", k)) for k in range(self.repeats)]
        gradients = torch.stack([fit.gradient.double() for fit in fits])
        gradient, variance = gradients.mean(0), gradients.var(0) / self.repeats
        measures = {
            name: torch.stack([torch.as_tensor(fit.diagnostics[name], device=batch.device) for fit in fits])
            for name in fits[0].diagnostics
            if name != "no_error_bar"
        }
        return assemble(
            batch,
            single,
            value=torch.stack([fit.value.double() for fit in fits]).mean(0),
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=sum(fit.evaluations for fit in fits),
            seconds=sum(fit.seconds for fit in fits),
            diagnostics={
                name: measure.all(0) if measure.dtype == torch.bool else measure.double().mean(0)
                for name, measure in measures.items()
                if name != "gradient_spread"
            },
            bar=spread_bar(gradient, variance, self.repeats, epsilon=torch.finfo(batch.dtype).eps),
        )

    def _fitted(self, objective: Objective, theta: torch.Tensor, seed: int) -> Estimate:
        """The estimate by one set of data."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        scale = expand_scale(self.scale, batch)  # type: ignore[arg-type]
        least = _SAMPLES_PER_PARAMETER * (parameters + 1)
        if self.samples < least:
            raise GradientError(
                f"samples is {self.samples}, too few for a fit in {parameters} parameters: give at least {least}, "
                f'better {4 * least}; or use Smoothing(order="zeroth"), which works with any number'
            )
        uniforms = draw_uniforms(seed, "surrogate", first=0, rows=self.samples, columns=parameters)
        noise = Gaussian().sample(uniforms).to(scale.device)
        costs = self._costs(objective, batch, (scale * noise).to(batch))
        tested = max(2, round(self.held_out * self.samples))
        seen, held = costs[:, tested:], costs[:, :tested]
        offset = seen.mean(1, keepdim=True)
        rounding = 8.0 * torch.finfo(batch.dtype).eps * costs.abs().amax(1)
        constant = (costs.amax(1) - costs.amin(1)) <= rounding
        spread = seen.std(1, keepdim=True)
        spread = torch.where(spread > rounding[:, None], spread, costs.std(1, keepdim=True))
        spread = torch.where(constant[:, None], torch.ones_like(spread), spread)

        # A plane by least squares, and the network on what it leaves. Single precision for the network: its fit is far
        # coarser than that, and it trains in about half the time.
        plane = _fit_plane(noise[tested:], (seen - offset) / spread)
        flat = offset + spread * (plane[:, :1] + plane[:, 1:] @ noise.T)
        x, y = noise.float(), ((costs - flat) / spread).float()
        network = Ensemble(
            inputs=parameters,
            hidden=self.hidden,
            members=self.ensemble,
            copies=thetas,
            seed=derive_seed(seed, "surrogate network"),
            dtype=x.dtype,
            device=x.device,
        )
        best_step = network.fit(
            x[tested:],
            y[:, tested:].repeat_interleave(self.ensemble, 0),
            self._training_masks(seed, self.samples - tested).to(x.device).repeat(thetas, 1),
            steps=self.steps,
            learning_rate=self.learning_rate,
            patience=self.patience,
        )
        points = torch.cat([torch.zeros_like(x[:1])] if self.at == "theta" else [x, -x])
        values, slopes = network.gradients(points)
        slopes = slopes.mean(1).view(thetas, self.ensemble, parameters).double() + plane[:, None, 1:]
        gradients = slopes * spread[:, :, None] / scale
        gradients = torch.where(constant[:, None, None], torch.zeros_like(gradients), gradients)
        value = (values.mean(1).view(thetas, self.ensemble).mean(1).double() + plane[:, 0]) * spread[:, 0] + offset[
            :, 0
        ]
        fitted = network(x[:tested]).view(thetas, self.ensemble, tested).mean(1).double() * spread + flat[:, :tested]
        variation = held.std(1, correction=0)
        error = (fitted - held).square().mean(1).sqrt() / variation
        error = torch.where(constant | (variation == 0), torch.full_like(error, float("nan")), error)
        spread_over_members = gradients.std(1)
        inside = bool(((noise[tested:].amin(0) < 0) & (noise[tested:].amax(0) > 0)).all())
        return assemble(
            batch,
            single,
            value=torch.where(constant, costs[:, 0], value),
            gradient=gradients.mean(1),
            standard_error=None,
            evaluations=thetas * self.samples,
            seconds=time.perf_counter() - start,
            diagnostics={
                "held_out_error": error,
                "held_out_r2": 1.0 - error.square(),
                "gradient_spread": spread_over_members,
                "finite": torch.isfinite(gradients).all(2).all(1),
                "constant": constant,
                "inside_data": torch.full((thetas,), inside, dtype=torch.bool, device="cpu"),
                "best_step": best_step.view(thetas, self.ensemble).double().mean(1),
            },
            bar=ErrorBar(None, f"{SHARED_BY_FITS}; repeats=, 4 or more, shows it"),
        )

    def _costs(self, objective: Objective, batch: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Costs at theta + moves, shape [batch, samples], float64."""
        rows = (batch[:, None] + moves).reshape(-1, batch.shape[1])
        parts = rows.split(self.chunk or len(rows))
        return torch.cat([evaluate(objective, part) for part in parts]).double().view(len(batch), -1)

    def _training_masks(self, seed: int, points: int) -> torch.Tensor:
        """Masks of the points that each member trains on, shape [members, points]; the others stop its training."""
        order = draw_uniforms(seed, "surrogate split", first=0, rows=self.ensemble, columns=points).argsort(1)
        return order >= max(2, round(self.validation * self.samples))


def _fit_plane(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Intercept and slopes [batch, 1 + inputs] of the plane through y [batch, points] at x [points, inputs]."""
    design = torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
    # Normal equations: with this many unit normal points they are well conditioned, and unlike lstsq, whose last bits
    # changed from call to call, they repeat exactly.
    return torch.linalg.solve(design.T @ design, design.T @ y.T).T
