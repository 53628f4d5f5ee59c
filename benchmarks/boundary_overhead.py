"""Cost of the search for jumps beyond the rollouts that it runs.

Every call of the task during an estimate is recorded and made again: the same rows in the same calls, and all rows in
one call. By core time, by turns, on one thread; the median of the ratios of neighbours counts.
"""

from __future__ import annotations

import argparse
import sys

import torch
from common import alternate, heading, table, verdict

from carom.envs import make
from carom.gradients import Boundary

MOST = 0.10


class Recorder:
    """A task that keeps the rows it was asked for."""

    def __init__(self, task):
        self.task, self.name, self.calls = task, task.name, []

    def __call__(self, theta):
        """Costs of theta [batch, parameters]."""
        self.calls.append(theta.clone())
        return self.task(theta)


def main() -> int:
    """Run all; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heading("The search for jumps over its rollouts", options.device)
    cases = {
        "corner_push, a jump": (make("corner_push", device=options.device, threads=1), 0.01),
        "push, no jump": (make("push", start="apart", way_points=1, device=options.device, threads=1), 0.02),
    }
    rows, verdicts = [], {}
    for name, (task, scale) in cases.items():
        theta = task.initial_parameters()
        backend = Boundary(scale=scale, samples=options.samples, continuous="line")
        recorder = Recorder(task)
        found = backend.estimate(recorder, theta)

        def bare(calls: list[torch.Tensor] = recorder.calls, task=task) -> None:
            with torch.no_grad():
                for part in calls:
                    task(part).sum().item()

        def batch(calls: list[torch.Tensor] = recorder.calls, task=task) -> None:
            with torch.no_grad():
                task(torch.cat(calls)).sum().item()

        def estimate(task=task, theta=theta, backend=backend) -> None:
            backend.estimate(lambda rows: task(rows), theta).gradient.sum().item()

        times = alternate({"same calls": bare, "one call": batch, "estimate": estimate}, options.repeats)
        clock = "wall" if options.device.startswith("cuda") else "core"
        over = times["estimate"].ratio(times["same calls"], clock) - 1.0
        joined = times["estimate"].ratio(times["one call"], clock) - 1.0
        rows.append([name, found.evaluations, found.diagnostics["jumps"], f"{over:+.1%}", f"{joined:+.1%}"])
        verdicts[f"{name}: at most {MOST:.0%} over its rollouts"] = (f"{over:+.1%}", over <= MOST)
    table(["", "rollouts", "jumps", "over the same calls", "over one call of all"], rows)
    return verdict(verdicts)


if __name__ == "__main__":
    sys.exit(main())
