"""Cost of the exact gradient: time over that of a forward rollout, and memory as the horizon grows.

Memory is measured in a process of its own for every horizon: how far the resident set rises above where it stood after
a short rollout and gradient (which load the kernels and make the batches of worlds), against the size of the stored
states.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import numpy as np
import torch
from common import alternate, heading, table, verdict
from push_scene import push, random_way_points

from carom.envs.tasks.push import Push

HORIZONS = (100, 200, 400, 800)


def state_bytes(task: Push, worlds: int) -> int:
    """Size of the stored states of one step: a pose of 7 and a velocity of 6 numbers a body."""
    return worlds * task.model.bodies * 13 * task.dtype.itemsize


def time_of(worlds: int, repeats: int, device: str) -> dict[str, tuple[str, bool]]:
    """Value and exact gradient over the value alone, 256 worlds of 400 steps, one thread."""
    task = push(device=device, threads=1)
    theta = random_way_points(task, worlds)

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    def forward() -> None:
        with torch.no_grad():
            task(theta)
        wait()

    def both() -> None:
        task.value_and_gradient(theta)
        wait()

    times = alternate({"forward": forward, "forward and backward": both}, repeats)
    clock = "wall" if device.startswith("cuda") else "core"
    ratio = times["forward and backward"].ratio(times["forward"], clock)
    rows = []
    for name, t in times.items():
        seconds = t.wall_median if clock == "wall" else t.core_median
        rows.append([name, f"{seconds:.3f}", f"{1e6 * seconds / worlds / task.steps:.2f}"])
    print(f"{worlds} worlds, {task.steps} steps, one thread, {clock} time, median of {repeats}")
    table(["", "s", "us a world-step"], rows)
    return {"forward and backward at most 4x forward": (f"{ratio:.2f}x", ratio <= 4.0)}


def resident() -> tuple[int, int]:
    """Bytes resident now and at most so far (Linux)."""
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024


def growth(steps: int, worlds: int, device: str) -> int:
    """Peak bytes of value and gradient over ``steps`` steps above those before it; for a fresh process."""
    short, task = (push(device=device, threads=1, duration=0.005 * n) for n in (32, steps))
    task.simulator = short.simulator  # its batches and graphs are made by now
    theta = random_way_points(task, worlds)
    short.value_and_gradient(theta)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        task.value_and_gradient(theta)
        return torch.cuda.max_memory_allocated() - before
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again from here
    before = resident()[0]
    task.value_and_gradient(theta)
    return resident()[1] - before


def memory(worlds: int, device: str) -> dict[str, tuple[str, bool]]:
    """Slope of the peak over the horizon."""
    task = push(device=device)
    state, control = state_bytes(task, worlds), worlds * task.model.actuators * task.dtype.itemsize
    peaks, rows = [], []
    for steps in HORIZONS:
        command = [sys.executable, __file__, "--measure", str(steps), "--worlds", str(worlds), "--device", device]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks.append(int(out.splitlines()[-1]))
        rows.append([steps, f"{peaks[-1] / 2**20:.2f}", f"{steps * state / 2**20:.2f}"])
    slope = np.polyfit(HORIZONS, peaks, 1)[0]
    print(f"{worlds} worlds: peak memory of value and gradient above that of a short one")
    table(["steps", "peak, MiB", "stored states, MiB"], rows)
    print(
        f"slope {slope / 1024:.1f} KiB a step; stored states {state / 1024:.1f}, controls {control / 1024:.1f} "
        f"(input), their gradient {control / 1024:.1f} (output) KiB a step\n"
    )
    bare = slope - 2 * control
    return {
        "memory a step beyond controls and their gradient, over the stored states': at most 1 (+5 %)": (
            f"{bare / state:.2f}", bare <= 1.05 * state,
        ),
    }  # fmt: skip


def main() -> int:
    """Run both; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--worlds", type=int, default=256)
    parser.add_argument("--memory-worlds", type=int, default=2048, help="more, so that pages and pools do not matter")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", type=int, help="print the growth at this horizon and stop (for internal use)")
    args = parser.parse_args()
    if args.measure:
        print(growth(args.measure, args.worlds, args.device))
        return 0
    heading("The exact gradient of the push", args.device)
    targets = time_of(args.worlds, args.repeats, args.device)
    targets |= memory(args.memory_worlds, args.device)
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
