"""Program of each process of ``test_distributed.py``: python distributed_worker.py MODE FOLDER."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch

from carom.gradients import Distributed, GradientError, Smoothing, join_processes

THETA = torch.tensor([[0.1, -0.2, 0.3], [1.0, 0.5, -0.5]], dtype=torch.float64)
MATRIX = ((0.1, 0.02, 0.0), (0.0, 0.2, 0.0), (0.03, 0.0, 0.1))
CASES = {
    "pairs": Smoothing(scale=0.1, samples=250),
    "first": Smoothing(scale=0.1, samples=250, order="first"),
    "matrix": Smoothing(scale=MATRIX, samples=251, antithetic=False),
    "value": Smoothing(scale=0.1, samples=101, antithetic=False, baseline="value", chunk=10),
    "drop": Smoothing(scale=0.5, samples=101, antithetic=False, non_finite="drop"),
    "fewer units than processes": Smoothing(scale=0.1, samples=6),
    "replications": Smoothing(scale=0.1, samples=96, antithetic=False, sampling="latin_hypercube", replications=3),
    "sobol": Smoothing(scale=0.1, samples=96, antithetic=False, sampling="rqmc", replications=3),
}


def cost(theta):
    """A jump, a bowl, a large offset; not finite far out."""
    bowl = theta.square().sum(1) + torch.sin(3.0 * theta[:, 0])
    return torch.where(theta[:, 1] > 2.0, torch.nan, bowl + (theta[:, 2] > 0.3) + 1e3)


def values(processes, folder):
    """Estimates of all cases, then what each process gets to hear when something is wrong in one of them."""
    answers = {name: Distributed(case, processes).estimate(cost, THETA, seed=5) for name, case in CASES.items()}
    last = processes.size - 1

    def broken(theta):
        if processes.rank == last:
            raise ZeroDivisionError("nothing to divide by")
        return cost(theta)

    heard = []
    for objective, seed in ((broken, 0), (cost, processes.rank)):
        try:
            Distributed(CASES["pairs"], processes).estimate(objective, THETA, seed=seed)
        except (GradientError, ZeroDivisionError) as error:
            heard.append(f"{type(error).__name__}: {error}")
    again = Distributed(CASES["pairs"], processes).estimate(cost, THETA, seed=5)
    numbers = {name: (e.value, e.gradient, e.standard_error, e.evaluations) for name, e in answers.items()}
    torch.save({"numbers": numbers, "heard": heard, "again": again.gradient}, folder / f"{processes.rank}.pt")


def lost(processes, how):
    """Process 1 goes, or stays, while it computes its share."""

    def objective(theta):
        if processes.rank == 1:
            if how == "hang":
                time.sleep(120.0)
            os.kill(os.getpid(), signal.SIGKILL)
        return cost(theta)

    Distributed(CASES["pairs"], processes).estimate(objective, THETA)


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Killed: noticed long before the time-out. Hanging: after it.
    with join_processes("gloo", timeout={"hang": 2.0}.get(sys.argv[1], 500.0)) as found:
        if sys.argv[1] == "values":
            values(found, Path(sys.argv[2]))
        else:
            lost(found, sys.argv[1])
