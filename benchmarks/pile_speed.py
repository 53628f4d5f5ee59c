"""The carrot pile swept by the blade: core-seconds a simulated second, carom against MuJoCo C, by turns in one run.

Then what the exact gradient costs, and what grows with the horizon. The peer is MuJoCo with all its defaults, at its
default step of 2 ms (the target) and at carom's 5 ms; hulls with one contact each or several, whichever is faster.
"""

from __future__ import annotations

import argparse
import resource
import sys

import torch
from common import alternate, heading, table, verdict
from pile_scene import MujocoPile, lyapunov, pile

CORE_SECONDS = 0.55
"""Target for 100 pieces [core-s a simulated s]."""

RECORDED = 4
"""Runs after which the graphs of a push are recorded, at steps of up to 10 ms."""


def against_mujoco(pieces: int, repeats: int, step: float) -> dict[str, tuple[str, bool]]:
    """One world, one thread each."""
    task = pile(pieces, step, threads=1)
    theta = task.initial_parameters()[None]
    duration = task.push_steps * step
    peers = {
        (h, several): MujocoPile(task, h, several) for h in (0.002, 0.005) for several in (False, True)
    }  # fmt: skip
    things = {"carom": lambda: task.rollout(theta, record=False)}
    for _ in range(RECORDED):
        things["carom"]()
    names = {key: f"mujoco, {1e3 * key[0]:g} ms, {'several' if key[1] else 'one'} per pair" for key in peers}
    times = alternate(things | {names[key]: peer.run for key, peer in peers.items()}, repeats)
    mine = times["carom"]
    costs = {"carom": float(task(theta)[0])} | {names[key]: lyapunov(task, peer.run()) for key, peer in peers.items()}
    done = task.rollout(theta, record=False).diagnostics
    print(
        f"{pieces} pieces, {duration:g} s; carom: {float(done.iterations[0]) / task.push_steps:.1f} Newton iterations "
        f"a step, at most {int(done.contacts[0])} contacts listed"
    )
    rows = [
        [
            name if name != "carom" else f"carom, {1e3 * step:g} ms", f"{t.core_median / duration:.3f}",
            f"{min(t.core) / duration:.3f}", f"{t.ratio(mine):.2f}", f"{1e3 * costs[name]:.1f}",
        ]
        for name, t in times.items()
    ]  # fmt: skip
    table(["", "core-s a simulated s", "fastest", "times carom's", "cost at the end, mm"], rows)
    best = min(times[names[0.002, several]].ratio(mine) for several in (False, True))
    targets = {f"{pieces} pieces: at least 3x MuJoCo at 2 ms": (f"{best:.2f}x", best >= 3.0)}
    if pieces == 100:
        spent = mine.core_median / duration
        targets[f"100 pieces: at most {CORE_SECONDS} core-seconds a simulated second"] = (
            f"{spent:.2f}", spent <= CORE_SECONDS,
        )  # fmt: skip
    return targets


def backward(pieces: int, repeats: int, step: float) -> dict[str, tuple[str, bool]]:
    """Forward and exact gradient over forward."""
    task = pile(pieces, step, threads=1)
    theta = task.initial_parameters()[None]

    def forward() -> None:
        task.rollout(theta, record=False)

    for _ in range(RECORDED):
        task.value_and_gradient(theta)
    times = alternate({"forward": forward, "both": lambda: task.value_and_gradient(theta)}, repeats)
    ratio = times["both"].ratio(times["forward"])
    print(f"{pieces} pieces: forward and backward {ratio:.2f}x forward")
    return {f"{pieces} pieces: forward and backward at most 5x forward": (f"{ratio:.2f}x", ratio <= 5.0)}


def memory(pieces: int, step: float) -> dict[str, tuple[str, bool]]:
    """How the peak of value and gradient grows when the horizon grows threefold, over the states stored."""
    task = pile(pieces, step, threads=1)
    action = task.initial_parameters()
    controls = task._targets(action[None])
    worlds = 8
    state = task.pile_state(worlds)
    peaks = []
    lengths = (1000, 3000)
    for steps in (400, *lengths):  # the first run records the graphs, which do not grow
        index = torch.linspace(0, len(controls) - 1, steps).long()
        control = controls[index].expand(-1, worlds, -1).contiguous().requires_grad_()
        final = task.simulator.rollout(state, control, record=False).final
        final.body_q[..., :2].sum().backward()
        del final  # and the path that it remembers
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    stored = worlds * task.model.bodies * 13 * torch.finfo(task.dtype).bits // 8
    inputs = 2 * worlds * 4 * torch.finfo(task.dtype).bits // 8
    grown = (peaks[2] - peaks[1]) / (lengths[1] - lengths[0])
    print(
        f"{pieces} pieces, {worlds} worlds: {grown / 1024:.1f} KiB a step; states {stored / 1024:.1f}, "
        f"controls and their gradient {inputs / 1024:.1f}"
    )
    return {
        "memory that grows with the horizon, over states and controls": (
            f"{grown / (stored + inputs):.2f}",
            grown <= 1.3 * (stored + inputs),
        )
    }


def main() -> int:
    """Run everything; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--step", type=float, default=0.005, help="carom's step [s]")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    heading("Speed of the pile")
    targets = memory(args.pieces[0], args.step)
    for pieces in args.pieces:
        targets |= against_mujoco(pieces, args.repeats, args.step)
        targets |= backward(pieces, args.repeats, args.step)
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
