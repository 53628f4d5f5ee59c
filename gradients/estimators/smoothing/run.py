"""The work of one smoothed estimate: rollouts of any range of units into moments, and moments into estimates.

A range [first, first + count) of units is the piece of work that chunks, and processes, share out: the moments of two
ranges merge into those of both, and only the finish reads them. Nothing here holds more than one chunk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ...core.error_bars import DEPENDENT, ErrorBar, judged, spread_bar
from ...core.errors import GradientError
from ...core.interface import Estimate, Objective
from ...core.objective import assemble, evaluate, evaluate_with_gradient, objective_name, refuse_non_finite
from ...noise.perturbation import Draw, Perturbation
from ...statistics.moments import CovarianceMoments, MeanMoments
from ...statistics.smoothing_moments import SmoothingMoments
from .orders import Order

__all__ = ["CountCallback", "SmoothingRun", "in_calls", "rows_at_once"]

CountCallback = Callable[[int, int], None]
"""Called with (rollouts done, rollouts in all)."""

_BLOCK = 2**21  # entries of factors held at once while they are summed
_MOST_ROWS, _MOST_ENTRIES = 2**20, 2**27  # in one call where no chunk is named: 1 GB of float64 rows
_ADVICE = ', or non_finite="drop" to leave such samples out and count them'


def rows_at_once(chunk: int | None, wanted: int, parameters: int) -> int:
    """Most rows in one call of the objective: ``chunk``, else all ``wanted`` rows up to a bound on memory."""
    return min(wanted, _MOST_ROWS, max(1, _MOST_ENTRIES // parameters)) if chunk is None else chunk


def in_calls(function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, most: int) -> torch.Tensor:
    """``function`` of all ``rows`` [n, parameters], at most ``most`` of them in one call."""
    parts = [function(part) for part in rows.split(most)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class Block:
    """Rollouts of some units at all thetas: values and, where they were computed, exact gradients; float64."""

    first: int
    draw: Draw
    values: torch.Tensor
    """Shape [units, T, signs]."""
    gradients: torch.Tensor | None
    """Shape [units, T, signs, parameters]."""
    keep: torch.Tensor | None
    """Units of each theta that count, shape [units, T]; None for all."""


class SmoothingRun:
    """One estimate in progress; made by ``Smoothing.start_run``. ``order`` holds what differs between the orders."""

    def __init__(
        self,
        objective: Objective,
        theta: torch.Tensor,
        batch: torch.Tensor,
        *,
        perturbation: Perturbation,
        columns: torch.Tensor,
        signs: tuple[float, ...],
        order: Order,
        independent: bool,
        drop: bool,
        chunk: int | None,
        with_scale: bool,
        infinite_variance: bool = False,
        tilt: torch.Tensor | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.objective = objective
        self.theta = theta
        self.batch = batch
        self.perturbation = perturbation
        self.columns = columns
        self.signs = signs
        self.order = order
        self.independent = independent
        self.drop = drop
        self.chunk = chunk
        self.with_scale = with_scale
        self.infinite_variance = infinite_variance
        self.tilt = tilt
        all_columns = torch.arange(batch.shape[1], device=batch.device)
        self._subset = not torch.equal(columns, all_columns)
        self._centre: torch.Tensor | None = None

    @property
    def units(self) -> int:
        """Units of work in all: samples, or antithetic pairs."""
        return self.perturbation.units

    @property
    def evaluations(self) -> int:
        """Rollouts in all."""
        return len(self.batch) * (self.units * len(self.signs) + self.order.wants_centre)

    def empty(self) -> SmoothingMoments:
        """Moments of no rollouts, to load others into and to merge with others."""
        return self.order.empty(
            self.perturbation.replications,
            len(self.batch),
            self.batch.shape[1],
            self.perturbation.scale,
            self.batch.device,
        )

    def measure(self, first: int, count: int, *, progress: CountCallback | None = None) -> SmoothingMoments:
        """Moments of units ``first`` to ``first + count``; those of no units for a count of 0."""
        moments = self.empty()
        total = count * len(self.batch) * len(self.signs)
        done = 0
        for block in self._blocks(first, count):
            self._add(moments, block)
            done += block.values.numel()
            if progress is not None:
                progress(done, total)
        return moments

    def finish(self, moments: SmoothingMoments) -> tuple[Estimate, Estimate | None]:
        """The estimate with respect to theta and, where it was asked for, with respect to the scale."""
        self._refuse_empty(moments)
        thetas, parameters = self.batch.shape
        value, value_variance = moments.value.estimate(independent=self.independent)
        main, variance = moments.gradient.estimate(independent=self.independent)
        bar = self._bar(moments.gradient, main, variance)
        gradient, error = self._placed(main, parameters), self._placed(variance, parameters)
        degrees = None if bar is None else self._placed(bar.degrees, parameters, fill=torch.inf)
        if moments.others is not None:
            rest = self._others(parameters)
            mean, spread = moments.others.estimate(independent=self.independent)
            gradient[:, rest] = mean
            if error is not None and spread is not None:
                error[:, rest] = spread
                theirs = self._bar(moments.others, mean, spread)
                if degrees is not None and bar is not None and theirs is not None:
                    degrees[:, rest] = theirs.degrees
                    bar = replace(bar, reason="; ".join(filter(None, [bar.reason, theirs.reason])) or None)
        if bar is not None:
            bar = replace(bar, degrees=degrees)
        scale = None if moments.scale is None else moments.scale.estimate(independent=self.independent)
        shared = {
            "value_standard_error": None if value_variance is None else value_variance[:, 0].sqrt(),
            "zero_share": self.order.zero_share(moments, self.units),
            "dropped": moments.dropped,
            "infinite_variance": self.infinite_variance,
        }
        smoothed = torch.zeros(parameters, dtype=torch.bool, device=self.batch.device)
        smoothed[self.columns] = True

        def estimate(
            gradient: torch.Tensor, variance: torch.Tensor | None, shape: tuple[int, ...], bar: ErrorBar | None
        ) -> Estimate:
            if bar is not None and bar.degrees is not None:
                bar = replace(bar, degrees=bar.degrees.view(thetas, *shape))
            return assemble(
                self.theta,
                self.theta.ndim == 1,
                value=value[:, 0],
                gradient=gradient.view(thetas, *shape),
                standard_error=None if variance is None else variance.sqrt().view(thetas, *shape),
                evaluations=self.evaluations,
                seconds=time.perf_counter() - self.started,
                diagnostics={
                    "finite": torch.isfinite(gradient).all(1),
                    "trace_variance": None if variance is None else variance.sum(1),
                    **shared,
                    "smoothed": smoothed.expand(thetas, parameters),
                },
                bar=bar,
            )

        main_estimate = estimate(gradient, error, (parameters,), bar)
        if scale is None:
            return main_estimate, None
        assert moments.scale is not None
        return main_estimate, estimate(*scale, self.perturbation.scale.shape, self._bar(moments.scale, *scale))

    def _bar(
        self, moments: MeanMoments | CovarianceMoments, mean: torch.Tensor, variance: torch.Tensor | None
    ) -> ErrorBar | None:
        """How well the standard error is known."""
        replications = self.perturbation.replications
        if variance is None:
            return ErrorBar(None, DEPENDENT)
        if self.infinite_variance:
            why = "the score of this noise has no variance in the zeroth order, so that no spread measures the error"
            return ErrorBar(torch.zeros_like(mean), why)
        epsilon = torch.finfo(self.batch.dtype).eps
        if replications > 1:
            return spread_bar(mean, variance, replications, epsilon=epsilon)
        pairs = "antithetic pairs" if len(self.signs) > 1 else "samples"
        remainder = None if self.tilt is None else (self.tilt != 0).any(1, keepdim=True)
        degrees, events = moments.degrees(remainder), moments.events()
        return judged(mean, variance, degrees, self.units, epsilon=epsilon, events=events, what=pairs)

    def _placed(self, part: Any, parameters: int, fill: float = 0.0) -> Any:
        """Columns of the perturbed parameters put where they belong among all; ``fill`` elsewhere."""
        if part is None or not self.order.by_columns or not self._subset:
            return part
        whole = torch.full((len(part), parameters), fill, dtype=part.dtype, device=part.device)
        whole[:, self.columns] = part
        return whole

    def _others(self, parameters: int) -> torch.Tensor:
        mask = torch.ones(parameters, dtype=torch.bool, device=self.batch.device)
        mask[self.columns] = False
        return mask

    def _refuse_empty(self, moments: SmoothingMoments) -> None:
        least = self.order.least_units if self.independent and self.perturbation.replications == 1 else 1
        few = (moments.value.count < least).any(0).nonzero().reshape(-1).tolist()
        if few:
            left = int(moments.value.count[:, few[0]].min())
            where = "" if self.theta.ndim == 1 else f" at theta number {few[0]}"
            raise GradientError(
                f"objective {objective_name(self.objective)!r} was not finite in {int(moments.dropped[few[0]])} of "
                f"{self.units * len(self.signs)} rollouts{where}, and the {left} units left are too few for an "
                "estimate: use a smaller scale, more samples, or make the objective finite there"
            )

    def _add(self, moments: SmoothingMoments, block: Block) -> None:
        if block.keep is not None:
            moments.dropped += (~block.keep).double().sum(0) * len(self.signs)
        width = len(self.columns) * (len(self.columns) if self.with_scale else 1)
        step = max(1, _BLOCK // width)
        for replication, places in self.perturbation.pieces(block.first, len(block.values)):
            for low in range(places.start, places.stop, step):
                part = slice(low, min(low + step, places.stop))
                keep = None if block.keep is None else block.keep[part]
                values = block.values[part]
                moments.value.add(replication, values.mean(2, keepdim=True), keep)
                gradients = None if block.gradients is None else block.gradients[part]
                centre = self.centre() if self.order.wants_centre else None
                self.order.add(
                    moments, replication, block.draw.part(part), values, gradients, keep, centre, self.columns
                )

    def centre(self) -> torch.Tensor:
        """Values at theta itself, shape [T], computed once; float64."""
        if self._centre is None:
            most = rows_at_once(self.chunk, *self.batch.shape)
            self._centre = in_calls(partial(evaluate, self.objective), self.batch, most).double()
        return self._centre

    def _blocks(self, first: int, count: int) -> Iterator[Block]:
        """Rollouts in calls of at most ``chunk`` rows: whole units, or parts of one where the batch exceeds it."""
        thetas, signs = len(self.batch), torch.tensor(self.signs, dtype=self.batch.dtype, device=self.batch.device)
        limit = rows_at_once(self.chunk, count * thetas * len(signs), self.batch.shape[1])
        theta_step = min(thetas, max(1, limit // len(signs)))
        unit_step = max(1, limit // (thetas * len(signs)))
        for low in range(first, first + count, unit_step):
            size = min(unit_step, first + count - low)
            draw = self.perturbation.draw(low, size)
            moves = draw.moves.to(self.batch)
            if self._subset:
                some, moves = moves, torch.zeros(size, self.batch.shape[1], dtype=moves.dtype, device=moves.device)
                moves[:, self.columns] = some
            values, gradients = [], []
            for left in range(0, thetas, theta_step):
                part = self.batch[left : left + theta_step]
                rows = part[:, None] + signs[:, None] * moves[:, None, None]  # [units, thetas, signs, parameters]
                number = (low - first) * thetas * len(signs) + left * len(signs)
                value, gradient = self._roll_out(rows, number, count * thetas * len(signs))
                if self.tilt is not None:
                    slopes = self.tilt[left : left + theta_step, None].double()
                    value = value - ((rows - part[:, None]).double() * slopes).sum(-1)
                values.append(value)
                gradients.append(gradient)
            yield self._block(low, draw, values, gradients)

    def _block(self, first: int, draw: Draw, values: list[torch.Tensor], gradients: list[torch.Tensor | None]) -> Block:
        value = values[0] if len(values) == 1 else torch.cat(values, 1)
        known = [part for part in gradients if part is not None]
        gradient = None if not known else (known[0] if len(known) == 1 else torch.cat(known, 1))
        keep = None
        if self.drop:
            keep = torch.isfinite(value).all(2)
            if gradient is not None:
                keep = keep & torch.isfinite(gradient).all(3).all(2)
            keep = None if bool(keep.all()) else keep
        return Block(first, draw, value, gradient, keep)

    def _roll_out(self, rows: torch.Tensor, first: int, total: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        flat, shape, finite = rows.flatten(0, 2), rows.shape[:3], not self.drop
        name = objective_name(self.objective)
        if self.order.wants_gradients:
            costs, slopes = evaluate_with_gradient(self.objective, flat, finite=False)
            if finite:
                refuse_non_finite(name, flat, costs, "cost", first=first, total=total, advice=_ADVICE)
                refuse_non_finite(name, flat, slopes, "gradient", first=first, total=total, advice=_ADVICE)
            return costs.double().view(shape), slopes.double().view(rows.shape)
        wanted = len(self.batch) + len(flat)
        room = self.chunk is None and wanted <= rows_at_once(None, wanted, self.batch.shape[1])
        joined = self.order.wants_centre and self._centre is None and room
        costs = evaluate(self.objective, torch.cat([self.batch, flat]) if joined else flat, finite=False)
        if joined:
            self._centre, costs = costs[: len(self.batch)].double(), costs[len(self.batch) :]
            refuse_non_finite(name, self.batch, self._centre, "cost")
        if finite:
            refuse_non_finite(name, flat, costs, "cost", first=first, total=total, advice=_ADVICE)
        return costs.double().view(shape), None
