"""Where the time of a step goes: each kernel of the push, forward and backward, launched many times over.

A push of half a second fills a batch's buffers, so that contacts, slip and solves are those of a real push. Then every
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
from carom.kernels.collision import broad_phase
from carom.kernels.collision.driver import detect
from carom.kernels.contact import contact_rows
from carom.kernels.solver import adjoint
from carom.sim.stepping.world_batch import WorldBatch
from carom.sim.streams import hand_to_torch, hand_to_warp

STEP = 2
"""Which step of the batch's last segment is measured."""


def filled_batch(worlds: int, device: str, dtype: str, step: float) -> WorldBatch:
    """A batch in the middle of a push."""
    task = push(step=step, duration=0.5, dtype=dtype, device=device, threads=1)
    task.rollout(random_way_points(task, worlds), record=False)
    (graphs,) = task.simulator.pool.batches
    batch = graphs.batch
    batch.report.clear()
    batch.add_adjoints()
    batch.list_contacts(STEP, batch.stage())
    hand_to_torch(device)
    batch.adj_v_view.normal_()
    batch.adj_q_view.normal_()
    hand_to_warp(device)
    return batch


def kernels(batch: WorldBatch) -> dict[str, Callable[[], object]]:
    """Every launch of a step by name."""
    a, real, stage, h = batch.arrays, batch.real, batch.stage(), batch.options.step
    eps = {"eps": batch.options.stiction, "angular_eps": batch.options.angular_stiction}
    q, v, q1, v1 = batch.q[STEP], batch.v[STEP], batch.q[STEP + 1], batch.v[STEP + 1]
    f, adj = batch.features, batch.adjoints
    assert adj is not None
    g = dataclasses.replace(adj, body_q=batch.adj_q[STEP], body_v0=batch.adj_v[STEP], control=batch.adj_control[STEP])
    return {
        "detect": lambda: detect(
            real, shapes=a.shapes, gravity=a.gravity, body_q=q, body_v=v, near=batch.near, features=f,
            margin=batch.margin + batch.softened_reach(stage), **batch._detect,
        ),
        "missed pairs": lambda: broad_phase.find_missed_pairs(
            real, a.shapes, batch.solved, batch.near, look_ahead=batch.look_ahead,
            softened_reach=batch.softened_reach(stage), first_pass=True,
            failures=None,
        ),
        "rows": lambda: contact_rows.prepare(real, a, q, v, f, stage.rows, h=h,
            even=batch.options.even_faces, **eps),
        "solve": lambda: stage.solver.solve(q, v, batch.control[STEP], f.count, stage.rows, batch.solved, batch.report),
        "integrate": lambda: integrate.integrate(real, a, q, batch.solved, batch.solved, q1, v1, h=h),
        "integrate, adjoint": lambda: integrate.integrate_adjoint(
            real, a, q, batch.solved, batch.solved, q1, v1, batch.adj_q[STEP + 1], batch.adj_v[STEP + 1], g.body_q,
            batch.adj_solved, batch.adj_solved, g.body_inertia, h=h,
        ),
        "solve, adjoint": lambda: stage.solver.adjoint(q, v, batch.solved, f.count, stage.rows, batch.adj_solved, g),
        "residual, adjoint": lambda: adjoint.residual_adjoint(
            real, a, q, v, batch.solved, batch.control[STEP], f, stage.rows, g, h=h, **eps
        ),
    }  # fmt: skip


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--worlds", type=int, default=128, help="at most 128 on the CPU: one batch")
    parser.add_argument("--step", type=float, default=0.005)
    parser.add_argument("--launches", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    heading("Kernels of a step", args.device)
    batch = filled_batch(args.worlds, args.device, args.dtype, args.step)
    graphs = {}
    for name, launch in kernels(batch).items():
        launch()
        with wp.ScopedCapture(device=batch.device) as capture:
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
    contacts, report = batch.features.count.numpy().mean(), batch.report
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
