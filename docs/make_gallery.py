"""Make the gallery: docs/gallery.md, its pictures, and those of the README, all from the shipped tasks.

    python docs/make_gallery.py             # everything
    python docs/make_gallery.py push apart  # some entries; gallery.md is written from all

Numbers of rollouts are fixed, so that the same machine makes the same pictures again.
"""

from __future__ import annotations

import io
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import torch
from PIL import Image

import carom
from carom.comparison.studies.all import STUDIES
from carom.render.style import RC
from carom.report.figures.all import describe

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
WIDTH = 1000
"""Width of every picture [pixels]."""


@dataclass(frozen=True)
class Entry:
    """One task at its start, and the figures of its report to show."""

    name: str
    task: str
    heading: str
    figures: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    backends: tuple[str, ...] | None = None
    rollouts: int = 12000
    samples: int = 256
    picture: str | None = None
    """Another name for the picture with all panels, which other pages show."""


ENTRIES = (
    Entry(
        "push", "push", "A box is pushed by a round pusher that touches it from the start.",
        ("field", "curves"), rollouts=3000, picture="push",
    ),
    Entry(
        "apart", "push", "The same from 3 cm away: the exact gradient is zero, the others cross the gap.",
        ("singles", "curves"), {"start": "apart"}, rollouts=3000,
    ),
    Entry(
        "carrots", "carrots", "A blade pushes ten pieces of carrot; the cost is rough below a micrometre.",
        ("bodies", "growth"), backends=("autodiff", "smoothing", "surrogate"), rollouts=750, picture="carrots",
    ),
    Entry(
        "step", "heaviside",
        "A step, at which exact gradients are zero: the zeroth order's variance grows as 1/scale^2.",
        ("slice", "scale"), backends=("autodiff", "smoothing", "smoothing-first"),
    ),
    Entry(
        "stiffness", "stiffness_sweep",
        "An impact through an explicit spring: above 8,000 N/m the variance dominates averaged exact gradients.",
        ("stiffness",), backends=("autodiff", "smoothing", "smoothing-first"),
    ),
    Entry(
        "chaos", "tent_map",
        "The tent map doubles every difference: with the horizon the variance dominates averaged exact gradients.",
        ("growth", "horizon"), backends=("autodiff", "smoothing", "smoothing-first"),
    ),
)  # fmt: skip


def save(figure: Any, path: Path, width: int = WIDTH) -> None:
    """A small PNG: an indexed palette, no metadata."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(buffer, format="png", dpi=200)
    image = Image.open(buffer).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    # by coverage: the median cut would take the few pixels of a backend's colour for a neighbour's
    small = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def make(entry: Entry) -> str:
    """Compute one entry and write its pictures; returns its part of the page."""
    task = carom.envs.make(entry.task, **entry.options)
    result = carom.compare(
        task,
        backends=entry.backends,
        rollouts=entry.rollouts,
        samples=entry.samples,
        settings={"options": entry.options},
        studies=[kind for kind in entry.figures if kind in STUDIES],
    )
    if entry.picture is not None:
        save(result.figure(), IMAGES / f"{entry.picture}.png")
    parts = [f"## {entry.heading}\n", f"`{command(entry)}`: {result.advice.headline}\n"]
    for kind in entry.figures:
        file = f"gallery-{entry.name}-{kind}.png"
        save(result.figure(kind), IMAGES / file)
        caption = describe(result, kind)
        parts.append(f"![{caption.alt}](images/{file})\n\n**{caption.title}** {caption.text}\n")
    return "\n".join(parts)


def command(entry: Entry) -> str:
    """The command that makes this report."""
    options = ",".join(f"{key}={value}" for key, value in entry.options.items())
    parts = ["carom compare", entry.task, f"--rollouts {entry.rollouts}"]
    parts += [f"--options {options}"] if options else []
    parts += [f"--backends {','.join(entry.backends)}"] if entry.backends else []
    return " ".join(parts)


def main(names: list[str]) -> None:
    """Make the entries called ``names``, or all, and put the page together."""
    torch.set_num_threads(1)
    unknown = sorted(set(names) - {entry.name for entry in ENTRIES})
    if unknown:
        raise SystemExit(f"no entry {unknown[0]!r}: there are {', '.join(entry.name for entry in ENTRIES)}")
    page = HERE / "gallery.md"
    made = {}
    for entry in ENTRIES:
        if not names or entry.name in names:
            clock = time.perf_counter()
            made[entry.heading] = make(entry)
            print(f"{entry.name}: {time.perf_counter() - clock:.0f} s", flush=True)
    kept = {**(parts_of(page.read_text()) if page.exists() else {}), **made}
    head = (
        "# Gallery\n\nFigures of reports on the shipped tasks, as `carom compare` makes them, with their captions. "
        "`python docs/make_gallery.py` makes this page and its pictures, and the README's.\n"
    )
    parts = [kept[entry.heading] for entry in ENTRIES if entry.heading in kept]
    page.write_text(once("\n".join([head, *parts])))


def once(text: str) -> str:
    """A caption's second and further appearances without how to read it."""
    seen: set[str] = set()
    lines = []
    for line in text.split("\n"):
        title = line.split("** ")[0] if line.startswith("**") else ""
        lines.append(f"{title}**" if title in seen and "** " in line else line)
        seen.add(title)
    return "\n".join(lines)


def parts_of(text: str) -> dict[str, str]:
    """Text that the page has already, by heading."""
    parts = text.split("\n## ")[1:]
    return {part.split("\n", 1)[0]: f"## {part.rstrip()}\n" for part in parts}


if __name__ == "__main__":
    main(sys.argv[1:])
