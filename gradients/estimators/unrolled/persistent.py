"""Persistent evolution strategies: noise that is fresh in every window, scores that are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ....plain import plain_numbers
from ...core.checks import as_batch, check_count
from ...core.error_bars import judged, of_samples
from ...core.errors import GradientError
from ...core.interface import Estimate, Objective
from ...core.objective import assemble
from ...core.unrolled import unrolled
from ...noise.scale import check_scale_map
from .window_noise import WindowNoise

__all__ = ["PersistentES"]


@plain_numbers
@dataclass(frozen=True)
class PersistentES:
    """Zeroth order with noise that is fresh in every window of steps (Vicol, Metz, Sohl-Dickstein 2021).

    A rollout runs under theta + L w_i in window i, w_i standard normal and independent, the first state under the
    noise of the first window. With C_i the costs of window i, the gradient of

        F(theta) = E sum over i of C_i(theta + L w_1, ..., theta + L w_i)

    is E sum over i of C_i L^-T (w_1 + ... + w_i): a cost is weighed by all scores that led to it, which makes it
    unbiased over the whole horizon. (Without the sum it would be truncated evolution strategies, biased as
    ``Truncated`` is.) Values alone are needed; every rollout comes with its mirror image, of all w_i the negative.

    F is *not* the average of ``Smoothing``, unless ``window`` is the horizon or more: then both are the same, to the
    bit of the noise. With shorter windows a parameter that acts in many steps is perturbed afresh in each, which
    averages its noise out: F is closer to f, at a variance that grows with the number of windows in front of a cost. A
    parameter that enters one window alone (the first state, a control) gets no more noise than by ``Smoothing``, but
    the scores of all other windows too: use ``Smoothing`` there.

    The published method takes a step of theta after each window, and keeps particles and scores on the way; the bias
    that follows from the moving theta is not here: theta stays, and an estimate takes whole rollouts. The noise is
    Gaussian.

    Diagnostics: ``finite``; ``trace_variance``; ``value_standard_error``; ``horizon``, ``window`` (at most the horizon)
    and ``windows``; ``zero_share``, the share of pairs that contribute exactly nothing.

    Raises:
        GradientError: The objective is not unrolled; a cost is not finite.
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Noise scale L in the units of theta: one number, one per coordinate, or a matrix. Kept as plain numbers."""
    samples: int = 256
    """Rollouts per theta, an even number: pairs."""
    window: int = 10
    """Steps under the same noise."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale_map(self.scale))
        check_count("window", self.window, 1)
        check_count("samples", self.samples, 4, " (two pairs, so that there is a standard error)")
        if self.samples % 2:
            raise GradientError(f"samples is {self.samples}: pairs need an even number, e.g. {self.samples + 1}")

    @torch.no_grad()
    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value of F and its gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        started = time.perf_counter()
        batch, single = as_batch(theta)
        steps = unrolled(objective)
        pairs, thetas = self.samples // 2, len(batch)
        windows = -(-steps.horizon // self.window)
        noise = WindowNoise.of(self.scale, batch, windows=windows, rows=pairs, seed=seed)  # type: ignore[arg-type]
        scores = torch.zeros(pairs, 1, batch.shape[1], dtype=torch.float64, device=batch.device)
        odd = torch.zeros(pairs, thetas, batch.shape[1], dtype=torch.float64, device=batch.device)
        total = torch.zeros(2, pairs, thetas, dtype=torch.float64, device=batch.device)
        rows = state = None
        for step in range(steps.horizon):
            if step % self.window == 0:
                moves, own = noise.window(step // self.window)
                scores = scores + own[:, None]
                both = torch.stack([moves, -moves])[:, :, None]
                rows = (batch.double() + both).to(batch).reshape(-1, batch.shape[1])
            assert rows is not None
            if state is None:
                state = steps.first(rows)
            after = steps.advance(state, rows, step)
            cost = steps.paid(state, after, rows, step).double().reshape(2, pairs, thetas)
            state = after
            total += cost
            odd += 0.5 * (cost[0] - cost[1])[..., None] * scores
        gradient, variance = odd.mean(0), odd.var(0) / pairs
        values = total.mean(0)
        return assemble(
            batch,
            single,
            value=values.mean(0),
            gradient=gradient,
            standard_error=variance.sqrt(),
            evaluations=self.samples * thetas,
            seconds=time.perf_counter() - started,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": variance.sum(1),
                "value_standard_error": (values.var(0) / pairs).sqrt(),
                "zero_share": (odd == 0).all(-1).double().mean(0),
                "horizon": steps.horizon,
                "window": min(self.window, steps.horizon),
                "windows": windows,
            },
            bar=judged(
                gradient,
                variance,
                of_samples(odd.transpose(0, 1)),
                pairs,
                epsilon=torch.finfo(batch.dtype).eps,
                events=(odd != 0).sum(0),
                what="pairs",
            ),
        )
