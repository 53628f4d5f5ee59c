"""Speed of an estimate by several processes against one, one thread each, on the push task.

torchrun --nproc-per-node 2 benchmarks/distributed_speed.py

By turns: process 0 alone while the others wait, then all together. Wall time needs a machine that does nothing else;
core time, that of the busiest process, says what the sharing itself costs on a machine that is busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch
from common import heading, table, verdict

import carom
from carom.gradients import Distributed, Smoothing, join_processes


def main(samples: int, repeats: int) -> int:
    torch.set_num_threads(1)
    with join_processes("gloo") as processes:
        task = carom.envs.make("push", start="apart", threads=1)
        theta = task.initial_parameters()
        alone = Smoothing(scale=0.02, samples=samples)
        ways = {"one": alone, "all": Distributed(alone, processes)}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for repeat in range(repeats + 1):
            for name, backend in ways.items():
                processes.meet()
                wall, core = time.perf_counter(), time.process_time()
                if name == "all" or processes.rank == 0:
                    backend.estimate(task, theta, seed=repeat)
                spent = (time.perf_counter() - wall, time.process_time() - core)
                every = processes.exchange(spent)
                if repeat:  # the first is a warm-up
                    times[name].append((every[0][0], max(core for _, core in every)))
        if processes.rank:
            return 0
        heading(f"Push, {samples} samples, {processes.size} processes against one, one thread each")
        print(f"load of the machine: {os.getloadavg()[0]:.1f} over {os.cpu_count()} cores\n")
        table(
            ["", "wall [s]", "core, busiest process [s]"],
            [
                [name, *(f"{statistics.median(column):.3f}" for column in zip(*rows, strict=True))]
                for name, rows in times.items()
            ],
        )
        pairs = list(zip(times["one"], times["all"], strict=True))
        wall, core = (statistics.median(one[i] / both[i] for one, both in pairs) for i in (0, 1))
        least = 0.85 * processes.size
        return verdict(
            {
                f"wall: at least {least:.1f} times one process": (f"{wall:.2f}", wall >= least),
                f"core: at least {least:.1f} times one process": (f"{core:.2f}", core >= least),
            }
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    raise SystemExit(main(options.samples, options.repeats))
