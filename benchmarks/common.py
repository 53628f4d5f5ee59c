"""Common parts of the benchmarks: alternating clocks, a table, and a description of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

__all__ = ["Timing", "alternate", "heading", "machine", "table", "verdict"]


@dataclass
class Timing:
    """Seconds of each repetition of one thing: by the clock on the wall, and summed over the cores it used."""

    wall: list[float]
    core: list[float]

    @property
    def wall_median(self) -> float:
        """Median wall time [s]."""
        return statistics.median(self.wall)

    @property
    def core_median(self) -> float:
        """Median core time [core-seconds]."""
        return statistics.median(self.core)

    def ratio(self, other: Timing, clock: str = "core") -> float:
        """How many times longer than ``other`` this took: the median over repetitions, each against its neighbour."""
        pairs = zip(getattr(self, clock), getattr(other, clock), strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def alternate(things: dict[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, Timing]:
    """Time things by turns, so that whatever else the machine does falls on all of them alike."""
    for run in list(things.values()) * warm_up:
        run()
    times = {name: Timing([], []) for name in things}
    for _ in range(repeats):
        for name, run in things.items():
            wall, core = time.perf_counter(), time.process_time()
            run()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].core.append(time.process_time() - core)
    return times


def machine(device: str = "cpu") -> str:
    """The machine and the versions, in words."""
    import torch

    what = f"{os.cpu_count()} {platform.machine()} cores"
    if device.startswith("cuda"):
        what = torch.cuda.get_device_name(device)
    names = ("warp-lang", "torch", "mujoco")
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return f"{what}, Python {platform.python_version()}, {', '.join(found)}"


def heading(text: str, device: str = "cpu") -> None:
    """Print what is measured and on what."""
    print(f"{text}\n{machine(device)}\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under columns as a Markdown table, the first column flush left."""
    cells = [[str(c) for c in row] for row in rows]
    width = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        first = [row[0].ljust(width[0])]
        return "| " + " | ".join(first + [c.rjust(w) for c, w in zip(row[1:], width[1:], strict=True)]) + " |"

    rule = ["-" * width[0]] + ["-" * (w - 1) + ":" for w in width[1:]]
    print("\n".join([line(list(columns)), line(rule), *map(line, cells)]) + "\n")


def verdict(targets: dict[str, tuple[str, bool]]) -> int:
    """Print each target with what was measured and whether it is met; 0 if all are, else 1."""
    table(["target", "measured", "met"], [(name, got, "yes" if met else "NO") for name, (got, met) in targets.items()])
    return 0 if all(met for _, met in targets.values()) else 1
