"""The boundary term: jumps of the cost found along lines and integrated exactly, instead of sampled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ....plain import plain_numbers
from ...core.checks import as_batch, check_count, suggest
from ...core.error_bars import DEPENDENT, ErrorBar, judged, of_samples, student_t
from ...core.errors import GradientError
from ...core.events import evaluate_events, supports_events
from ...core.interface import Estimate, Objective
from ...core.objective import assemble, evaluate, evaluate_with_gradient, objective_name, refuse_non_finite
from ...noise.counter_random import draw_uniforms
from ...noise.distributions import Gaussian
from ...noise.perturbation import Perturbation
from ...noise.sampling import Sampling, resolve_sampling
from ...noise.scale import PlainScale, ScaleMap, check_scale_map, scale_map
from .crossings import ask_grid, density, search_events, search_values

__all__ = ["Boundary"]

_SURE = 0.999  # of a gap between two continuous parts that it is no chance
_INTERPOLATION = 0.05  # error of linear interpolation on the grid, relative to the gradient, that passes

CONTINUOUS = ("pathwise", "line")
DIRECTIONS = ("axes", "random")


@plain_numbers
@dataclass(frozen=True)
class Boundary:
    """Gradient of F(theta) = E f(theta + scale * w), w Gaussian, as its continuous part plus a term for the jumps.

    Along a line through a sample, in direction v and with coordinate t in units of the noise, f has a derivative
    almost everywhere and jumps J_k at t_k. Integrating by parts along the line alone (the density is the Gaussian's
    in every direction) gives, with E over what is orthogonal to v,

        d/dv F = E [d f / dv]  +  E_orthogonal [ sum_k J_k phi(t_k) ] / scale

    ``Smoothing(order="first")`` averages the first term alone. The second is the boundary
    term: each jump's place enters through the density itself, not through how many samples fell on which side, so a
    jump in one dimension has no sampling error at all. (The same integral as the edge sampling of Li et al. 2018,
    "Differentiable Monte Carlo Ray Tracing through Edge Sampling", and the boundary term of Bangaru et al. 2021, eq.
    6, for a Gaussian in place of a pixel filter.)

    Jumps are found by a grid of rollouts on each line, all in one batch, and batched bisection of the intervals that
    look like one (:mod:`.crossings`). Where the objective has ``events(theta)`` ([batch, events]: labels such as
    "contact was made", or real numbers whose sign matters such as "height over the wall"), the grid and the
    bisection ask those instead, and the cost only on both sides of each change.

    *Prefer it* where few parameters matter, crossings are few, and rollouts cheap: hit or miss, passed or not. *Cost*:
    ``samples`` x lines x (``grid`` + 1 + about 15 a jump) rollouts. Along the axes there is one line a parameter, and
    each gives one coordinate. Random lines cost less per sample, but a line gives one direction only, and scaling it
    up by the number of parameters multiplies the variance by about as much: in many dimensions the zeroth order with as
    many rollouts is as good. *Jumps that it misses*: an interval of the grid in which two jumps cancel, a jump less
    than ``smallest_jump``, one beyond ``reach``. The grid is shifted at random for every line, so that narrow features
    are found now and then, and the standard error shows it; but it is a bias if they never are.

    ``continuous`` is the first term: ``"pathwise"`` averages exact gradients at the samples; a ramp steeper than
    ``resolution`` is then counted twice if the exact gradient contains it. ``"line"`` integrates the costs that the
    search has computed between the jumps, linearly interpolated, against the density: values only, no gradient needed,
    less variance, and an error of the interpolation, of order (2 reach / grid)^2 times the third derivative; kinks are
    refined too.

    Diagnostics: ``finite``; ``trace_variance``; ``jumps``, found in all; ``jumps_per_line``; ``boundary``, shape
    [parameters], the boundary term alone; ``event_evaluations``.
    """

    scale: float | Sequence | torch.Tensor = 0.02
    """Noise scale L in the units of theta: one number, one per coordinate, or a matrix. Kept as plain numbers."""
    samples: int = 16
    """Samples, each with its own lines; the units of the standard error if they are independent."""
    sampling: str | Sampling = "monte_carlo"
    """Name or instance of a sampling. The remaining integrand is smooth, so ``"rqmc"`` lowers the variance in few
    dimensions."""
    replications: int = 1
    """Independent tables of samples / replications each: 1, or at least 3; the standard error of dependent points."""
    directions: str = "axes"
    """``"axes"``: a line along each parameter; ``"random"``: ``lines`` orthogonal directions, uniformly turned."""
    lines: int = 1
    """Lines a sample, where directions are random."""
    grid: int = 16
    """Intervals of the first grid on each line."""
    reach: float = 4.0
    """Half-length of a line in units of the noise; beyond it the density is 3e-4 of its peak."""
    continuous: str = "pathwise"
    """Source of the continuous part: ``"pathwise"`` or ``"line"``."""
    smallest_jump: float = 0.02
    """Jump that may be missed, relative to the standard deviation of the cost over the noise."""
    resolution: float = 1e-4
    """Width in units of the noise to which a jump is located."""
    expect_jumps: bool = False
    """Whether to refuse a theta around which no jump is found, instead of answering with the continuous part alone."""
    chunk: int | None = 65536
    """Most rollouts in one call of the objective; None for all at once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", check_scale_map(self.scale))
        for name, choices in (("continuous", CONTINUOUS), ("directions", DIRECTIONS)):
            if getattr(self, name) not in choices:
                raise GradientError(suggest(name, getattr(self, name), choices))
        check_count("samples", self.samples, 2, " (one has no standard error)")
        check_count("replications", self.replications, 1)
        sampling = resolve_sampling(self.sampling)
        if self.replications == 2 or (self.replications > 1 and not sampling.random):
            raise GradientError(
                f"replications is {self.replications}: give 1, or at least 3 of a sampling that depends on the seed "
                f"({sampling.name} does{'' if sampling.random else ' not'})"
            )
        if self.samples % self.replications:
            raise GradientError(f"samples is {self.samples}: give a multiple of replications = {self.replications}")
        check_count("lines", self.lines, 1)
        check_count("grid", self.grid, 4, " (with fewer intervals a slope cannot be told from a jump)")
        if self.chunk is not None:
            check_count("chunk", self.chunk, 1)
        for name, least, most in (("reach", 1.0, 8.0), ("smallest_jump", 0.0, 1.0), ("resolution", 0.0, 0.1)):
            number = getattr(self, name)
            if not (isinstance(number, (int, float)) and least < number <= most):
                raise GradientError(f"{name} is {number!r}: give a number above {least:g} and at most {most:g}")

    def estimate(self, objective: Objective, theta: torch.Tensor, *, seed: int = 0) -> Estimate:
        """Smoothed value and gradient at ``theta`` ([parameters] or [batch, parameters]); same seed, same result."""
        start = time.perf_counter()
        batch, single = as_batch(theta)
        thetas, parameters = batch.shape
        plain: PlainScale = self.scale  # type: ignore[assignment]
        scale = scale_map(plain, batch)
        if self.directions == "random" and self.lines > parameters:
            raise GradientError(
                f"lines is {self.lines}, but theta has {parameters} parameters, and lines of a sample are orthogonal: "
                f"give at most {parameters}, and more samples instead"
            )
        device = batch.device
        draw = Perturbation(
            Gaussian(),
            scale,
            resolve_sampling(self.sampling),
            seed=seed,
            points=self.samples // self.replications,
            columns=parameters,
            replications=self.replications,
            stream="boundary",
            device=device,
        ).draw(0, self.samples)
        noise = draw.noise
        frames = self._frames(seed, parameters).to(device)
        lines = _Lines.through(batch, noise, frames, scale)
        step = 2.0 * self.reach / self.grid
        nodes = torch.arange(self.grid + 1, dtype=torch.float64, device=device) * step - self.reach
        shifts = (self._uniforms(seed, "grid", frames.shape[1]).to(device) - 0.5) * step
        nodes = nodes + shifts.reshape(-1, 1).repeat(thetas, 1)

        def costs(line: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self._ask(lambda rows: evaluate(objective, rows), lines, line, t)

        def events(line: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return self._ask(lambda rows: evaluate_events(objective, rows), lines, line, t)

        evaluations = 0
        if self.continuous == "pathwise" and supports_events(objective):
            signed = evaluate_events(objective, batch[:1]).is_floating_point()
            found = search_events(costs, events, nodes, signed=signed, resolution=self.resolution)
        else:
            grid = ask_grid(costs, nodes)
            evaluations += grid.numel()
            smallest = self.smallest_jump * _spread(nodes, grid, thetas, torch.finfo(batch.dtype).eps)
            found = search_values(costs, nodes, grid, smallest=smallest, resolution=self.resolution)
        evaluations += found.evaluations
        per_theta = torch.bincount(lines.theta[found.line], minlength=thetas)
        if self.expect_jumps and not bool(per_theta.all()):
            raise self._no_jumps(objective, batch[int((per_theta == 0).nonzero()[0])], len(nodes) // thetas)
        jumps = lines.sum_per_unit(found.line, found.size * density(found.t), thetas)
        if self.continuous == "pathwise":
            values, continuous = self._pathwise(objective, batch, draw.moves)
            evaluations += values.numel()
        else:
            continuous = lines.slopes(found.smooth, thetas)
            mass = torch.special.ndtr(nodes).diff(dim=1)
            values = (0.5 * (grid[:, 1:] + grid[:, :-1]) * mass).sum(1) / mass.sum(1)
            values = values.view(thetas, self.samples, -1).mean(2)
        units = jumps + continuous
        gradient, variance = units.mean(1), self._variance(units)
        if variance is not None:
            # of jumps beyond the reach, which no spread shows: their density relative to that at the middle
            unseen = math.exp(-0.5 * self.reach**2) * jumps.mean(1).abs()
            variance = variance + unseen.square()
        bar = self._bar(units, gradient, variance, torch.finfo(batch.dtype).eps)
        if self.continuous == "pathwise" and variance is not None and len(found.smooth[0]):
            bar = self._checked(bar, gradient, lines.slopes(found.smooth, thetas) - continuous)
        return assemble(
            batch,
            single,
            value=values.mean(1),
            gradient=gradient,
            standard_error=None if variance is None else variance.sqrt(),
            evaluations=evaluations,
            seconds=time.perf_counter() - start,
            diagnostics={
                "finite": torch.isfinite(gradient).all(1),
                "trace_variance": None if variance is None else variance.sum(1),
                "jumps": per_theta,
                "jumps_per_line": len(found.line) / len(nodes),
                "boundary": jumps.mean(1),
                "event_evaluations": found.event_evaluations,
            },
            bar=bar,
        )

    def _bar(
        self, units: torch.Tensor, gradient: torch.Tensor, variance: torch.Tensor | None, epsilon: float
    ) -> ErrorBar:
        """How well the standard error is known; units [thetas, samples, parameters]."""
        if variance is None:
            return ErrorBar(None, DEPENDENT)
        degrees = of_samples(units)
        if self.replications == 1:
            return judged(gradient, variance, degrees, self.samples, epsilon=epsilon)
        # A table's mean has at most the skewness of as many independent samples: that of one over their number.
        skewness = (self.samples - 1.0) / degrees - 1.0
        degrees = (self.replications - 1.0) / (1.0 + skewness * self.replications / self.samples)
        return judged(gradient, variance, degrees, self.replications, epsilon=epsilon, what="replications")

    def _checked(self, bar: ErrorBar, gradient: torch.Tensor, gap: torch.Tensor) -> ErrorBar:
        """No error bar where jumps were missed.

        ``gap`` [thetas, samples, parameters] is the continuous part by the change of the cost between the jumps found,
        less that by exact gradients: more than chance and interpolation only where the cost changes otherwise.
        """
        assert bar.degrees is not None
        mean, variance = gap.mean(1), self._variance(gap)
        assert variance is not None
        freedom = self.replications - 1.0 if self.replications > 1 else of_samples(gap)
        chance = student_t(
            _SURE, torch.as_tensor(freedom, dtype=mean.dtype, device=mean.device).expand_as(mean), variance.sqrt()
        )
        largest = gradient.abs().amax(1, keepdim=True)
        missed = mean.abs() > chance + _INTERPOLATION * largest
        if not bool(missed.any()):
            return bar
        share = float((mean.abs() / largest)[missed].max())
        reason = (
            f"exact gradients and the jumps found leave out {share:.0%} of the cost's change along the lines: jumps "
            'were missed, or a steep ramp was counted twice. Use continuous="line", a smaller smallest_jump or a finer '
            "grid"
        )
        return ErrorBar(torch.where(missed, 0.0, bar.degrees), "; ".join(filter(None, [bar.reason, reason])))

    def _variance(self, units: torch.Tensor) -> torch.Tensor | None:
        """Variance of the mean over samples of units [thetas, samples, parameters]; None without an estimate."""
        if self.replications > 1:
            means = units.view(len(units), self.replications, -1, units.shape[2]).mean(2)
            return means.var(1) / self.replications
        return units.var(1) / self.samples if resolve_sampling(self.sampling).independent else None

    def _uniforms(self, seed: int, what: str, columns: int) -> torch.Tensor:
        return draw_uniforms(seed, f"boundary {what}", first=0, rows=self.samples, columns=columns)

    def _no_jumps(self, objective: Objective, theta: torch.Tensor, lines: int) -> GradientError:
        return GradientError(
            f"no jump of {objective_name(objective)!r} was found on {lines} lines of {self.grid} intervals around "
            f"theta = {theta.tolist()[:8]}: none lies within {self.reach:g} scales, or each is smaller than "
            f"smallest_jump = {self.smallest_jump:g} of the cost's spread, or narrower than an interval. Use a larger "
            "scale, samples or grid, a smaller smallest_jump, or expect_jumps=False for the continuous part alone"
        )

    def _frames(self, seed: int, parameters: int) -> torch.Tensor:
        """Directions of the lines of each sample, orthonormal, shape [samples, lines, parameters]."""
        if self.directions == "axes":
            return torch.eye(parameters, dtype=torch.float64, device="cpu").expand(self.samples, -1, -1)
        normal = Gaussian().sample(self._uniforms(seed, "directions", parameters * self.lines))
        q, r = torch.linalg.qr(normal.view(self.samples, parameters, self.lines))
        # Signs by the diagonal of r make q uniform (Mezzadri 2007, "How to generate random matrices", section 5).
        return (q * torch.sign(r.diagonal(dim1=1, dim2=2))[:, None]).transpose(1, 2)

    def _ask(
        self, function: Callable[[torch.Tensor], torch.Tensor], lines: _Lines, line: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        if len(line) == 0:
            return t
        size = self.chunk or len(line)
        pieces = zip(line.split(size), t.split(size), strict=True)
        return torch.cat([function(lines.rows(*piece)).double() for piece in pieces])

    def _pathwise(
        self, objective: Objective, batch: torch.Tensor, moves: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [thetas, samples] and exact gradients [thetas, samples, parameters] at the samples."""
        rows = (batch[:, None].double() + moves).to(batch.dtype)
        pieces = []
        for piece in rows.reshape(-1, batch.shape[1]).split(self.chunk or rows.shape[0] * rows.shape[1]):
            try:
                costs, gradients = evaluate_with_gradient(objective, piece)
            except GradientError as error:
                raise GradientError(f'{error}; or use Boundary(continuous="line"), which needs only values') from error
            refuse_non_finite(objective_name(objective), piece, gradients, "gradient")
            pieces.append((costs.double(), gradients.double()))
        values, slopes = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        return values.view(rows.shape[:2]), slopes.view(rows.shape)


@dataclass(frozen=True)
class _Lines:
    """The lines of all samples of all thetas, in that order of nesting, in units of theta."""

    base: torch.Tensor
    """Point at t = 0, shape [lines, parameters], float64."""
    direction: torch.Tensor
    """Change of theta for t = 1, shape [lines, parameters]."""
    weight: torch.Tensor
    """Gradient for a derivative of 1 with respect to t, shape [lines, parameters]."""
    theta: torch.Tensor
    """Number of each line's theta, shape [lines]."""
    samples: int
    dtype: torch.dtype

    @classmethod
    def through(cls, batch: torch.Tensor, noise: torch.Tensor, frames: torch.Tensor, scale: ScaleMap) -> _Lines:
        """Lines through the samples' ``noise`` [samples, parameters], along ``frames`` [samples, lines, parameters]."""
        thetas, parameters = batch.shape
        across = noise[:, None] - torch.einsum("cp,cvp->cv", noise, frames)[..., None] * frames
        base = batch[:, None, None].double() + scale.move(across)
        # An isotropic direction gives one of ``parameters`` directions; a full frame gives all.
        share = parameters / frames.shape[1]

        def flat(table: torch.Tensor) -> torch.Tensor:
            return table.expand(thetas, *table.shape[-3:]).reshape(-1, parameters)

        return cls(
            base=flat(base),
            direction=flat(scale.move(frames)),
            weight=flat(share * scale.pull(frames)),
            theta=torch.arange(thetas, device=batch.device).repeat_interleave(frames.shape[0] * frames.shape[1]),
            samples=len(frames),
            dtype=batch.dtype,
        )

    def rows(self, line: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Parameters at the coordinates ``t`` [n] of the lines with the numbers ``line`` [n], shape [n, parameters]."""
        return (self.base[line] + t[:, None] * self.direction[line]).to(self.dtype)

    def slopes(self, smooth: tuple[torch.Tensor, ...], thetas: int) -> torch.Tensor:
        """Gradients [thetas, samples, parameters] of the cost interpolated over intervals (``Found.smooth``)."""
        line, left, right, change = smooth
        slope = change * (torch.special.ndtr(right) - torch.special.ndtr(left)) / (right - left)
        return self.sum_per_unit(line, slope, thetas)

    def sum_per_unit(self, line: torch.Tensor, amounts: torch.Tensor, thetas: int) -> torch.Tensor:
        """Gradients [thetas, samples, parameters] from derivatives with respect to t [n] on lines [n]."""
        totals = torch.zeros(len(self.theta), dtype=torch.float64, device=amounts.device)
        totals.index_add_(0, line, amounts)
        return (totals[:, None] * self.weight).view(thetas, self.samples, -1, self.weight.shape[1]).sum(2)


def _spread(nodes: torch.Tensor, values: torch.Tensor, thetas: int, eps: float) -> torch.Tensor:
    """Standard deviation of the cost over the noise around each line's theta, shape [lines]."""
    weights = density(nodes).view(thetas, -1)
    weights = weights / weights.sum(1, keepdim=True)
    table = values.view(thetas, -1)
    centred = table - (weights * table).sum(1, keepdim=True)
    spread = (weights * centred.square()).sum(1).sqrt()
    # Below rounding there is nothing to find.
    spread = spread.maximum(1e3 * eps * table.abs().amax(1))
    return spread.repeat_interleave(len(nodes) // thetas)
