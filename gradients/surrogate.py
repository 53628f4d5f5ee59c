"""A network fitted to rollouts around theta, and differentiated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .checks import Scale, as_batch, check_count, check_scale, expand_scale
from .distributions import Gaussian
from .errors import GradientError
from .interface import Estimate, Objective
from .network import Ensemble
from .noise import derive_seed, draw_uniforms
from .objective import assemble, evaluate

__all__ = ["Surrogate"]

_SAMPLES_PER_PARAMETER = 4
_LEAST_SAMPLES = 20


@dataclass(frozen=True)
class Surrogate:
    """Gradient of a smooth network that was fitted, by least squares, to costs at points drawn Gaussian around theta.

    *What it estimates*: the slope at theta of the best smooth fit over the cloud, not a quantity with a formula. Where the
    network can follow the cost, that is the exact gradient; where the cost has detail finer than the network or the data
    resolve (kinks, jumps), it is an average over the cloud, close in kind to the smoothed gradient but with no guarantee
    of its size. It is biased in an unknown way, so look at ``held_out_error`` before believing it: near 0 the fit explains the
    cost, near 1 it explains nothing, and the gradient is then noise.

    Prefer it where rollouts are dear, their number of parameters is small (up to some tens) and their cost is noisy or kinked. What it
    cannot do: many parameters (it needs at least 4 (d + 1) samples, and honest fits many more); give an error bar. Its
    ``standard_error`` is the spread (standard deviation) of the gradient over the members of an ensemble that differ in
    their start and in the points left out of training: a spread, **not** a confidence bound. It does not see an error that all
    members share.

    Each member stops where its error is least on the ``validation`` share of the data, drawn for each member anew; a further share
    ``held_out``, the same for all, is seen by none and measures the ensemble's mean. A cost that is the same at every
    point has gradient exactly 0, with ``constant`` true: the cloud saw nothing, so use a larger scale. The thetas of a batch
    share their noise and starts, and train together in one pass: a batch equals single calls up to rounding.

    Diagnostics: ``held_out_error``, root mean square error on held-out data over their standard deviation, and ``held_out_r2`` =
    1 - error^2 (nan for a constant cost); ``gradient_spread``, shape [parameters]; ``finite``; ``constant``;
    ``inside_data``, whether the data lie on both sides of theta in every coordinate; ``best_step``, the mean step at which
    training stopped.
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
    chunk: int | None = None
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale(self.scale))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden:
            raise GradientError("hidden is empty: give at least one width, e.g. (64, 64)")
        for index, width in enumerate(self.hidden):
            check_count(f"hidden[{index}]", width, 1)
        check_count("samples", self.samples, _LEAST_SAMPLES, " (a network cannot be fitted and checked on fewer)")
        check_count("ensemble", self.ensemble, 2, " (one network has no spread)")
        check_count("steps", self.steps, 1)
        check_count("patience", self.patience, 1)
        if not 0.0 < self.learning_rate < float("inf"):
            raise GradientError(f"learning_rate is {self.learning_rate!r}: give a positive number, e.g. 0.01")
        for name in ("validation", "held_out"):
            if not 0.05 <= getattr(self, name) <= 0.4:
                raise GradientError(f"{name} is {getattr(self, name)!r}: give a share of the data from 0.05 to 0.4")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and slope of the fit at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        scale = expand_scale(self.scale, batch)  # type: ignore[arg-type]
        least = _SAMPLES_PER_PARAMETER * (parameters + 1)
        if self.samples < least:
            raise GradientError(
                f"samples is {self.samples}, too few for a fit in {parameters} parameters: give at least {least}, better "
                f'{4 * least}; or use Smoothing(order="zeroth"), which works with any number'
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

        # Single precision: the fit itself is far coarser, and it trains in about half the time.
        x, y = noise.float(), ((costs - offset) / spread).float()
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
        values, slopes = network.gradient(torch.zeros_like(x[0]))
        gradients = slopes.view(thetas, self.ensemble, parameters).double() * spread[:, :, None] / scale
        gradients = torch.where(constant[:, None, None], torch.zeros_like(gradients), gradients)
        value = values.view(thetas, self.ensemble).mean(1).double() * spread[:, 0] + offset[:, 0]
        fitted = network(x[:tested]).view(thetas, self.ensemble, tested).mean(1).double() * spread + offset
        variation = held.std(1, correction=0)
        error = (fitted - held).square().mean(1).sqrt() / variation
        error = torch.where(constant | (variation == 0), torch.full_like(error, float("nan")), error)
        spread_over_members = gradients.std(1)
        inside = bool(((noise[tested:].amin(0) < 0) & (noise[tested:].amax(0) > 0)).all())
        return assemble(
            theta,
            single,
            value=torch.where(constant, costs[:, 0], value),
            gradient=gradients.mean(1),
            standard_error=spread_over_members,
            evaluations=thetas * self.samples,
            seconds=time.perf_counter() - start,
            diagnostics={
                "held_out_error": error,
                "held_out_r2": 1.0 - error.square(),
                "gradient_spread": spread_over_members,
                "finite": torch.isfinite(gradients).all(2).all(1),
                "constant": constant,
                "inside_data": torch.full((thetas,), inside),
                "best_step": best_step.view(thetas, self.ensemble).double().mean(1),
            },
        )

    def _costs(self, objective: Objective, batch: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        """Costs at theta + moves, shape [batch, samples], float64."""
        rows = (batch[:, None] + moves).reshape(-1, batch.shape[1])
        parts = rows.split(self.chunk or len(rows))
        return torch.cat([evaluate(objective, part) for part in parts]).double().view(len(batch), -1)

    def _training_masks(self, seed: int, points: int) -> torch.Tensor:
        """Which points each member trains on, shape [members, points]; the others stop its training."""
        order = draw_uniforms(seed, "surrogate split", first=0, rows=self.ensemble, columns=points).argsort(1)
        return order >= max(2, round(self.validation * self.samples))
