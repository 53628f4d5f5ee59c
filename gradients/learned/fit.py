"""The fit of a surrogate of an objective: costs at points of theta in, a plane and an ensemble of networks out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..core.checks import check_count
from ..core.errors import GradientError
from ..estimators.network import Ensemble
from ..noise.counter_random import derive_seed, draw_uniforms
from .progress import Progress, ProgressCallback

__all__ = ["Fit", "FitOptions", "FitReport", "check_samples", "fit_costs", "layer_shapes"]

_SAMPLES_PER_PARAMETER = 4
_LEAST_SAMPLES = 20


@dataclass(frozen=True)
class FitOptions:
    """The networks and their training; see ``Surrogate`` for the same names."""

    hidden: Sequence[int] = (64, 64)
    """Widths of the hidden layers."""
    ensemble: int = 4
    """Networks in the ensemble."""
    steps: int = 1000
    """Most steps of Adam, on all training data at once."""
    learning_rate: float = 0.01
    """First learning rate; it falls to 0 along a cosine."""
    patience: int = 200
    """Steps without a better validation error after which a member is done."""
    validation: float = 0.15
    """Share of the data on which a member's training is stopped."""
    held_out: float = 0.15
    """Share of the data on which the fit is measured."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden:
            raise GradientError("hidden is empty: give at least one width, e.g. (64, 64)")
        for index, width in enumerate(self.hidden):
            check_count(f"hidden[{index}]", width, 1)
        check_count("ensemble", self.ensemble, 2, " (one network has no spread)")
        check_count("steps", self.steps, 1)
        check_count("patience", self.patience, 1)
        if not 0.0 < self.learning_rate < float("inf"):
            raise GradientError(f"learning_rate is {self.learning_rate!r}: give a positive number, e.g. 0.01")
        for name in ("validation", "held_out"):
            if not 0.05 <= getattr(self, name) <= 0.4:
                raise GradientError(f"{name} is {getattr(self, name)!r}: give a share of the data from 0.05 to 0.4")


@dataclass(frozen=True)
class FitReport:
    """Quality of a fit."""

    held_out_error: float
    """Root mean square error of the ensemble's mean on data that no member was fitted to, over their standard
    deviation."""
    held_out_r2: float
    """1 - held_out_error^2."""
    samples: int
    """Points of the fit."""
    best_step: float
    """Mean step whose weights were kept; near ``steps``: more steps may help."""
    steps_done: int
    """Steps after which all members were done."""
    seconds: float = field(compare=False)
    """Wall time of the fit, without rollouts [s]."""


@dataclass(frozen=True)
class Fit:
    """A fitted cost: plane and networks in whitened parameters."""

    centre: torch.Tensor
    """Centre of the data [parameters], float64."""
    spread: torch.Tensor
    """Standard deviation of the data [parameters], float64."""
    offset: float
    """Mean of the training costs."""
    cost_spread: float
    """Standard deviation of the training costs."""
    plane: torch.Tensor
    """Intercept and slopes in whitened parameters [1 + parameters], float64."""
    network: Ensemble
    options: FitOptions
    report: FitReport

    def values_and_gradients(
        self, rows: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each member's costs [members, n] and gradients [members, n, parameters] at rows [n, parameters], float64.

        With ``noise`` [points, parameters] in units of ``spread``, float32, averages over row + noise, whose mean is
        taken as 0.
        """
        whitened = (rows.double().cpu() - self.centre) / self.spread
        if noise is None:
            values, slopes = self.network.gradients(whitened.float())
        else:
            points = (whitened.float()[:, None] + noise).flatten(0, 1)
            values, slopes = self.network.gradients(points)
            shape = (len(values), len(rows), len(noise))
            values, slopes = values.view(shape).mean(2), slopes.view(*shape, -1).mean(2)
        values = values.double() + (self.plane[0] + whitened @ self.plane[1:])
        gradients = (slopes.double() + self.plane[1:]) * (self.cost_spread / self.spread)
        return values * self.cost_spread + self.offset, gradients


def check_samples(samples: int, parameters: int) -> None:
    """Refuse fewer points than a fit needs."""
    least = max(_LEAST_SAMPLES, _SAMPLES_PER_PARAMETER * (parameters + 1))
    check_count("samples", samples, 1)
    if samples < least:
        raise GradientError(
            f"samples is {samples}, too few for a fit in {parameters} parameters: give at least {least}, better "
            f'{4 * least}; or use Smoothing(order="zeroth"), which works with any number'
        )


def fit_costs(
    theta: torch.Tensor,
    costs: torch.Tensor,
    options: FitOptions,
    *,
    seed: int,
    eps: float,
    on_progress: ProgressCallback,
) -> Fit:
    """Fit costs [n] at points [n, parameters]; float64 tensors on the CPU, the costs right to relative ``eps``.

    Raises:
        GradientError: Too few points, or a cost that is the same at all of them.
    """
    start = time.perf_counter()
    samples, parameters = theta.shape
    check_samples(samples, parameters)
    rounding = 8.0 * eps * float(costs.abs().max())
    if float(costs.max() - costs.min()) <= rounding:
        raise GradientError(
            f"the cost is the same, {float(costs[0]):.6g}, at all {samples} points of the region: there is nothing to "
            "fit. Give a larger region, so that some rollouts make the contact that matters"
        )
    order = draw_uniforms(seed, "fit split", first=0, rows=1, columns=samples)[0].argsort()
    held_count = max(2, round(options.held_out * samples))
    held, seen = order[:held_count], order[held_count:]
    centre, spread = theta.mean(0), theta.std(0)
    x = (theta - centre) / spread
    offset = float(costs[seen].mean())
    # the training part may be constant where only held-out points saw a change; then the whole set gives the unit
    cost_spread = max(float(costs[seen].std()), rounding) if float(costs[seen].std()) > rounding else float(costs.std())
    y = (costs - offset) / cost_spread
    design = torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
    some = design[seen]
    plane = torch.linalg.solve(some.T @ some, some.T @ y[seen])
    rest = (y - design @ plane).float()
    network = Ensemble(
        inputs=parameters,
        hidden=options.hidden,
        members=options.ensemble,
        copies=1,
        seed=derive_seed(seed, "fit network"),
        dtype=torch.float32,
        device=torch.device("cpu"),
    )
    split = draw_uniforms(seed, "fit validation", first=0, rows=options.ensemble, columns=len(seen)).argsort(1)
    steps_done = options.steps

    def on_step(step: int, training: torch.Tensor, validation: torch.Tensor) -> None:
        nonlocal steps_done
        steps_done = step
        errors = (float(training.mean().sqrt()), float(validation.mean().sqrt()))
        on_progress(Progress("fit", step, options.steps, *errors))

    best_step = network.fit(
        x[seen].float(),
        rest[seen].expand(options.ensemble, -1),
        split >= max(2, round(options.validation * samples)),
        steps=options.steps,
        learning_rate=options.learning_rate,
        patience=options.patience,
        on_step=on_step,
    )
    fitted = network(x[held].float()).mean(0).double() + design[held] @ plane
    variation = float(y[held].std(correction=0))
    # held-out points that are all alike, of data that vary: measured against the variation of all
    variation = variation if variation * cost_spread > rounding else float(y.std())
    error = float((fitted - y[held]).square().mean().sqrt()) / variation
    report = FitReport(
        held_out_error=error,
        held_out_r2=1.0 - error**2,
        samples=samples,
        best_step=float(best_step.double().mean()),
        steps_done=steps_done,
        seconds=time.perf_counter() - start,
    )
    return Fit(centre, spread, offset, cost_spread, plane, network, options, report)


def layer_shapes(inputs: int, options: FitOptions) -> list[tuple[int, ...]]:
    """Shapes of the networks' weights and biases, in the order in which they are stored."""
    shapes: list[tuple[int, ...]] = []
    for fan_in, fan_out in itertools.pairwise([inputs, *options.hidden, 1]):
        shapes += [(options.ensemble, fan_in, fan_out), (options.ensemble, 1, fan_out)]
    return shapes
