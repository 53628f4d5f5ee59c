"""Coverage of 95 % error bars: how often ``Estimate.interval()`` encloses what each backend estimates.

``python benchmarks/coverage.py`` prints a row for each problem and a column for each backend: the share of coordinates
and repetitions whose interval holds the truth, among those that have an error bar, and in brackets the share that has
one where that is not all. The truth is the slope of the averaged cost in closed form; for the first order, which misses
jumps, that of its own mean (docs/gradients.md, "Error bars"), and so for the surrogate. 400 repetitions know a coverage of 95 % to 1.1 %
(one standard error, one parameter). About N minutes on one core; ``--repetitions 50`` for a look.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import tyro

from carom.envs import testbeds as beds
from carom.gradients import Backend, Boundary, Smoothing, Surrogate, make_backend

BACKENDS = ("smoothing", "smoothing-first", "mixed", "lax", "boundary", "surrogate")


class KinkBowl:
    """Ten parameters: 0.5 sum h_i x_i^2 + 3 max(0, x_0 - 0.52)."""

    name = "kink_bowl"
    h = torch.logspace(-1, 1, 10, dtype=torch.float64)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (self.h * x.square()).sum(-1) + 3.0 * (x[..., 0] - 0.52).clamp_min(0.0)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        g = self.h * x
        g[..., 0] += 3.0 * torch.special.ndtr((x[..., 0] - 0.52) / s)
        return g


class Rare:
    """A slope, and a jump of 1 where x_0 > z * 0.05: met by few samples."""

    def __init__(self, z: float, slope: float) -> None:
        self.z, self.slope, self.name = z, slope, "rare"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * x.sum(-1) + (x[..., 0] > self.z * 0.05)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        g = torch.full_like(x, self.slope)
        g[..., 0] += torch.exp(-0.5 * ((self.z * 0.05 - x[..., 0]) / s).square()) / (s * math.sqrt(2 * math.pi))
        return g


class Exponential:
    """exp(b x): samples of heavy tails in both orders."""

    name = "exponential"

    def __init__(self, b: float) -> None:
        self.b = b

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(self.b * x).sum(-1)

    def smoothed_gradient(self, x: torch.Tensor, s: float) -> torch.Tensor:
        return self.b * torch.exp(self.b * x + 0.5 * (self.b * s) ** 2)


@dataclass(frozen=True)
class Problem:
    """An objective, a place and a scale; ``jumps``: whether the first order has another mean."""

    objective: object
    theta: tuple[float, ...] | None = None
    scale: float | None = None
    jumps: bool = False
    samples: int = 256

    def point(self) -> torch.Tensor:
        if self.theta is None:
            return self.objective.initial_parameters()
        return torch.tensor(self.theta, dtype=torch.float64, device="cpu")

    def noise(self) -> float:
        return float(self.objective.smoothing_scale) if self.scale is None else self.scale


PROBLEMS: dict[str, Problem] = {
    "quadratic": Problem(beds.Quadratic()),
    "linear": Problem(beds.Linear()),
    "horizon": Problem(beds.Horizon()),
    "exponential": Problem(Exponential(20.0), (0.0,), 0.05),
    "heavy tails": Problem(Exponential(25.0), (0.0,), 0.05, samples=1024),
    "kink (gap_push, touching 3 %)": Problem(beds.GapPush(), (-0.02,)),
    "kink (gap_push, before)": Problem(beds.GapPush(), (0.0,)),
    "kink (gap_push, at)": Problem(beds.GapPush(), (0.035,)),
    "kink in 10 parameters": Problem(KinkBowl(), (0.5,) * 10, 0.05),
    "tent map, 3 steps": Problem(beds.TentMap(steps=3), scale=0.03),
    "momentum_transfer": Problem(beds.MomentumTransfer(), jumps=True),
    "jump (heaviside)": Problem(beds.Heaviside(), scale=0.02, jumps=True),
    "jump in 3 parameters": Problem(beds.Heaviside(dimension=3), jumps=True),
    "jump along a line (half_plane)": Problem(beds.HalfPlane(), jumps=True),
    "jump around a disc": Problem(beds.DiscIndicator(), jumps=True),
    "jumps of grazing_push": Problem(beds.GrazingPush(), jumps=True),
    "jump (ball_with_wall, 0.6)": Problem(beds.BallWithWall(angle=0.6), jumps=True),
    "box_on_box": Problem(beds.BoxOnBox(), jumps=True),
    "many small jumps (bounce)": Problem(beds.Bounce(method="fixed_step"), jumps=True),
    "rare (5 %)": Problem(Rare(1.6, 0.0), (0.0, 0.0), 0.05, jumps=True),
    "rare (0.6 %)": Problem(Rare(2.5, 0.0), (0.0, 0.0), 0.05, jumps=True),
    "rare (0.6 %) on a slope": Problem(Rare(2.5, 1.0), (0.0, 0.0), 0.05, jumps=True, samples=2048),
}


@dataclass
class Coverage:
    """Share of intervals that hold the truth, and of those that exist; seconds."""

    inside: float
    shown: float
    bias: float
    noise: float
    reason: str | None
    seconds: float


def backend_of(name: str, problem: Problem) -> Backend:
    scale, samples = problem.noise(), problem.samples
    if name == "surrogate":
        return Surrogate(scale=scale, samples=samples, repeats=4)
    return make_backend(name, scale=scale, samples=samples)


def measured(name: str, problem: Problem, repetitions: int) -> Coverage:
    """Coverage of one backend on one problem."""
    started = time.perf_counter()
    theta, scale = problem.point(), problem.noise()
    backend = backend_of(name, problem)
    truth = problem.objective.smoothed_gradient(theta[None], scale)[0]
    lows, highs, gradients, reason = [], [], [], None
    for k in range(repetitions):
        estimate = backend.estimate(problem.objective, theta, seed=7000 + k)
        ends = estimate.interval(0.95)
        gradients.append(estimate.gradient)
        blank = torch.full_like(theta, math.inf)
        lows.append(-blank if ends is None else ends[0])
        highs.append(blank if ends is None else ends[1])
        reason = reason or estimate.no_error_bar
    low, high, gradient = torch.stack(lows), torch.stack(highs), torch.stack(gradients)
    if name == "surrogate":
        truth = gradient.mean(0)
    elif name == "smoothing-first" and problem.jumps:
        long = Smoothing(order="first", scale=scale, samples=2**19)
        truth = long.estimate(problem.objective, theta, seed=1).gradient
    known = torch.isfinite(low) & torch.isfinite(high)
    slack = 1e-9 * float(truth.norm())
    inside = (low - slack <= truth) & (truth <= high + slack)
    size = float(truth.norm()) or 1.0
    return Coverage(
        inside=float(inside[known].double().mean()) if bool(known.any()) else math.nan,
        shown=float(known.double().mean()),
        bias=float((gradient.mean(0) - truth).norm()) / size,
        noise=math.sqrt(float(gradient.var(0).sum()) / repetitions) / size,
        reason=reason,
        seconds=time.perf_counter() - started,
    )


def main(
    repetitions: int = 400,
    backends: tuple[str, ...] = BACKENDS,
    problems: tuple[str, ...] = (),
    slow_repetitions: int | None = None,
) -> None:
    torch.set_num_threads(1)
    for title, problem in PROBLEMS.items():
        if problems and not any(p in title for p in problems):
            continue
        for name in backends:
            try:
                c = measured(name, problem, repetitions)
            except Exception as error:
                print(f"{title:32s} {name:16s} {type(error).__name__}: {str(error)[:100]}", flush=True)
                continue
            print(
                f"{title:32s} {name:16s} {c.inside:.3f} shown {c.shown:.2f} bias {c.bias:.3f} +- {c.noise:.3f} {c.seconds:.0f}s {c.reason or ''}",
                flush=True,
            )


if __name__ == "__main__":
    tyro.cli(main)
