"""Jacobian of a vector-valued black box averaged over noise: every output shares the rollouts of all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from ...plain import plain_numbers
from ..core.checks import as_batch
from ..core.error_bars import DEPENDENT, ErrorBar, judged
from ..core.errors import GradientError
from ..core.interface import Estimate
from ..core.objective import assemble, objective_name, refuse_non_finite
from ..statistics.moments import CovarianceMoments, MeanMoments
from ..statistics.smoothing_moments import SmoothingMoments
from .smoothing.estimator import Smoothing
from .smoothing.run import CountCallback, in_calls, rows_at_once

__all__ = ["smoothed_jacobian"]


@plain_numbers
def smoothed_jacobian(
    outputs: Callable[[torch.Tensor], torch.Tensor],
    theta: torch.Tensor,
    smoothing: Smoothing,
    *,
    seed: int = 0,
    with_scale: bool = False,
    progress: CountCallback | None = None,
) -> tuple[Estimate, Estimate | None]:
    """Zeroth-order Jacobian of E y(theta + L w), for ``outputs`` y: [n, parameters] -> [n, K] (a map of rows).

    For theta [parameters] the estimate has ``value`` [K], ``gradient`` [K, parameters] and a ``standard_error`` of that
    shape; with a batch first for theta [batch, parameters], whose rows share their noise. The second estimate, with
    ``with_scale``, has the derivative with respect to the scale: K, then the shape of the scale. All fields of
    ``smoothing`` hold as for a cost, but order ``"first"``, ``parameters`` and ``non_finite="drop"`` are refused.
    """
    started = time.perf_counter()
    if smoothing.order != "zeroth" or smoothing.parameters is not None or smoothing.non_finite != "refuse":
        raise GradientError(
            'a smoothed Jacobian takes Smoothing(order="zeroth") of all parameters, with non_finite="refuse"'
        )
    batch, single = as_batch(theta)
    thetas, parameters = batch.shape
    perturbation = smoothing.perturbation(batch, seed=seed)
    order, signs = smoothing.zeroth_order(with_scale=with_scale), (1.0, -1.0) if smoothing.antithetic else (1.0,)
    sign = torch.tensor(signs, dtype=batch.dtype, device=batch.device)[:, None]
    unit = thetas * len(signs)
    most = rows_at_once(smoothing.chunk, perturbation.units * unit, parameters)
    step = max(1, most // unit)
    run = partial(_outputs, outputs)
    centre = in_calls(run, batch, most).flatten()[None] if order.wants_centre else None  # [1, thetas * K]
    columns = torch.arange(parameters, device=batch.device)
    moments: SmoothingMoments | None = None
    total = perturbation.units * thetas * len(signs)
    for first in range(0, perturbation.units, step):
        count = min(step, perturbation.units - first)
        draw = perturbation.draw(first, count)
        rows = batch[:, None] + sign * draw.moves.to(batch)[:, None, None]  # [units, thetas, signs, parameters]
        found = in_calls(run, rows.flatten(0, 2), most).view(count, thetas, len(signs), -1)
        found = found.transpose(2, 3).flatten(1, 2)  # [units, thetas * K, signs]
        if moments is None:
            moments = order.empty(
                perturbation.replications, found.shape[1], parameters, perturbation.scale, batch.device
            )
        for replication, places in perturbation.pieces(first, count):
            moments.value.add(replication, found[places].mean(2, keepdim=True))
            order.add(moments, replication, draw.part(places), found[places], None, None, centre, columns)
        if progress is not None:
            progress((first + count) * thetas * len(signs), total)
    assert moments is not None
    independent = smoothing.independent
    value, spread = moments.value.estimate(independent=independent)

    def estimate(sums: MeanMoments | CovarianceMoments, shape: tuple[int, ...]) -> Estimate:
        gradient, variance = sums.estimate(independent=independent)
        whole = (thetas, len(value) // thetas)
        bar = ErrorBar(None, DEPENDENT)
        if variance is not None:
            bar = judged(
                gradient,
                variance,
                sums.degrees(),
                perturbation.units if perturbation.replications == 1 else perturbation.replications,
                epsilon=torch.finfo(batch.dtype).eps,
                events=sums.events(),
            )
            assert bar.degrees is not None
            bar = replace(bar, degrees=bar.degrees.view(*whole, *shape))
        return assemble(
            batch,
            single,
            value=value.view(whole),
            gradient=gradient.view(*whole, *shape),
            standard_error=None if variance is None else variance.sqrt().view(*whole, *shape),
            evaluations=total + (thetas if order.wants_centre else 0),
            seconds=time.perf_counter() - started,
            diagnostics={"value_standard_error": None if spread is None else spread[:, 0].sqrt().view(whole)},
            bar=bar,
        )

    return (
        estimate(moments.gradient, (parameters,)),
        None if moments.scale is None else estimate(moments.scale, perturbation.scale.shape),
    )


def _outputs(outputs: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = outputs(rows)
    name = objective_name(outputs)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(rows):
        shape = list(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise GradientError(
            f"{name!r} returned {shape} for inputs of shape {list(rows.shape)}: return a torch tensor [batch, outputs]"
        )
    refuse_non_finite(name, rows, found, "result")
    return found.detach().double()
