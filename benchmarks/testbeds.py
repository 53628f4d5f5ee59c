"""The testbeds at their published settings: gradients and variances of each order, and where descent ends.

    python benchmarks/testbeds.py                      all of them, a few minutes
    python benchmarks/testbeds.py curling friction     some
    python benchmarks/testbeds.py --sweeps             variance against stiffness and horizon

Variances are traces for one sample: what N samples give is an N-th of them. Descent is plain gradient descent with
the published noise, samples, step size and iterations; the zeroth order has f(theta) subtracted, as the authors do.
"""

from __future__ import annotations

import argparse
import math

import torch
from common import heading, table

from carom.envs import make
from carom.envs.testbeds import Curling, DiscPacking, DoublePendulum, StiffnessSweep, TentMap
from carom.gradients import Estimate, GradientError, Objective, Smoothing

NAMES = (
    "ball_with_wall", "momentum_transfer", "curling", "curling_stiff", "friction", "stiffness_sweep", "tent_map",
    "double_pendulum", "disc_packing", "bounce", "two_discs", "box_on_box",
)  # fmt: skip
MEASURED = {"disc_packing": 256, "double_pendulum": 1000}
"""Samples for the variances; 2,000 where nothing is said."""


def estimate(objective: Objective, theta: torch.Tensor, order: str, noise: float, samples: int, seed: int) -> Estimate:
    """One estimate as the authors take it: independent samples, f(theta) subtracted."""
    smoothing = Smoothing(scale=noise, samples=samples, order=order, antithetic=False, baseline="value", chunk=500)
    return smoothing.estimate(objective, theta, seed=seed)


def trace_variance(found: Estimate, samples: int) -> float:
    """Variance of one sample, summed over coordinates."""
    return samples * float(found.diagnostics["trace_variance"])


def descend(objective: Objective, order: str, trials: int) -> tuple[float, float]:
    """Mean and standard deviation over trials of the cost without noise where descent ends."""
    plan = objective.experiment  # type: ignore[attr-defined]
    ends = []
    for trial in range(trials):
        theta = objective.initial_parameters()  # type: ignore[attr-defined]
        for step in range(plan.iterations):
            found = estimate(objective, theta, order, plan.noise, max(plan.samples, 2), seed=trial * 100_000 + step)
            theta = theta - plan.learning_rate * found.gradient
        ends.append(float(objective(theta[None])))
    return sum(ends) / trials, float(torch.tensor(ends).std()) if trials > 1 else math.nan


def short(number: float | None) -> str:
    """Four digits, or a dash."""
    return "-" if number is None or math.isnan(number) else f"{number:.4g}"


def row(name: str, method: str | None = None) -> list[str]:
    """One line of the table."""
    task = make(name, method=method) if method else make(name)
    theta, noise = task.initial_parameters(), task.smoothing_scale
    samples = MEASURED.get(name, 2000)
    value, exact = task.value_and_gradient(theta[None])
    orders = {order: estimate(task, theta, order, noise, samples, seed=1) for order in ("first", "zeroth")}
    known = task.smoothed_gradient(theta[None], noise)[0] if hasattr(task, "smoothed_gradient") else None
    plan = task.experiment
    ends = {"first": (math.nan, math.nan), "zeroth": (math.nan, math.nan)}
    if plan is not None and plan.iterations:
        trials = 5 if len(theta) == 1 else 1
        ends = {order: descend(task, order, trials) for order in ends}
    sizes = [float(exact.norm()), None if known is None else float(known.norm())]
    sizes += [float(orders[order].gradient.norm()) for order in ends]
    errors = [float(orders[order].standard_error.norm()) for order in ends]
    return [
        f"{name} ({method})" if method else name,
        short(float(value)),
        *map(short, sizes[:2]),
        *(f"{short(size)} +- {short(error)}" for size, error in zip(sizes[2:], errors, strict=True)),
        *(short(trace_variance(orders[order], samples)) for order in ends),
        *(f"{short(mean)} ({short(spread)})" for mean, spread in ends.values()),
    ]


def variances(objective: Objective, samples: int, noise: float) -> list[str]:
    """Trace variances of one sample, first and zeroth order."""
    theta = objective.initial_parameters()  # type: ignore[attr-defined]
    found = []
    for order in ("first", "zeroth"):
        try:
            found.append(short(trace_variance(estimate(objective, theta, order, noise, samples, seed=2), samples)))
        except GradientError:
            found.append("not finite")
    return found


def sweeps() -> None:
    """Variance against stiffness, softening and horizon."""
    heading("Impact over 30 steps: variance of one sample against stiffness [N/m]; softplus of 1 cm beside it")
    rows = []
    for power in range(6):
        hard, soft = StiffnessSweep(stiffness=10.0**power), StiffnessSweep(stiffness=10.0**power, softening=0.01)
        rows.append([f"1e{power}", *variances(hard, 1000, 0.3), *variances(soft, 1000, 0.3)])
    table(["stiffness", "first, hard", "zeroth, hard", "first, soft", "zeroth, soft"], rows)
    heading("Tent map, noise 0.1: variance of one sample against the number of steps T")
    rows = [[str(t), *variances(TentMap(steps=t), 2000, 0.1), short(4.0**t)] for t in (1, 2, 5, 10, 20)]
    table(["T", "first", "zeroth", "4^T"], rows)
    heading("Double pendulum, noise 0.5: variance of one sample against the number of steps T")
    rows = [[str(t), *variances(DoublePendulum(steps=t), 200, 0.5)] for t in (10, 100, 300, 500, 1000, 2000)]
    table(["T", "first", "zeroth"], rows)
    heading("Disc packing, noise 0.02: variance of one sample against the number of steps T")
    rows = [[str(t), *variances(DiscPacking(steps=t), 200, 0.02)] for t in (1, 10, 30, 100, 200)]
    table(["T", "first", "zeroth"], rows)
    heading("Pushing through a spring, 200 steps, noise 0.1: variance of one sample against stiffness [N/m]")
    rows = [[f"{k:g}", *variances(Curling(stiffness=k, steps=200), 500, 0.1)] for k in (10.0, 100.0, 1000.0)]
    table(["stiffness", "first", "zeroth"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--sweeps", action="store_true")
    options = parser.parse_args()
    if options.sweeps:
        sweeps()
        return
    heading("Testbeds at their published settings: cost, |gradient|, trace variance of one sample, cost after descent")
    rows = []
    for name in options.names:
        methods = ("time_of_impact", "fixed_step") if name in ("bounce", "two_discs") else (None,)
        rows += [row(name, method) for method in methods]
    columns = ["testbed", "cost", "exact", "smoothed", "first", "zeroth", "var first", "var zeroth"]
    table([*columns, "end, first", "end, zeroth"], rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
