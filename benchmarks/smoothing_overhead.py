"""Cost of a smoothed estimate beyond the batched rollouts that it needs: noise, moments and checks.

The bare rollouts are one call of the task on rows made beforehand; both by core time, by turns, on one thread, and the
median of the ratios of neighbours counts.
"""

from __future__ import annotations

import argparse
import sys

import torch
from common import alternate, heading, table, verdict
from push_scene import push, random_way_points

from carom.gradients import Smoothing

MOST = 0.05


def main() -> int:
    """Run all; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heading("A smoothed estimate over the rollouts it needs", options.device)
    task = push(device=options.device, threads=1)
    theta = random_way_points(task, 1)[0]
    kinds = {
        "pairs": Smoothing(samples=options.samples),
        "leave-one-out": Smoothing(samples=options.samples, antithetic=False),
        "scrambled Sobol' points": Smoothing(samples=options.samples, sampling="rqmc"),
        "chunks of 256": Smoothing(samples=options.samples, chunk=256),
        "with the gradient of L": Smoothing(
            samples=options.samples, scale=(0.02 * torch.eye(len(theta))).tolist(), antithetic=False
        ),
    }
    rows, verdicts = [], {}
    for name, backend in kinds.items():
        run = backend.start_run(task, theta, seed=0)
        signs = torch.tensor(run.signs, dtype=theta.dtype, device=theta.device)[:, None]
        moved = (theta + signs * run.perturbation.draw(0, run.units).moves.to(theta)[:, None]).flatten(0, 1)

        def bare(moved: torch.Tensor = moved, size: int = backend.chunk or options.samples) -> None:
            with torch.no_grad():
                for part in moved.split(size):
                    task(part).sum().item()

        def estimate(backend: Smoothing = backend, name: str = name) -> None:
            if name == "with the gradient of L":
                backend.estimate_with_scale(task, theta)[0].gradient.sum().item()
            else:
                backend.estimate(task, theta).gradient.sum().item()

        times = alternate({"bare": bare, "estimate": estimate}, options.repeats)
        clock = "wall" if options.device.startswith("cuda") else "core"
        over = times["estimate"].ratio(times["bare"], clock) - 1.0
        seconds = [t.wall_median if clock == "wall" else t.core_median for t in times.values()]
        rows.append([name, f"{seconds[0]:.3f}", f"{seconds[1]:.3f}", f"{over:+.1%}"])
        verdicts[f"{name}: at most {MOST:.0%} over the rollouts"] = (f"{over:+.1%}", over <= MOST)
    print(
        f"push, {options.samples} rollouts of {task.steps} steps, {len(theta)} parameters, median of {options.repeats}"
    )
    table(["", "rollouts s", "estimate s", "over"], rows)
    return verdict(verdicts)


if __name__ == "__main__":
    sys.exit(main())
