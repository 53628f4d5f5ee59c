"""Coverage of 95 % error bars: how often ``Estimate.interval()`` encloses what each backend estimates.

``python benchmarks/coverage.py`` prints a row for each problem and a column for each backend: the share of coordinates
and repetitions whose interval holds the truth, among those that have an error bar, and in brackets the share that has
one, where that is not all; "-" where it is less than a tenth. The truth is the slope of the averaged cost in closed
form. Where the first order misses jumps it is the mean of the exact gradient, from a long run; of the surrogate, whose
fit has a bias, the mean over all repetitions. 400 repetitions know a coverage of 95 % to 1.1 % (one standard error, one
parameter). Smoothing and mixed take a few minutes together on one core, boundary about 10, lax and surrogate, which
train less here than by default, as long for each hundred repetitions. For a look: ``--repetitions 50``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from coverage_costs import Cubic, Distance, DoubleWell, Exponential, KinkBowl, Rare, Rosenbrock, Sine, Sum

from carom.envs import testbeds as beds
from carom.gradients import LAX, Backend, Boundary, Smoothing, Surrogate, VarianceTraining, make_backend

BACKENDS = ("smoothing", "smoothing-first", "mixed", "boundary", "lax", "surrogate")
_LEAST_SHOWN = 0.1


@dataclass(frozen=True)
class Problem:
    """An objective, a place and a scale; by default its own."""

    objective: Any
    theta: tuple[float, ...] | None = None
    scale: float | None = None
    jumps: bool = False
    """Whether the first order has another mean."""
    samples: int = 256

    def point(self) -> torch.Tensor:
        """Parameters."""
        if self.theta is None:
            return self.objective.initial_parameters()
        return torch.tensor(self.theta, dtype=torch.float64, device="cpu")

    def noise(self) -> float:
        """Scale."""
        return float(self.objective.smoothing_scale) if self.scale is None else self.scale


PROBLEMS: dict[str, Problem] = {
    "quadratic": Problem(beds.Quadratic()),
    "linear": Problem(beds.Linear()),
    "horizon": Problem(beds.Horizon()),
    "sine": Problem(Sine(3.0), (0.1,), 1.0),
    "cubic": Problem(Cubic(), (0.1,), 1.0),
    "double well": Problem(DoubleWell(), (0.3, -0.2), 0.5),
    "Rosenbrock": Problem(Rosenbrock(), (0.3, 0.1), 0.3),
    "exponential": Problem(Exponential(20.0), (0.0,), 0.05),
    "heavy tails": Problem(Exponential(25.0), (0.0,), 0.05, samples=1024),
    "distance": Problem(Distance(0.5), (0.1,), 1.0),
    "kink, met by 1 %": Problem(beds.GapPush(), (-0.02,)),
    "kink, met by 7 %": Problem(beds.GapPush(), (0.0,)),
    "kink, met by half": Problem(beds.GapPush(), (0.035,)),
    "kink in 10 parameters": Problem(KinkBowl(), (0.5,) * 10, 0.05),
    "tent map, 3 steps": Problem(beds.TentMap(steps=3), scale=0.03),
    "momentum transfer": Problem(beds.MomentumTransfer(), jumps=True),
    "jump": Problem(beds.Heaviside(), scale=0.02, jumps=True),
    "jumps in 3 parameters": Problem(beds.Heaviside(dimension=3), jumps=True),
    "jump along a line": Problem(beds.HalfPlane(), jumps=True),
    "jump around a disc": Problem(beds.DiscIndicator(), jumps=True),
    "a line's jump on a bowl": Problem(
        Sum(beds.HalfPlane(), DoubleWell()),
        tuple(beds.HalfPlane().initial_parameters().tolist()),
        beds.HalfPlane().smoothing_scale,
        jumps=True,
    ),
    "a disc's jump on waves": Problem(
        Sum(beds.DiscIndicator(), Sine(4.0)),
        tuple(beds.DiscIndicator().initial_parameters().tolist()),
        beds.DiscIndicator().smoothing_scale,
        jumps=True,
    ),
    "jumps on a valley": Problem(Sum(beds.HalfPlane(), Rosenbrock()), (0.2, 0.1), 0.1, jumps=True),
    "waves in 5 parameters": Problem(Sine(5.0), (0.1, -0.2, 0.3, 0.0, 0.5), 0.3),
    "grazing push": Problem(beds.GrazingPush(), jumps=True),
    "ball with wall": Problem(beds.BallWithWall(angle=0.6), jumps=True),
    "box on box": Problem(beds.BoxOnBox(), jumps=True),
    "bounce, fixed step": Problem(beds.Bounce(method="fixed_step"), jumps=True),
    "rare event, 5 %": Problem(Rare(1.6, 0.0), (0.0, 0.0), 0.05, jumps=True),
    "rare event, 0.6 %": Problem(Rare(2.5, 0.0), (0.0, 0.0), 0.05, jumps=True),
    "the same on a slope": Problem(Rare(2.5, 1.0), (0.0, 0.0), 0.05, jumps=True, samples=2048),
}


@dataclass(frozen=True)
class Coverage:
    """Shares over coordinates and repetitions."""

    inside: float
    """Of the intervals, those that hold the truth; nan where there is none."""
    shown: float
    """Those that have an interval."""
    bias: float
    """|mean estimate - truth|, relative to the truth."""
    noise: float
    """Its standard error."""
    reason: str | None
    """The first reason for which there was none."""


def backend_of(name: str, problem: Problem) -> Backend:
    """As the command line makes it, but for shorter training, and 8 replications of the boundary term."""
    scale, samples = problem.noise(), problem.samples
    if name == "boundary":
        return Boundary(scale=scale, samples=max(16, samples // 64 * 8), sampling="rqmc", replications=8)
    if name == "lax":
        return LAX(scale=scale, samples=samples, training=VarianceTraining(rounds=4, steps=10))
    if name == "surrogate":
        return Surrogate(scale=scale, samples=samples, ensemble=2, hidden=(16,), steps=50, repeats=4)
    return make_backend(name, scale=scale, samples=samples)


def measured(name: str, problem: Problem, repetitions: int, *, first: int = 7000) -> Coverage:
    """Coverage of one backend on one problem, over seeds from ``first`` on."""
    theta, scale = problem.point(), problem.noise()
    backend = backend_of(name, problem)
    estimates = [backend.estimate(problem.objective, theta, seed=first + k) for k in range(repetitions)]
    gradient = torch.stack([estimate.gradient for estimate in estimates])
    blank = torch.full_like(theta, math.inf)
    ends = [estimate.interval(0.95) or (-blank, blank) for estimate in estimates]
    low, high = (torch.stack(part) for part in zip(*ends, strict=True))
    if name == "surrogate":
        truth = gradient.mean(0)
    elif name == "smoothing-first" and problem.jumps:
        long = Smoothing(order="first", scale=scale, samples=2**18)
        truth = long.estimate(problem.objective, theta, seed=1).gradient
    else:
        truth = problem.objective.smoothed_gradient(theta[None], scale)[0]
    known = torch.isfinite(low) & torch.isfinite(high)
    size = float(truth.norm()) or 1.0
    inside = (low - 1e-9 * size <= truth) & (truth <= high + 1e-9 * size)  # rounding of the closed form
    return Coverage(
        inside=float(inside[known].double().mean()) if bool(known.any()) else math.nan,
        shown=float(known.double().mean()),
        bias=float((gradient.mean(0) - truth).norm()) / size,
        noise=math.sqrt(float(gradient.var(0).sum()) / repetitions) / size,
        reason=next((estimate.no_error_bar for estimate in estimates if estimate.no_error_bar), None),
    )


def cell(found: Coverage) -> str:
    """Coverage as a cell of the table."""
    if found.shown < _LEAST_SHOWN:
        return "-"
    return f"{found.inside:.3f}" + ("" if found.shown > 0.995 else f" ({found.shown:.2f})")


def main(
    repetitions: int = 400, backends: tuple[str, ...] = BACKENDS, problems: tuple[str, ...] = (), reasons: bool = False
) -> None:
    """Print the table.

    Args:
        repetitions: Seeds of each cell.
        backends: Backends, of those in the table.
        problems: Beginnings of names of problems; all by default.
        reasons: Whether to print bias and the reasons for missing error bars, too.
    """
    torch.set_num_threads(1)
    print(f"{'':<24}" + "".join(f"{name:>17}" for name in backends), flush=True)
    for title, problem in PROBLEMS.items():
        if problems and not title.startswith(problems):
            continue
        found = [measured(name, problem, repetitions) for name in backends]
        print(f"{title:<24}" + "".join(f"{cell(one):>17}" for one in found), flush=True)
        for name, one in zip(backends, found, strict=True):
            if reasons:
                print(f"    {name}: bias {one.bias:.2%} +- {one.noise:.2%}; {one.reason or ''}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
