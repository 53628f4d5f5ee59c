"""Cost of a fitted surrogate: a gradient of the push, the fit, and the fit of the published landscape.

The targets: a gradient for the push in under 1 ms; the 100 x 100 landscape fitted in under 30 s on two cores. Costs of
the landscape are those of a smooth function here: the fit takes as long whatever the costs are.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from common import heading, table

import carom
from carom.gradients import Cloud, ControlVariate, Smoothing, fit_surrogate
from carom.gradients.learned import cost_on_grid, fit_landscape


def milliseconds(run: Callable[[], object], rounds: int = 20, calls: int = 20) -> tuple[float, float]:
    """Core time of a call: the least of some rounds, which is that of an undisturbed core, and their median [ms]."""
    run()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(calls):
            run()
        times.append(1e3 * (time.process_time() - start) / calls)
    return min(times), statistics.median(times)


def gradients() -> None:
    task = carom.envs.make("push", start="apart", threads=1)
    theta = task.initial_parameters()
    start = time.process_time()
    surrogate = fit_surrogate(task, Cloud(theta, 0.02), samples=1024)
    seconds = time.process_time() - start
    heading("Gradients of the push from apart, 8 parameters")
    error = surrogate.report.held_out_error
    print(f"fit to 1,024 rollouts, with these: {seconds:.1f} core-seconds, held-out error {error:.2f}\n")
    sharp = surrogate.with_options(smoothing=0.0)
    plain, control = Smoothing(samples=256), ControlVariate(surrogate, samples=256)
    things = {
        "fitted surrogate, averaged over its cloud": (lambda: surrogate.estimate(task, theta), 20),
        "fitted surrogate, at theta": (lambda: sharp.estimate(task, theta), 20),
        "256 rollouts": (lambda: plain.estimate(task, theta), 1),
        "256 rollouts with the surrogate as control variate": (lambda: control.estimate(task, theta), 1),
    }
    rows = []
    for name, (run, calls) in things.items():
        least, median = milliseconds(run, rounds=20 if calls > 1 else 5, calls=calls)
        rows.append((name, f"{least:.2f}", f"{median:.2f}"))
    table(("core time [ms]", "least", "median"), rows)
    reference = Smoothing(samples=16384).estimate(task, theta, seed=9)
    rows = []
    for name, run in {
        "fitted surrogate, averaged over its cloud": lambda seed: surrogate.estimate(task, theta),
        "fitted surrogate, at theta": lambda seed: sharp.estimate(task, theta),
        "256 rollouts": lambda seed: plain.estimate(task, theta, seed=seed),
        "256 rollouts with the surrogate as control variate": lambda seed: control.estimate(task, theta, seed=seed),
    }.items():
        off = [float((run(seed).gradient - reference.gradient).norm() / reference.gradient.norm()) for seed in range(8)]
        rows.append((name, f"{statistics.mean(off):.2f}"))
    print()
    table(("relative error against 16,384 rollouts, mean of 8 seeds", ""), rows)


def landscape() -> None:
    grid = cost_on_grid(
        lambda theta: torch.exp(-theta.square().sum(1)), torch.zeros(2, dtype=torch.float64), (0, 1), (-2, -2), (2, 2)
    )
    fit = fit_landscape(grid)
    heading("Fit of the 100 x 100 landscape: 2-100-100-1, 1,000 full-batch steps, one thread")
    print(f"{fit.seconds:.1f} s by the clock, {fit.core_seconds:.1f} core-seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("gradients", "landscape"))
    only = parser.parse_args().only
    if only != "landscape":
        gradients()
    if only != "gradients":
        print()
        landscape()


if __name__ == "__main__":
    main()
