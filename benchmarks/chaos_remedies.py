"""Remedies for chaos by horizon: bias, noise, and the cost after a descent, at equal work.

    python benchmarks/chaos_remedies.py                       all problems, some minutes
    python benchmarks/chaos_remedies.py tent_map billiards    some

Every estimate has about the work of 48 rollouts, a backward pass counted as two: 48 rollouts by the zeroth order and
persistent ES, 16 with gradients by all others, 12 of each order in the mixtures, one by autodiff. The reference is the
gradient of the cost averaged over noise on theta: in closed form, or by the zeroth order with many rollouts.

Bias is the length of the difference of the mean of all estimates from the reference, with the noise of both taken
out; the number behind it is the standard deviation of what was taken out, so that a bias below about twice that is none
seen. Noise is the standard deviation of one estimate, all coordinates together, by the scatter over seeds. The descent
is by Adam, at a rate of 0.3 noise scales, from the task's start; its end is the averaged cost there, all with the same
noise.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from common import heading, table

from carom.envs import make
from carom.envs.carrots import Carrots
from carom.envs.testbeds import DiscPacking, DoublePendulum, TentMap
from carom.gradients import (
    DDCG,
    IVWH,
    AlphaOrder,
    Autodiff,
    Backend,
    Clipped,
    Mixed,
    Objective,
    PersistentES,
    Smoothing,
    Truncated,
    UnrolledObjective,
)  # fmt: skip
from carom.sim import State

WORK = 48
"""Work of an estimate, in rollouts without gradient."""


@dataclass(frozen=True)
class Problem:
    """An objective at one horizon."""

    name: str
    objective: Objective
    theta: torch.Tensor
    scale: float
    horizon: int
    """Steps of the simulator or of the map."""
    jacobians: bool
    """Whether singular values are clipped, else the adjoint."""
    reference: int
    """Rollouts of the reference."""
    seeds: int
    iterations: int


def tent_map() -> list[Problem]:
    """The map, whose slope doubles with every step."""
    made = [TentMap(steps=steps) for steps in (2, 5, 10, 20)]
    return [Problem(x.name, x, x.initial_parameters(), 0.1, x.steps, True, 0, 24, 24) for x in made]


def double_pendulum() -> list[Problem]:
    """The pendulum with steps of 20 ms, started from angles and speeds."""
    made = [DoublePendulum(steps=steps, step=0.02, final_weight=50.0) for steps in (10, 50, 100)]
    return [Problem(x.name, x, x.initial_parameters(), 0.2, x.steps, True, 20_000, 8, 16) for x in made]


def disc_packing() -> list[Problem]:
    """Twelve discs; the diameter acts in every step."""
    made = [DiscPacking(discs=12, steps=steps) for steps in (10, 40, 80)]
    return [Problem(x.name, x, x.initial_parameters(), 0.02, x.steps, False, 6_000, 8, 12) for x in made]


def billiards() -> list[Problem]:
    """Three balls and the cue ball; ten steps of the simulator at a time."""
    task = make("billiards", rows=2, dtype="float64")
    made = [task.at_horizon(steps) for steps in (50, 100, 200)]
    return [Problem(x.name, x, x.initial_parameters(), 0.01, x.steps, False, 8_000, 8, 16) for x in made]


def pile() -> list[Problem]:
    """Five carrot pieces; the push acts in every step, its cost is taken after so many."""
    task = make("carrots", pieces=5, dtype="float64")
    whole = task.stepwise()
    theta, found = task.initial_parameters(), []
    for pieces in (10, whole.horizon):
        objective = UnrolledObjective(whole.start, whole.step, _cost_after(task, pieces), pieces, "pile")
        found.append(Problem("pile", objective, theta, 0.01, 10 * pieces, False, 1_000, 4, 6))
    return found


def _cost_after(task: Carrots, pieces: int) -> Callable:
    def cost(before: tuple, after: tuple, theta: torch.Tensor, t: int) -> torch.Tensor:
        return task.cost(State(*after)) if t == pieces - 1 else theta.new_zeros(len(theta))

    return cost


PROBLEMS = {one.__name__: one for one in (tent_map, double_pendulum, disc_packing, billiards, pile)}


def adjoint_at_the_end(problem: Problem) -> float:
    """Length of the derivative of the cost by the last state, at theta: a measure for clipped adjoints."""
    steps = problem.objective.stepwise()  # type: ignore[attr-defined]
    theta, state = problem.theta[None], None
    for t in range(steps.horizon):
        state = steps.advance(state, theta, t) if state else steps.advance(steps.first(theta), theta, t)
    assert state is not None
    leaves = tuple(part.detach().requires_grad_() for part in state)
    with torch.enable_grad():
        cost = steps.paid(leaves, leaves, theta, steps.horizon - 1)
        found = torch.autograd.grad(cost.sum(), leaves, allow_unused=True)
    return math.sqrt(sum(float(part.square().sum()) for part in found if part is not None))


def backends(problem: Problem) -> dict[str, Backend]:
    """All that are compared."""
    scale, few = problem.scale, WORK // 3
    window = max(1, problem.objective.stepwise().horizon // 4)  # type: ignore[attr-defined]
    plain = {"scale": scale, "samples": WORK // 4, "antithetic": False}
    first = Smoothing(scale=scale, samples=few, order="first")
    if problem.jacobians:
        clipped = Clipped(1.0, backend=first)
    else:
        clipped = Clipped(adjoint_at_the_end(problem), by="adjoint", backend=first)
    return {
        "autodiff": Autodiff(),
        "first": first,
        "zeroth": Smoothing(scale=scale, samples=WORK),
        f"truncated ({window})": Truncated(window, backend=first),
        "clipped jacobians" if problem.jacobians else "clipped adjoints": clipped,
        f"persistent ES ({window})": PersistentES(scale=scale, samples=WORK, window=window),
        "alpha order": Mixed(Smoothing(order="first", **plain), Smoothing(**plain), AlphaOrder()),
        "mixed": Mixed(Smoothing(order="first", **plain), Smoothing(scale=scale, samples=WORK // 4)),
        "DDCG": DDCG(scale=scale, samples=few),
        "IVW-H": IVWH(scale=scale, samples=few),
    }


def reference(problem: Problem) -> tuple[torch.Tensor, float]:
    """Gradient of the averaged cost, and its trace variance."""
    if problem.reference == 0:
        return problem.objective.smoothed_gradient(problem.theta[None], problem.scale)[0], 0.0  # type: ignore
    found = Smoothing(scale=problem.scale, samples=problem.reference, chunk=1_000).estimate(
        problem.objective, problem.theta, seed=987
    )
    return found.gradient, float(found.diagnostics["trace_variance"])


def averaged(problem: Problem, theta: torch.Tensor, rollouts: int = 256) -> float:
    """The averaged cost, with the same noise whatever theta."""
    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(rollouts, len(theta), generator=generator, dtype=torch.float64, device="cpu")
    with torch.no_grad():
        return float(problem.objective(theta + problem.scale * noise).mean())


def descend(problem: Problem, backend: Backend) -> float:
    """The averaged cost where Adam ends."""
    theta = problem.theta.clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=0.3 * problem.scale)
    for i in range(problem.iterations):
        theta.grad = backend.estimate(problem.objective, theta.detach(), seed=10_000 + i).gradient
        adam.step()
    return averaged(problem, theta.detach())


def rows(problem: Problem, only: tuple[str, ...]) -> list[list[str]]:
    """Lines of the table of one horizon, of the backends whose names begin so."""
    truth, doubt = reference(problem)
    found = []
    for name, backend in backends(problem).items():
        if not name.startswith(only):
            continue
        begin = time.process_time()
        repeats = 1 if name == "autodiff" else problem.seeds
        g = torch.stack([backend.estimate(problem.objective, problem.theta, seed=i).gradient for i in range(repeats)])
        spread = float(g.var(0).sum()) if repeats > 1 else 0.0
        noise = spread / repeats + doubt
        square = float((g.mean(0) - truth).square().sum())
        bias = math.sqrt(max(square - noise, 0.0))
        end = descend(problem, backend)
        sd = math.sqrt(spread)
        line = [str(problem.horizon), name, f"{bias:.3g} ({math.sqrt(noise):.2g})", f"{sd:.3g}", f"{end:.4g}"]
        found.append([*line, f"{time.process_time() - begin:.1f}"])
    size, at_start = float(truth.norm()), averaged(problem, problem.theta)
    found.insert(
        0, [str(problem.horizon), "*reference*", f"{size:.3g} ({math.sqrt(doubt):.2g})", "", f"{at_start:.4g}", ""]
    )
    return found


def main() -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS), help=f"some of {', '.join(PROBLEMS)}")
    parser.add_argument("--only", nargs="*", default=[""], help="backends, by the beginnings of their names")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in given.problems:
        heading(name)
        lines = [line for problem in PROBLEMS[name]() for line in rows(problem, tuple(given.only))]
        table(["T", "backend", "bias (its noise)", "noise", "end", "seconds"], lines)


if __name__ == "__main__":
    main()
