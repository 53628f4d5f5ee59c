"""A surrogate of the objective that is fitted once and evaluated many times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ...first_order import numbers_only, refuse_transforms
from ...plain import plain_numbers
from ..core.checks import Scale, as_batch, check_scale
from ..core.error_bars import SHARED_BY_FITS, ErrorBar
from ..core.errors import GradientError
from ..core.estimated import LIMITS, NUMBERS, Estimated
from ..core.interface import Estimate, Objective
from ..core.objective import assemble
from ..noise.counter_random import derive_seed
from ..noise.distributions import Gaussian
from .data import Identity, RegionData, draw_data
from .fit import Fit, FitOptions, FitReport, fit_costs
from .options import SurrogateOptions
from .progress import ProgressCallback, reporter
from .regions import Region
from .stored_fit import write_fit

__all__ = ["FittedSurrogate", "fit_surrogate"]

POINTS = 64
"""Points of the average over noise; of push from apart it is then right to 19 %, with 128 to 13 %, with 256 to 9 %."""

_ROWS = 2**15  # rows in one pass of the networks


@plain_numbers
def fit_surrogate(
    objective: Objective,
    region: Region,
    *,
    samples: int = 1024,
    hidden: Sequence[int] = (64, 64),
    ensemble: int = 4,
    steps: int = 1000,
    learning_rate: float = 0.01,
    patience: int = 200,
    validation: float = 0.15,
    held_out: float = 0.15,
    smoothing: Scale | None = None,
    outside: str = "refit",
    regions_kept: int = 4,
    chunk: int = 1024,
    seed: int = 0,
    progress: bool | ProgressCallback | None = None,
) -> FittedSurrogate:
    """Fit an ensemble of small networks to the objective's cost over a region of its parameters.

    ``samples`` rollouts at points of the region, then full-batch Adam; see :class:`FittedSurrogate` for the result.

    Args:
        objective: Any callable [batch, parameters] -> [batch].
        region: ``Cloud(theta, scale)`` or ``Box(low, high)``.
        samples: Rollouts; at least 20 and 4 (parameters + 1).
        hidden: Widths of the hidden layers.
        ensemble: Networks, at least 2.
        steps: Most training steps.
        learning_rate: First learning rate of Adam; it falls to 0 along a cosine.
        patience: Steps without a better validation error after which a network is done.
        validation: Share of the data that stops the training of a network, drawn anew for each.
        held_out: Share of the data that no network is fitted to, on which the fit is measured.
        smoothing: Standard deviation of the noise over which ``estimate`` averages the fit's value and slope, one
            number or one per coordinate; 0 for the slope at theta itself. None: the scale of a Cloud, 0 for a Box.
        outside: Behaviour of ``estimate`` at a theta outside the region: ``"refit"`` anew in a region of the same size
            about theta, ``"extend"`` the data by such a region and fit to all of them, ``"refuse"`` with an error, or
            ``"report"`` only (``inside_data`` is False) and extrapolate.
        regions_kept: Most regions whose data ``"extend"`` keeps; the oldest go first.
        chunk: Most rollouts in one call of the objective.
        seed: Seed of points, starts and splits.
        progress: True for a bar on the terminal, or a function that takes each ``Progress``.

    Raises:
        GradientError: A bad option, too few samples, a cost that is the same everywhere or not finite.
    """
    networks = FitOptions(tuple(hidden), ensemble, steps, learning_rate, patience, validation, held_out)
    if smoothing is None:
        smoothing = region.smoothing or 0.0
    options = SurrogateOptions(check_scale(smoothing, allow_zero=True), outside, regions_kept, chunk, seed)
    data = draw_data(objective, region, samples, chunk=chunk, seed=seed, progress=progress)
    identity = Identity.of(objective, data.points.shape[1])
    return FittedSurrogate(identity, (data,), networks, options, progress=progress)


class FittedSurrogate:
    """A fitted objective: a backend whose gradient costs no rollout, and an objective with an exact gradient.

    Made by :func:`fit_surrogate` or :func:`load_surrogate`. As a *backend*, ``estimate(objective, theta)`` gives value
    and slope of the ensemble's mean, averaged over Gaussian noise of scale ``smoothing`` on theta (64 Sobol points):
    the gradient of the smoothed cost, up to the error of the fit. With ``smoothing=0`` it is the slope at theta, the
    exact gradient where the networks can follow the cost and, across a jump, nothing definite. Prefer it where the
    same neighbourhood or box is evaluated many times.

    Its error is an unknown bias: read ``held_out_error`` (0: explains all, 1: nothing). There is no
    error bar, and ``gradient_spread``, the standard deviation of the gradient over the ensemble, is none: it does not
    include the error that all networks share. For a gradient without bias use it in a :class:`ControlVariate`.

    As an *objective* (call, ``value_and_gradient``) it is the fit at theta and nothing else: not averaged, never
    refitted, evaluated outside its region without an error.

    Diagnostics of an estimate: ``held_out_error``, ``held_out_r2``; ``gradient_spread`` [parameters]; ``inside_data``,
    whether theta lies in a region with data (after a refit: True); ``refits``, ``extensions`` and ``rollouts`` so far,
    the first fit's rollouts included; ``finite``. ``evaluations`` are the rollouts of this call: 0 but for a refit.

    Attributes:
        fit: Plane and networks.
        data: Rollouts that it was fitted to, region by region.
        refits: Number of refits so far.
        extensions: Number of extensions so far.
        rollouts: All rollouts so far.
    """

    def __init__(
        self,
        identity: Identity,
        data: tuple[RegionData, ...],
        networks: FitOptions,
        options: SurrogateOptions,
        *,
        progress: bool | ProgressCallback | None = None,
        fit: Fit | None = None,
    ) -> None:
        self.identity, self.data, self.networks, self.options = identity, data, networks, options
        self.progress = progress
        self.refits = self.extensions = 0
        self.rollouts = sum(len(part.costs) for part in data)
        self.name = f"surrogate of {identity.name}"
        if identity.parameter_names is not None:
            self.parameter_names = identity.parameter_names
        self._noise = _noise(options.smoothing, identity.parameters)
        self._whitened: tuple[Fit, torch.Tensor] | None = None
        self.fit = self._fit() if fit is None else fit

    @property
    def report(self) -> FitReport:
        """Quality of the present fit."""
        return self.fit.report

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions of its data."""
        return tuple(part.region for part in self.data)

    def inside(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether each row of theta [batch, parameters] lies in a region with data, bool [batch]."""
        return torch.stack([region.contains(theta) for region in self.regions]).any(0)

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Value and slope of the fit at ``theta`` ([parameters] or [batch, parameters]).

        ``seed`` is that of the rollouts of a refit; without one the estimate does not depend on it.

        Raises:
            GradientError: Another objective than the one fitted; a theta outside with ``outside="refuse"``; a batch
                that no region of the size of the last one covers.
        """
        start = time.perf_counter()
        batch, single = as_batch(theta)
        self.identity.check(objective, batch.shape[1])
        inside = self.inside(batch)
        spent = 0
        if self.options.outside != "report" and not bool(inside.all()):
            spent = self._refresh(objective, batch, inside, seed)
            inside = self.inside(batch)
        values, gradients = self._smoothed(batch)
        spread = gradients.std(0).to(batch.device)
        gradient = gradients.mean(0).to(batch.device)
        return assemble(
            batch,
            single,
            value=values.mean(0).to(batch.device),
            gradient=gradient,
            standard_error=None,
            evaluations=spent,
            seconds=time.perf_counter() - start,
            diagnostics={
                "held_out_error": self.report.held_out_error,
                "held_out_r2": self.report.held_out_r2,
                "gradient_spread": spread,
                "inside_data": inside,
                "finite": torch.isfinite(gradient).all(1),
                "refits": self.refits,
                "extensions": self.extensions,
                "rollouts": self.rollouts,
            },
            bar=ErrorBar(None, SHARED_BY_FITS),
        )

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and gradients [batch, parameters] of the fit at theta [batch, parameters]."""
        batch, single = as_batch(theta)
        if single or batch.shape[1] != self.identity.parameters:
            raise GradientError(
                f"theta has shape {list(theta.shape)}: {self.name} takes [batch, {self.identity.parameters}]"
            )
        parts = [self.fit.values_and_gradients(rows) for rows in batch.split(_ROWS)]
        found = tuple(torch.cat([part[i].mean(0) for part in parts]).to(batch) for i in (0, 1))
        values, gradients = numbers_only(NUMBERS, found, (theta,))
        return values, gradients

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs [batch] of the fit; differentiable by torch, once: a second derivative is refused."""
        refuse_transforms(LIMITS, theta)
        values: torch.Tensor = Estimated.apply(self.value_and_gradient, theta)[0]
        return values

    def with_options(self, **changes: object) -> FittedSurrogate:
        """The same fit with other ``SurrogateOptions``, e.g. ``outside="refuse"`` or ``smoothing=0``."""
        options = replace(self.options, **changes)  # type: ignore[arg-type]
        other = FittedSurrogate(self.identity, self.data, self.networks, options, progress=self.progress, fit=self.fit)
        other.refits, other.extensions, other.rollouts = self.refits, self.extensions, self.rollouts
        return other

    def save(self, path: str | Path) -> None:
        """Write weights and data to ``path`` (.npz), whole or not at all; :func:`load_surrogate` reads it."""
        write_fit(path, self)

    def _smoothed(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Each member's value [members, batch] and slope [members, batch, parameters], averaged over the noise."""
        if self._noise is None:
            return self.fit.values_and_gradients(batch)
        if self._whitened is None or self._whitened[0] is not self.fit:
            self._whitened = (self.fit, (self._noise / self.fit.spread).float())
        noise = self._whitened[1]
        parts = [self.fit.values_and_gradients(rows, noise) for rows in batch.split(max(1, _ROWS // len(noise)))]
        if len(parts) == 1:
            return parts[0]
        return torch.cat([values for values, _ in parts], 1), torch.cat([gradients for _, gradients in parts], 1)

    def _fit(self) -> Fit:
        points = torch.cat([part.points for part in self.data])
        costs = torch.cat([part.costs for part in self.data])
        eps = max(part.eps for part in self.data)
        seed = derive_seed(self.options.seed, "fit", self.refits + self.extensions)
        with reporter(self.progress) as report:
            return fit_costs(points, costs, self.networks, seed=seed, eps=eps, on_progress=report)

    def _refresh(self, objective: Objective, batch: torch.Tensor, inside: torch.Tensor, seed: int) -> int:
        """New data about the thetas that are outside, and a new fit; the number of rollouts."""
        rows = (~inside).nonzero().reshape(-1).tolist()
        if self.options.outside == "refuse":
            raise GradientError(
                f"{len(rows)} of {len(batch)} thetas lie outside the region of the {self.name} (first: row {rows[0]}), "
                'and it was fitted with outside="refuse". Fit a larger region, or use outside="refit" or "extend"'
            )
        extend = self.options.outside == "extend"
        last = self.data[-1]
        region = last.region.moved((batch[rows] if extend else batch).double().cpu().mean(0))
        covered = region.contains(batch) | (inside.cpu() & extend)
        if not bool(covered.all()):
            raise GradientError(
                f"the {len(batch)} thetas of the batch lie too far apart for one region of the {self.name}: a region "
                "about their mean does not contain them all. Fit a larger region (a Box around all of them), or give "
                "the thetas one by one"
            )
        count = len(last.costs)
        new = draw_data(
            objective,
            region,
            count,
            chunk=self.options.chunk,
            seed=derive_seed(seed, "refresh", self.rollouts),
            progress=self.progress,
        )
        before = self.data, self.refits, self.extensions, self.rollouts
        self.data = (*self.data, new)[-self.options.regions_kept :] if extend else (new,)
        self.refits += not extend
        self.extensions += extend
        self.rollouts += count
        try:
            self.fit = self._fit()
        except BaseException:  # Ctrl-C too: the counts decide the seeds of the next fit
            self.data, self.refits, self.extensions, self.rollouts = before
            raise
        return count

    def __repr__(self) -> str:
        return (
            f"FittedSurrogate({self.identity.name!r}, samples={self.report.samples}, "
            f"held_out_error={self.report.held_out_error:.4f})"
        )


def _noise(smoothing: float | tuple[float, ...], parameters: int) -> torch.Tensor | None:
    """Sobol points of the Gaussian [POINTS, parameters], scaled; None for no smoothing."""
    if not smoothing:
        return None
    scale = torch.tensor(smoothing, dtype=torch.float64, device="cpu")
    if scale.ndim and len(scale) != parameters:
        raise GradientError(f"smoothing has {len(scale)} entries, the objective {parameters} parameters: give as many")
    if parameters > torch.quasirandom.SobolEngine.MAXDIM:
        raise GradientError(
            f"smoothing needs at most {torch.quasirandom.SobolEngine.MAXDIM} parameters: use smoothing=0"
        )
    points = torch.quasirandom.SobolEngine(parameters, scramble=True, seed=0).draw(POINTS, dtype=torch.float64)
    return scale * Gaussian().sample(points.clamp(1e-9, 1.0 - 1e-9))
