"""Bundled dynamics: the A and B matrices of one step averaged over noise on its state and control."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ...plain import plain_numbers
from ..core.bundle_checks import knots, plain_scale, spread_scale
from ..core.checks import Scale, check_count, suggest
from ..core.errors import GradientError
from ..core.step_calls import Step, evaluate_step, evaluate_step_jacobian
from ..noise.counter_random import draw_uniforms
from ..noise.distributions import Distribution, resolve_distribution
from ..statistics.moments import MeanMoments
from ..statistics.regression import least_squares

__all__ = ["Bundle", "Bundling"]

ORDERS = ("first", "zeroth")


@dataclass(frozen=True)
class Bundle:
    """The linear model x+ = next_state + A dx + B du of a smoothed step, at each of K knots, with its error bars.

    The fields have the shapes given here for states of shape [K, n]; for a single state [n] they lack the K.
    """

    A: torch.Tensor
    """Derivative of the smoothed next state by the state, [K, n, n]."""
    B: torch.Tensor
    """Derivative of the smoothed next state by the control, [K, n, m]."""
    next_state: torch.Tensor
    """The smoothed next state: the mean over the samples, [K, n]."""
    A_error: torch.Tensor
    """Standard error of A, [K, n, n]; zero in columns that were given."""
    B_error: torch.Tensor
    """Standard error of B, [K, n, m]."""
    next_state_error: torch.Tensor
    """Standard error of the next state, [K, n]."""
    evaluations: int
    """Steps evaluated, over all knots; a step with its Jacobian counts once."""
    seconds: float
    """Wall time [s]."""


@plain_numbers
@dataclass(frozen=True)
class Bundling:
    """A and B of E step(x + state_scale w, u + control_scale w'), one model a knot of a trajectory, all in one batch.

    ``order="first"`` is the mean of exact Jacobians at the perturbed points; ``order="zeroth"`` the least-squares fit
    of the next state's change on the perturbations, which needs only the step itself (Suh, Pang, Tedrake, "Bundled
    Gradients through Contact via Randomized Smoothing", 2021). Prefer first order where a Jacobian is at hand and
    the step is continuous, as a time step with contact is: its error does not grow with the number of coordinates.
    Across a jump of the step first order is biased, and its standard error does not show it. The fit is consistent for
    the derivative of the *Gaussian*-smoothed step; under another noise it converges to cov(w, step) / var(w), which
    is that derivative only for a step that is linear or quadratic over the cloud. With few samples it has a bias
    of order 1/samples, below its standard error; the error bar is right on average, but where the step is strongly
    curved over the cloud the error is skewed, and multiples of the error bar are met more often than for a normal one.

    Coordinates with a scale of zero are not perturbed. Zeroth order then has no data for their columns: pass
    ``known_A``. For a quasi-dynamic system smoothed over u alone the paper takes the identity on the coordinates that
    are not actuated and zero elsewhere, ``known_A=torch.diag(unactuated)``.

    Knots have independent noise, the same for any ``chunk``.
    """

    state_scale: Scale = 0.0
    """Noise scale of the states, one number or one per coordinate, in their units; zero: not perturbed."""
    control_scale: Scale = 0.02
    """Noise scale of the controls, likewise."""
    samples: int = 100
    """Perturbed steps a knot; with antithetic pairs an even number."""
    order: str = "first"
    """``"first"`` or ``"zeroth"``."""
    distribution: str | Distribution = "gaussian"
    """Name or instance of a noise distribution."""
    antithetic: bool = True
    """Whether every w comes with -w: what is even in w then cancels exactly."""
    intercept: bool = True
    """Zeroth order without pairs: False fits the change from the unperturbed step, one more evaluation."""
    chunk: int | None = None
    """Most rows in one call of the step; None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "state_scale", plain_scale("state_scale", self.state_scale))
        object.__setattr__(self, "control_scale", plain_scale("control_scale", self.control_scale))
        scales = np.ravel(self.state_scale), np.ravel(self.control_scale)
        if not any((scale > 0.0).any() for scale in scales):
            raise GradientError(
                "state_scale and control_scale are both zero, so nothing is perturbed: give a positive scale, or call "
                "the step's own step_jacobian for the Jacobian without smoothing"
            )
        if self.order not in ORDERS:
            raise GradientError(suggest("order", self.order, ORDERS))
        distribution = resolve_distribution(self.distribution)
        if self.antithetic and not distribution.symmetric:
            raise GradientError(
                f"antithetic pairs need a symmetric distribution, and {distribution.name} is not: use antithetic=False"
            )
        if self.order == "zeroth" and math.isinf(getattr(distribution, "variance", 1.0)):
            raise GradientError(
                f'{distribution.name} noise has no variance, so a fit\'s slope has no limit: use order="first", or '
                'a distribution with a variance, e.g. "gaussian"'
            )
        if self.antithetic:
            check_count("samples", self.samples, 4, " (two antithetic pairs, so that there is a standard error)")
            if self.samples % 2:
                raise GradientError(f"samples is {self.samples}: antithetic pairs need an even number")
        else:
            check_count("samples", self.samples, 2, " (one has no standard error)")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)

    def bundle(
        self,
        step: Step,
        states: torch.Tensor,
        controls: torch.Tensor,
        *,
        known_A: torch.Tensor | None = None,
        seed: int = 0,
    ) -> Bundle:
        """A, B and the smoothed next state at every knot; same seed, same result.

        Args:
            step: States [batch, n] and controls [batch, m] to next states [batch, n]; for first order with
                ``step_jacobian``, or differentiable by torch.
            states: [n] or [K, n].
            controls: [m] or [K, m].
            known_A: [n, n] or [K, n, n]; zeroth order takes the columns of unperturbed coordinates from it.
            seed: Seed of the noise.

        Raises:
            GradientError: Bad shapes or numbers, a step that returns such, too few samples for a fit, unperturbed
                coordinates in zeroth order without ``known_A``.
        """
        start = time.perf_counter()
        single = isinstance(states, torch.Tensor) and states.ndim == 1
        x, u = knots("states", states), knots("controls", controls)
        if len(x) != len(u) or (u.dtype, u.device) != (x.dtype, x.device):
            raise GradientError(
                f"states are {list(states.shape)} {x.dtype} on {x.device} and controls {list(controls.shape)} "
                f"{u.dtype} on {u.device}: give one row of each per knot, of one type and on one device"
            )
        centre = torch.cat([x, u], dim=1)
        spread_x = spread_scale("state_scale", self.state_scale, x)
        scale = torch.cat([spread_x, spread_scale("control_scale", self.control_scale, u)])
        known = self._known(known_A, x, scale)
        n = x.shape[1]
        jacobian, error, mean, mean_error, extra = (
            self._zeroth(step, centre, n, scale, known, seed)
            if self.order == "zeroth"
            else self._first(step, centre, n, scale, seed)
        )

        def finish(part: torch.Tensor) -> torch.Tensor:
            return part.to(x)[0] if single else part.to(x)

        return Bundle(
            A=finish(jacobian[..., :n]),
            B=finish(jacobian[..., n:]),
            next_state=finish(mean),
            A_error=finish(error[..., :n]),
            B_error=finish(error[..., n:]),
            next_state_error=finish(mean_error),
            evaluations=len(x) * self.samples + extra,
            seconds=time.perf_counter() - start,
        )

    @property
    def _signs(self) -> tuple[float, ...]:
        return (1.0, -1.0) if self.antithetic else (1.0,)

    @property
    def _units(self) -> int:
        return self.samples // len(self._signs)

    def _rows(
        self, centre: torch.Tensor, scale: torch.Tensor, seed: int
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Blocks of the table knots x units with their perturbed rows [knots, units, signs, n + m].

        A block is whole knots where ``chunk`` allows, else units of one knot; a pair stays together.
        """
        count, signs = len(centre), torch.tensor(self._signs, dtype=centre.dtype, device=centre.device)[:, None]
        limit = max(len(signs), count * self.samples if self.chunk is None else self.chunk)
        wide = max(1, limit // self.samples)
        deep = self._units if limit >= self.samples else limit // len(signs)
        for low in range(0, count, wide):
            some = slice(low, min(low + wide, count))
            for left in range(0, self._units, deep):
                units = slice(left, min(left + deep, self._units))
                moves = torch.stack([self._noise(seed, k, units, scale) for k in range(some.start, some.stop)])
                moves = (scale * moves.to(scale.device)).to(centre)
                yield some, units, centre[some, None, None] + signs * moves[:, :, None]

    def _noise(self, seed: int, knot: int, units: slice, scale: torch.Tensor) -> torch.Tensor:
        first = knot * self._units + units.start
        uniforms = draw_uniforms(seed, "bundle", first=first, rows=units.stop - units.start, columns=len(scale))
        return resolve_distribution(self.distribution).sample(uniforms)

    def _first(
        self, step: Step, centre: torch.Tensor, n: int, scale: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]:
        """Means and standard errors of the Jacobians [K, n, n + m] and of the next states [K, n]; no extra step."""
        size, parts = centre.shape[1], []
        for _, units, rows in self._rows(centre, scale, seed):
            flat = rows.flatten(0, 2)
            after, a, b = evaluate_step_jacobian(step, flat[:, :n], flat[:, n:])
            joined = torch.cat([a, b, after[:, :, None]], dim=2).view(*rows.shape[:3], -1)
            if units.start == 0:
                parts.append(MeanMoments.zeros(1, len(rows), n * (size + 1), centre.device))
            parts[-1].add(0, joined.double().mean(2).transpose(0, 1))
        estimates = [part.estimate(independent=True) for part in parts]
        mean = torch.cat([mean for mean, _ in estimates]).view(-1, n, size + 1)
        error = torch.cat([variance for _, variance in estimates if variance is not None]).sqrt().view(mean.shape)
        return mean[..., :-1], error[..., :-1], mean[..., -1], error[..., -1], 0

    def _zeroth(
        self, step: Step, centre: torch.Tensor, n: int, scale: torch.Tensor, known: torch.Tensor | None, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]:
        """Slopes and standard errors [K, n, n + m], the mean next states [K, n] and theirs, and the extra steps."""
        count, size = centre.shape
        perturbed = scale > 0
        p, intercept = int(perturbed.sum()), self.intercept and not self.antithetic
        if self._units < p + intercept + 2:
            least = (p + intercept + 2) * len(self._signs)
            raise GradientError(
                f"samples is {self.samples}: a fit of {p} perturbed coordinates with error bars needs at least "
                f'{least}; order="first" needs only a few'
            )
        signs = len(self._signs)
        moves = torch.empty(count, self._units, size, dtype=torch.float64, device=centre.device)
        values = torch.empty(count, self._units, signs, n, dtype=torch.float64, device=centre.device)
        for some, units, rows in self._rows(centre, scale, seed):
            flat = rows.flatten(0, 2)
            after = evaluate_step(step, flat[:, :n], flat[:, n:])
            values[some, units] = after.double().view(*rows.shape[:3], n)
            exact = rows.double()  # the perturbation as it was rounded
            moved = exact - centre[some, None, None].double() if signs == 1 else exact.diff(dim=2) / -2
            moves[some, units] = moved[:, :, 0]
        offset = values[:, :1, :1]
        shifted = values - offset
        means = shifted.mean(2)
        extra = 0
        if signs == 2:
            changes = -shifted.diff(dim=2)[:, :, 0] / 2
        elif intercept:
            changes = means
        else:
            base = torch.cat(
                [evaluate_step(step, part[:, :n], part[:, n:]) for part in centre.split(self.chunk or count)]
            )
            changes, extra = values[:, :, 0] - base.double()[:, None], count
        slopes, errors, rank = least_squares(moves[..., perturbed], changes, intercept=intercept)
        if bool((rank < p).any()):
            knot = int((rank < p).nonzero()[0])
            raise GradientError(
                f"the perturbations of knot {knot} span only {int(rank[knot])} of {p} directions: a scale is lost in "
                f"the rounding of {centre.dtype}, or there are too few samples; use larger scales, float64 or more "
                "samples"
            )
        jacobian = torch.zeros(count, n, size, dtype=torch.float64, device=centre.device)
        if known is not None:
            jacobian[..., :n] = known
        error = torch.zeros_like(jacobian)
        jacobian[..., perturbed], error[..., perturbed] = slopes, errors
        mean_error = means.std(1) / self._units**0.5
        return jacobian, error, offset[:, 0, 0] + means.mean(1), mean_error, extra

    def _known(self, known: torch.Tensor | None, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor | None:
        """The given A as float64 [K, n, n] or [n, n]; refused where it is missing or of no use."""
        n = x.shape[1]
        if self.order == "first":
            if known is not None:
                raise GradientError('known_A is for order="zeroth": first order computes all of A; leave it out')
            return None
        still = [i for i in range(n) if not bool(scale[i] > 0)]
        if known is None:
            if still:
                raise GradientError(
                    f"state coordinates {still} have a scale of zero, so a fit cannot know their columns of A: give "
                    "them a positive state_scale, pass known_A (e.g. torch.eye(n), or the identity on what is not "
                    'actuated), or use order="first"'
                )
            return None
        if not still:
            raise GradientError("known_A is given but every state coordinate is perturbed: leave it out")
        if not isinstance(known, torch.Tensor) or tuple(known.shape) not in ((n, n), (len(x), n, n)):
            shape = list(known.shape) if isinstance(known, torch.Tensor) else type(known).__name__
            raise GradientError(f"known_A is {shape}: give a tensor [{n}, {n}] or [{len(x)}, {n}, {n}]")
        if not bool(torch.isfinite(known).all()):
            raise GradientError("known_A is not finite")
        return known.detach().to(device=x.device, dtype=torch.float64)
