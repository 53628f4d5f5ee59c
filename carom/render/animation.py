"""A recording as a film, from above or in perspective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..plain import plain_numbers
from ..sim import Recording, RecordingError
from .film import film_interval, film_steps, write_film
from .style import RC
from .topdown import TopDown

__all__ = ["CAMERAS", "animate"]

CAMERAS = ("topdown", "perspective")
_DPI = 100


@plain_numbers
def animate(
    recording: Recording,
    path: str | Path,
    *,
    camera: str = "topdown",
    fps: float = 25.0,
    speed: float = 1.0,
    world: int = 0,
    size: int = 480,
    forces: bool = True,
    colors: Mapping[str, str] | None = None,
    goal: np.ndarray | None = None,
    limits: Sequence[float] | None = None,
    title: str = "",
    device: str = "cpu",
) -> Path:
    """Draw one world of ``recording`` and write it as a film; returns the path.

    Args:
        recording: Recording to draw.
        path: File to write, ending in .gif or .mp4; it appears whole or not at all.
        camera: "topdown", or "perspective".
        fps: Pictures a second. GIF counts in hundredths of a second: the nearest rate that it knows is taken.
        speed: Seconds of the run in a second of the film.
        world: World of the recording.
        size: Width of the pictures [pixels]; from above, the height follows from the scene.
        forces: Whether contacts and their forces (from above, the horizontal ones) are drawn.
        colors: Colours of bodies by name.
        goal: Outline of a goal [n, 2], m.
        limits: Region shown from above: x from, to, y from, to [m]; by default all that the bodies reach.
        title: Text above the pictures.
        device: Device on which a perspective is computed.

    Raises:
        RecordingError: A world that is not there, or an option that cannot be.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    interval = film_interval(path, fps)
    if camera not in CAMERAS:
        raise RecordingError(f"camera is one of {', '.join(CAMERAS)}; got {camera!r}")
    if not 100 <= size <= 4000:
        raise RecordingError(f"size is the width of the pictures, 100 to 4000 pixels; got {size}")
    steps = film_steps(recording, interval, speed)
    if camera == "perspective":
        from .perspective import perspective_frames  # loads Warp's kernels

        frames = perspective_frames(
            recording,
            steps,
            size=size,
            title=title,
            forces=forces,
            world=world,
            colors=colors,
            goal=goal,
            device=device,
        )
    else:
        frames = _frames(recording, steps, size, title, forces, world=world, colors=colors, goal=goal, limits=limits)
    with matplotlib.rc_context(RC):
        write_film(path, frames, interval)
    return path


def _frames(
    recording: Recording, steps: list[int], size: int, title: str, forces: bool, **options: Any
) -> Iterator[Image.Image]:
    """Pictures, one a step. Artists that do not move are drawn once."""
    figure = Figure(figsize=(size / _DPI, size / _DPI), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    scene = TopDown(axes, recording, steps=steps, forces=forces, **options)
    width, height = (abs(np.subtract(*ends)) for ends in (axes.get_xlim(), axes.get_ylim()))
    labels = 0.9 if forces or title else 0.7
    figure.set_size_inches(size / _DPI, round(((size / _DPI - 0.7) * height / width + labels) * _DPI) / _DPI)
    clock = axes.set_title("t = 0.00 s", loc="right", fontweight="normal", fontsize=9.0)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontsize=10.0, fontweight="bold")
    scene.show(steps[0])
    for artist in (*scene.moving, clock):
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for step in steps:
        scene.show(step)
        clock.set_text(f"t = {recording.times[step]:.2f} s")
        canvas.restore_region(still)
        for artist in (*scene.moving, clock):
            artist.draw(canvas.get_renderer())
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
