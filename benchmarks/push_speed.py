"""Simulated seconds per core-second of the push: carom against MuJoCo C (``mujoco.rollout``), by turns in one run.

The peer is MuJoCo at its best: whichever of its settings is faster, with its own compiled contact pairs.
"""

from __future__ import annotations

import argparse
import os
import sys

import torch
from common import Timing, alternate, heading, table, verdict
from push_scene import DEFAULT, ELLIPTIC, MujocoPush, push, random_way_points


def synchronized(run: object, device: str) -> object:
    """``run`` followed by a wait for the GPU."""

    def both() -> None:
        run()  # type: ignore[operator]
        torch.cuda.synchronize()

    return both if device.startswith("cuda") else run


def against_mujoco(worlds: int, repeats: int, device: str, step: float) -> dict[str, tuple[str, bool]]:
    """One thread each, at the same way-points."""
    ours = push(step=step, dtype="float32", device=device, threads=1)
    theta = random_way_points(ours, worlds)
    duration = ours.steps * step
    things = {"carom": synchronized(lambda: ours.rollout(theta, record=False), device)}
    for h in (0.002, 0.005):
        for name, setting in (("default", DEFAULT.at(h)), ("elliptic", ELLIPTIC.at(h))):
            things[f"mujoco {name}, {1e3 * h:g} ms"] = MujocoPush(ours, setting, theta).run
    times = alternate(things, repeats)
    mine = times["carom"]
    clock = "wall" if device.startswith("cuda") else "core"

    def row(name: str, t: Timing) -> list[str]:
        h = step if name == "carom" else (0.002 if "2 ms" in name else 0.005)
        name = f"carom, {1e3 * h:g} ms" if name == "carom" else name
        seconds = t.wall_median if clock == "wall" else t.core_median
        micro = 1e6 * seconds / (worlds * round(duration / h))
        return [name, f"{micro:.2f}", f"{worlds * duration / seconds:.0f}", f"{t.ratio(mine, clock):.2f}"]

    print(f"{worlds} worlds, {duration:g} s each, one thread, median of {repeats}; {clock} time")
    table(["", "us a world-step", "simulated s per s", "times carom's"], [row(n, t) for n, t in times.items()])
    targets = {}
    for h, factor in ((0.002, 5.0), (0.005, 2.0)):
        best = min(t.ratio(mine, clock) for name, t in times.items() if name.endswith(f" {1e3 * h:g} ms"))
        targets[f"at least {factor:g}x MuJoCo at {1e3 * h:g} ms"] = (f"{best:.2f}x", best >= factor)
    return targets


def threads(worlds: int, repeats: int, step: float) -> dict[str, tuple[str, bool]]:
    """All cores against one, by the clock on the wall; MuJoCo's threads beside it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    one, every = (push(step=step, dtype="float32", threads=n) for n in (1, cores))
    theta = random_way_points(one, worlds)
    peer_one, peer_every = (MujocoPush(one, DEFAULT, theta, threads=n) for n in (1, cores))
    times = alternate(
        {
            "one": lambda: one.rollout(theta, record=False),
            "every": lambda: every.rollout(theta, record=False),
            "peer one": peer_one.run,
            "peer every": peer_every.run,
        },
        repeats,
    )
    gain = times["one"].ratio(times["every"], "wall")
    peer = times["peer one"].ratio(times["peer every"], "wall")
    best = min(times["one"].wall) / min(times["every"].wall)
    print(f"{cores} threads against one, {worlds} worlds, wall time")
    print(f"carom {gain:.2f}x (the fastest of each: {best:.2f}x), MuJoCo {peer:.2f}x\n")
    return {f"{cores} cores at least {0.85 * cores:g}x one": (f"{best:.2f}x", best >= 0.85 * cores)}


def worlds_at_once(repeats: int, device: str, step: float, counts: tuple[int, ...]) -> None:
    """How the time of a world-step depends on the number of worlds."""
    task = push(step=step, dtype="float32", device=device, threads=1)
    rows = []
    for worlds in counts:
        theta = random_way_points(task, worlds)
        run = synchronized(lambda theta=theta: task.rollout(theta, record=False), device)
        t = alternate({"carom": run}, repeats)["carom"]
        rows.append(
            [worlds, f"{1e6 * t.wall_median / (worlds * task.steps):.3f}", f"{worlds * 2.0 / t.wall_median:.0f}"]
        )
    table(["worlds", "us a world-step", "simulated s per s"], rows)


def main() -> int:
    """Run everything; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--worlds", type=int, default=256)
    parser.add_argument("--step", type=float, default=0.005, help="carom's step [s]")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    heading("Speed of the push", args.device)
    targets = against_mujoco(args.worlds, args.repeats, args.device, args.step)
    if args.device == "cpu":
        targets |= threads(args.worlds, args.repeats, args.step)
        worlds_at_once(max(3, args.repeats // 2), args.device, args.step, (1, 16, 256, 4096))
    else:
        worlds_at_once(args.repeats, args.device, args.step, (256, 4096, 16384, 65536))
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
