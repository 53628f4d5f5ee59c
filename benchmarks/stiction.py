"""The stiction speed: what holds better with a smaller one, and what it costs.

Creep is that of 2 s: of the crown of an arch of eleven wedges a little thicker than it must be, and of a box that two
pads hold. Rolling is the deviation of a ball's final speed from 5/7 of its first. Swing is that of the speed of a box
that is pushed along at its centre, in parts of its mean, in the second half of the push: it should be none.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import alternate, heading, table
from pile_scene import pile
from push_scene import push, random_way_points

from carom.sim import ModelBuilder, SimulationError, Simulator

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from masonry import arch

STICTION = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
SECONDS = 2.0


def with_stiction(task: Any, stiction: float) -> Any:
    """The task with another stiction speed [m/s]."""
    options = dataclasses.replace(task.simulator.options, stiction=stiction)
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    other = task.variant()
    other.simulator = Simulator(task.simulator.model, **given)
    return other


def creep_of_arch(stiction: float, dtype: str) -> float:
    """How far the crown sinks after the first half second [mm]."""
    model = arch(0.115, friction=0.7).finalize(dtype=dtype)
    simulator = Simulator(model, stiction=stiction, threads=1)
    z = simulator.rollout(model.state(), steps=round(SECONDS / 0.005)).body_q[:, 0, :, 2]
    return 1e3 * float((z[100] - z[-1]).abs().max())


def creep_of_grip(stiction: float, dtype: str) -> float:
    """How far a box of 1 kg slips between two pads that press with 2.5 times the least force, after 0.5 s [mm]."""
    b = ModelBuilder()
    friction, weight = 0.5, 9.81
    press = 2.5 * weight / (2.0 * friction)
    for side in (-1.0, 1.0):
        pad = b.add_body(position=(0.06 * side, 0, 0), mass=0.2, locked=("y", "z", "rx", "ry", "rz"))
        b.add_box(pad, (0.01, 0.03, 0.03), friction=friction)
        b.add_actuator(pad, "x", "force")
    b.add_box(b.add_body(position=(0, 0, 0), mass=1.0), (0.05, 0.05, 0.05), friction=friction)
    model = b.finalize(dtype=dtype)
    steps = round(SECONDS / 0.005)
    control = torch.tensor([press, -press], dtype=model.dtype).expand(steps, 1, 2)
    z = Simulator(model, stiction=stiction, threads=1).rollout(model.state(), control, steps=steps).body_q[:, 0, 2, 2]
    return 1e3 * float(z[100] - z[-1])


def error_of_rolling(stiction: float, dtype: str) -> float:
    """Deviation of a ball's speed from 5/7 of its first, once it rolls, as a part of it."""
    b = ModelBuilder()
    b.add_ground(friction=0.5)
    b.add_sphere(b.add_body(position=(0, 0, 0.05), velocity=(1, 0, 0)), 0.05, density=1000.0, friction=0.5)
    model = b.finalize(dtype=dtype)
    t = Simulator(model, step=0.002, stiction=stiction, threads=1).rollout(model.state(), steps=500)
    return abs(float(t.final.body_v[0, 0, 0]) * 7.0 / 5.0 - 1.0)


def swing_of_push(stiction: float, dtype: str) -> float:
    """Greatest less least speed of a box in the second half of a centred push, over its mean."""
    task = push(dtype=dtype, threads=1, offset=0.0, stiction=stiction)
    x = task.record(task.initial_parameters()[None]).body_q[:, 0, 0, 0]
    speed = x[len(x) // 2 + 1 : -20] - x[len(x) // 2 : -21]
    return float((speed.max() - speed.min()) / speed.mean())


def outcome(measure: Callable[[], float], digits: int = 2) -> str:
    """A number, or that the solve failed."""
    try:
        return f"{measure():.{digits}g}"
    except SimulationError as error:
        return type(error).__name__


def main() -> int:
    """Print a table for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--pieces", type=int, default=10, help="of carrot, in the pile")
    args = parser.parse_args()
    heading("Stiction speed")
    for dtype in ("float32", "float64"):
        tasks = {"push": push(dtype=dtype, threads=1), "pile": pile(args.pieces, dtype=dtype, threads=1)}
        rows = []
        for stiction in STICTION:
            row = [f"{stiction:g}"]
            for name, task in tasks.items():
                other, theta = with_stiction(task, stiction), random_way_points(task, args.worlds)

                def run(task: Any = other, theta: torch.Tensor = theta) -> None:
                    task.rollout(theta, record=False)

                try:
                    d = other.rollout(theta, record=False).diagnostics
                    row.append(f"{float(d.iterations.double().mean()) / d.steps:.2f}")
                    base = with_stiction(task, STICTION[0])
                    times = alternate(
                        {"base": lambda base=base, theta=theta: base.rollout(theta, record=False), "this": run},
                        args.repeats if name == "push" else 3,
                    )
                    row.append(f"{times['this'].ratio(times['base']):.2f}")
                except SimulationError as error:
                    row += [type(error).__name__, "-"]
                if name == "push":
                    gradient = other.value_and_gradient(theta)[1].norm(dim=1).tolist()
                    row.append(f"{statistics.median(gradient):.3g}")
            row += [
                outcome(functools.partial(measure, stiction, dtype))
                for measure in (swing_of_push, creep_of_arch, creep_of_grip, error_of_rolling)
            ]
            rows.append(row)
        print(f"\n{dtype}")
        table(
            ["stiction [m/s]", "push: iterations", "time", "|gradient|", "pile: iterations", "time",
             "push swings", "arch creeps [mm]", "grip slips [mm]", "rolling off"],
            rows,
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
