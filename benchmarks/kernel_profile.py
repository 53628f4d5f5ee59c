"""Where the time of a step goes: each kernel of the push, forward and backward, launched many times over.

A push of half a second fills a lane's buffers, so that contacts, slip and solves are those of a real push. Then every
kernel is recorded many times into a graph of its own, and the graphs are replayed by turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable

import torch
import warp as wp
from common import alternate, heading, table
from push_scene import push, random_way_points

from carom.kernels.bodies import integrate
from carom.kernels.collision.driver import detect
from carom.kernels.contact import contact_rows as rows
from carom.kernels.solver import adjoint
from carom.sim.stepping.launch_graphs import Lane
from carom.sim.streams import hand_to_torch, hand_to_warp

STEP = 2
"""Which step of the lane's last segment is measured."""


def filled_lane(worlds: int, device: str, dtype: str, step: float) -> Lane:
    """A lane in the middle of a push."""
    task = push(step=step, duration=0.5, dtype=dtype, device=device, threads=1)
    task.rollout(random_way_points(task, worlds), record=False)
    ((lane,),) = task.simulator._lanes.values()
    lane.report.clear()
    lane.add_adjoints()
    lane.list_contacts(STEP, lane.law())
    hand_to_torch(device)
    lane.adj_v_view.normal_()
    lane.adj_q_view.normal_()
    hand_to_warp(device)
    return lane


def kernels(lane: Lane) -> dict[str, Callable[[], object]]:
    """Every launch of a step by name."""
    a, real, law, h = lane.arrays, lane.real, lane.law(), lane.options.step
    eps = {"eps": lane.options.stiction, "angular_eps": lane.options.angular_stiction}
    q, v, q1, v1 = lane.q[STEP], lane.v[STEP], lane.q[STEP + 1], lane.v[STEP + 1]
    f, adj = lane.features, lane.adjoints
    assert adj is not None
    g = dataclasses.replace(adj, body_q=lane.adj_q[STEP], body_v0=lane.adj_v[STEP], control=lane.adj_control[STEP])
    return {
        "detect": lambda: detect(
            real, shape_type=a.shape_type, shape_body=a.shape_body, shape_size=a.shape_size, shape_pose=a.shape_pose,
            gravity=a.gravity, body_q=q, body_v=v, near=lane.near, features=f, margin=lane._margin + lane._felt(law),
            **lane._detect,
        ),
        "overlooked": lambda: lane._overlooked(STEP, law),
        "rows": lambda: rows.prepare(real, a, q, v, f, law.rows, h=h, margin=lane.margin, **eps),
        "solve": lambda: law.solver.solve(q, v, lane.control[STEP], f.count, law.rows, v1, lane.report),
        "integrate": lambda: integrate.integrate(real, a, q, v, v1, q1, h=h),
        "integrate, adjoint": lambda: integrate.integrate_adjoint(
            real, a, q, v, v1, q1, lane.adj_q[STEP + 1], g.body_q, g.body_v0, lane.adj_v[STEP + 1], g.body_inertia, h=h
        ),
        "solve, adjoint": lambda: law.solver.adjoint(q, v, v1, f.count, law.rows, lane.adj_v[STEP + 1], g),
        "residual, adjoint": lambda: adjoint.residual_adjoint(
            real, a, q, v, v1, lane.control[STEP], f, law.rows, g, h=h, margin=lane.margin, **eps
        ),
    }  # fmt: skip


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--worlds", type=int, default=128, help="at most 128 on the CPU: one lane")
    parser.add_argument("--step", type=float, default=0.005)
    parser.add_argument("--launches", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    heading("Kernels of a step", args.device)
    lane = filled_lane(args.worlds, args.device, args.dtype, args.step)
    graphs = {}
    for name, launch in kernels(lane).items():
        launch()
        with wp.ScopedCapture(device=lane.device) as capture:
            for _ in range(args.launches):
                launch()
        graphs[name] = capture.graph

    def replay(name: str) -> None:
        wp.capture_launch(graphs[name])
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()

    times = alternate({name: (lambda name=name: replay(name)) for name in graphs}, args.repeats)
    micro = {
        name: 1e6 * (t.wall_median if args.device != "cpu" else min(t.core)) / (args.launches * args.worlds)
        for name, t in times.items()
    }
    forward = sum(micro[n] for n in ("detect", "rows", "solve", "integrate"))
    backward = sum(micro.values()) - micro["solve"] - micro["integrate"]
    contacts, report = lane.features.count.numpy().mean(), lane.report
    iterations = report.iterations.numpy().sum() / report.steps.numpy().sum()
    print(f"{args.worlds} worlds, {contacts:.1f} contacts and {iterations:.2f} Newton iterations each, {args.dtype}")
    print(f"forward {forward:.2f} us a world-step, backward {backward:.2f} us (detect and rows run in both)")
    lines = []
    for name, t in micro.items():
        in_forward = f"{t / forward:.0%}" if name in ("detect", "rows", "solve", "integrate") else ""
        in_backward = f"{t / backward:.0%}" if name not in ("solve", "integrate") else ""
        lines.append([name, f"{t:.3f}", in_forward, in_backward])
    table(["kernel", "us a world-step", "of forward", "of backward"], lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
