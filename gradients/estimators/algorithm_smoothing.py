"""Algorithm smoothing: the loss of the averaged outputs, in place of the average of the loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch

from ...plain import plain_numbers
from ..core.checks import as_batch, check_count
from ..core.error_bars import DEPENDENT, ErrorBar, spread_bar
from ..core.errors import GradientError
from ..core.interface import Estimate, Objective
from ..core.objective import assemble, objective_name, refuse_non_finite
from ..core.optional import optional
from ..statistics.jackknife import corrected, group_sizes, jackknife_variance
from .smoothing.estimator import Smoothing
from .smoothing.run import in_calls, rows_at_once

__all__ = ["AlgorithmSmoothing"]


@plain_numbers
@dataclass(frozen=True)
class AlgorithmSmoothing:
    """Gradient of loss(E outputs(theta + L w)) for an objective loss(outputs(theta)), by perturbed rollouts.

    The objective has ``outputs(theta)`` [batch, outputs] and ``loss(outputs)`` [batch], as the tasks do. *Loss
    smoothing* is what :class:`Smoothing` does: the gradient of E loss(outputs(theta + L w)). They differ wherever the
    loss is curved: for the loss |y - t|^2, loss smoothing also punishes the spread of y over the noise, algorithm
    smoothing only its mean (Petersen et al. 2024, section 2, "differentiating through the algorithm" or "the loss").
    Prefer it where the noise is a means and not part of the problem, where the loss is steeper than the outputs, or
    where one Jacobian serves many losses (see ``smoothed_jacobian``). With a linear loss they are the same.

    The mean of the outputs and its Jacobian are the score-function estimates of ``smoothing``, with its distribution,
    scale, sampling, pairs and baseline; the loss is differentiated exactly, by torch, at the estimated mean.

    *Bias.* This plug-in is biased in proportion to 1/samples, since the loss's slope and the Jacobian are estimated
    from the same samples: by sum_op loss''_op Cov(mean y_p, J_o), and by loss'''/2 times the variance of the mean.
    ``bias_correction`` takes it out by the delete-a-group jackknife, up to O(1/samples^2), and with nothing left for a
    quadratic loss, up to groups that differ by a unit. The value is corrected in the same way. The standard error is
    the same jackknife's: ``groups`` - 1 degrees of freedom. With dependent points the groups are the replications, and
    without replications there is neither a correction nor a standard error.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``outputs``, the mean [outputs];
    ``bias``, the jackknife's estimate of the plug-in's bias in each coordinate [parameters].
    """

    smoothing: Smoothing = field(default_factory=Smoothing)
    """Noise, samples, pairs and baseline; order ``"zeroth"``, all parameters, ``non_finite="refuse"``."""
    groups: int = 32
    """Groups of the jackknife, at most; one for each independent unit where these are fewer."""
    bias_correction: bool = True
    """Whether the bias of order 1/samples is taken out."""

    def __post_init__(self) -> None:
        s = self.smoothing
        if not isinstance(s, Smoothing):
            raise GradientError(f"smoothing is a {type(s).__name__}: give Smoothing(...)")
        if s.order != "zeroth" or s.parameters is not None or s.non_finite != "refuse":
            raise GradientError(
                'algorithm smoothing takes Smoothing(order="zeroth") of all parameters, with non_finite="refuse"'
            )
        check_count("groups", self.groups, 3, " (fewer say nothing of an error)")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        started = time.perf_counter()
        outputs, loss = _parts(objective)
        batch, single = as_batch(theta)
        sums, centre = self._measure(objective, outputs, batch, seed)
        value, gradient, mean = (part[0] for part in self._chain(objective, loss, sums.total(), centre))
        variance = value_variance = bias = None
        bar = ErrorBar(None, DEPENDENT)
        if len(sums.count) > 1:
            values, gradients, _ = self._chain(objective, loss, sums.without_each(), centre)
            variance, value_variance = jackknife_variance(gradients), jackknife_variance(values)
            better = corrected(gradient, gradients)
            bias = gradient - better
            if self.bias_correction:
                value, gradient = corrected(value, values), better
            bar = spread_bar(gradient, variance, len(gradients), epsilon=torch.finfo(batch.dtype).eps)
        signs = 2 if self.smoothing.antithetic else 1
        return assemble(
            batch,
            single,
            value=value,
            gradient=gradient,
            standard_error=None if variance is None else variance.sqrt(),
            evaluations=len(batch) * (int(sums.count.sum()) * signs + (centre is not None)),
            seconds=time.perf_counter() - started,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": None if variance is None else variance.sum(1),
                "value_standard_error": None if value_variance is None else value_variance.sqrt(),
                "outputs": mean,
                "bias": bias,
            },
            bar=bar,
        )

    def _groups(self, points: int, replications: int) -> list[int]:
        """Sizes of the groups of units."""
        if replications > 1:
            return [points] * replications
        if not self.smoothing.independent:
            return [points]
        return group_sizes(points, min(self.groups, points))

    def _measure(
        self, objective: Objective, outputs: Callable, batch: torch.Tensor, seed: int
    ) -> tuple[_Sums, torch.Tensor | None]:
        """Sums of each group, and the outputs at theta itself [T, K] where they are the baseline."""
        smoothing, thetas = self.smoothing, len(batch)
        perturbation = smoothing.perturbation(batch, seed=seed)
        signs = (1.0, -1.0) if smoothing.antithetic else (1.0,)
        sign = torch.tensor(signs, dtype=batch.dtype, device=batch.device)[:, None]
        centre = None
        if smoothing.baseline == "value" and not smoothing.antithetic:
            most = rows_at_once(smoothing.chunk, thetas, batch.shape[1])
            centre = in_calls(partial(_call, objective, outputs), batch, most)
        unit = thetas * len(signs)
        most = rows_at_once(smoothing.chunk, perturbation.units * unit, batch.shape[1])
        limit = max(1, most // unit)
        groups = self._groups(perturbation.points, perturbation.replications)
        edges = [0, *accumulate(groups)]
        sums: _Sums | None = None
        for first in range(0, perturbation.units, limit):
            count = min(limit, perturbation.units - first)
            draw = perturbation.draw(first, count)
            rows = batch[:, None] + sign * draw.moves.to(batch)[:, None, None]  # [units, T, signs, parameters]
            found = in_calls(partial(_call, objective, outputs), rows.flatten(0, 2), most).view(*rows.shape[:3], -1)
            scores = draw.scores()
            if sums is None:
                sums = _Sums.zeros(len(groups), found, batch.shape[1])
            for group, (low, high) in enumerate(pairwise(edges)):
                if low < first + count and high > first:
                    part = slice(max(low - first, 0), min(high - first, count))
                    sums.add(group, found[part], scores[part])
        assert sums is not None
        return sums, centre

    def _chain(
        self, objective: Objective, loss: Callable, sums: _Sums, centre: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Loss at the mean outputs [G, T], its gradient [G, T, parameters] and the mean [G, T, K], each group alone."""
        count = sums.count[:, None, None]
        mean = sums.even / count  # about the shift
        products, scores = sums.products, sums.scores[:, None, None]
        if self.smoothing.antithetic:
            jacobian = products / count[..., None]
        elif self.smoothing.baseline == "leave_one_out":
            least = 1.0 if self.smoothing.independent else 0.0
            jacobian = (products - mean[..., None] * scores) / (count[..., None] - least)
        else:
            constant = -sums.shift if centre is None else centre - sums.shift
            jacobian = (products - constant[..., None] * scores) / count[..., None]
        mean = mean + sums.shift
        value, slope = _loss_and_slope(objective, loss, mean.flatten(0, 1))
        gradient = torch.einsum("gtk,gtkp->gtp", slope.view(mean.shape), jacobian)
        return value.view(mean.shape[:2]), gradient, mean


@dataclass
class _Sums:
    """Sums over the units of G groups at T thetas, of K outputs y about a shift and d scores s; float64."""

    count: torch.Tensor
    """Units, shape [G]."""
    even: torch.Tensor
    """Sums of y - shift (with pairs, of the mean of both), shape [G, T, K]."""
    products: torch.Tensor
    """Sums of (y - shift) s^T (with pairs, of half the difference), shape [G, T, K, d]."""
    scores: torch.Tensor
    """Sums of s, shape [G, d]."""
    shift: torch.Tensor
    """The first outputs, shape [T, K]: constant outputs give sums of exactly zero."""

    @classmethod
    def zeros(cls, groups: int, first: torch.Tensor, parameters: int) -> _Sums:
        """Sums of nothing; the shift is the mean of the first unit [units, T, signs, K]."""
        shift = first[0].mean(1)
        even = shift.new_zeros(groups, *shift.shape)
        scores = shift.new_zeros(groups, parameters)
        return cls(shift.new_zeros(groups), even, even.new_zeros(*even.shape, parameters), scores, shift)

    def add(self, group: int, found: torch.Tensor, scores: torch.Tensor) -> None:
        """Add outputs [units, T, signs, K] with their scores [units, d]."""
        even = found.mean(2) - self.shift
        odd = even if found.shape[2] == 1 else 0.5 * (found[:, :, 0] - found[:, :, 1])
        self.count[group] += len(found)
        self.even[group] += even.sum(0)
        self.products[group] += torch.einsum("utk,up->tkp", odd, scores)
        self.scores[group] += scores.sum(0)

    def total(self) -> _Sums:
        """Sums of all groups together."""
        count, even, products, scores = self._whole()
        return _Sums(count[None], even[None], products[None], scores[None], self.shift)

    def without_each(self) -> _Sums:
        """Sums of all other groups, for each group."""
        count, even, products, scores = self._whole()
        return _Sums(count - self.count, even - self.even, products - self.products, scores - self.scores, self.shift)

    def _whole(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.count.sum(0), self.even.sum(0), self.products.sum(0), self.scores.sum(0)


def _parts(objective: Any) -> tuple[Callable, Callable]:
    outputs, loss = optional(objective, "outputs"), optional(objective, "loss")
    if not (callable(outputs) and callable(loss)):
        raise GradientError(
            f"objective {objective_name(objective)!r} has no outputs(theta) and loss(outputs), whose average is to be "
            "taken in between: give it both, or use Smoothing, which averages the cost"
        )
    return outputs, loss


def _call(objective: object, outputs: Callable, rows: torch.Tensor) -> torch.Tensor:
    """Outputs [n, K] of rows [n, parameters], float64, checked."""
    with torch.no_grad():
        found = outputs(rows)
    name = f"{objective_name(objective)}.outputs"
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(rows):
        shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise GradientError(f"{name} returned {shape} for {len(rows)} rows: return a torch tensor [batch, outputs]")
    refuse_non_finite(name, rows, found, "output")
    return found.detach().double()


def _loss_and_slope(objective: object, loss: Callable, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses [n] and their exact gradients [n, K] at outputs [n, K]."""
    leaf = mean.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = loss(leaf)
        name = f"{objective_name(objective)}.loss"
        if not isinstance(value, torch.Tensor) or value.shape != mean.shape[:1]:
            shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise GradientError(f"{name} returned {shape} for outputs of shape {list(mean.shape)}: return [batch]")
        if not value.requires_grad:
            raise GradientError(
                f"{name} is not differentiable by torch, and algorithm smoothing differentiates it exactly: write it "
                "in torch operations, or use Smoothing, which averages the cost and needs only its values"
            )
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    refuse_non_finite(name, mean, value.detach(), "loss")
    refuse_non_finite(name, mean, slope, "gradient")
    return value.detach(), slope
