"""A recording as a film from above (GIF)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..sim import Recording, RecordingError
from .folder import OutputError
from .style import RC
from .topdown import TopDown

__all__ = ["animate", "frame_steps"]

_DPI = 100
_HOLD = 0.8
"""Seconds for which the last picture stays before the film starts again."""


def animate(
    recording: Recording,
    path: str | Path,
    *,
    fps: float = 25.0,
    speed: float = 1.0,
    world: int = 0,
    size: int = 480,
    forces: bool = True,
    colors: Mapping[str, str] | None = None,
    goal: np.ndarray | None = None,
    limits: Sequence[float] | None = None,
    title: str = "",
) -> Path:
    """Draw one world of ``recording`` from above and write it as an animated GIF; returns the path.

    Args:
        recording: What to draw.
        path: File to write, ending in .gif; it appears whole or not at all.
        fps: Pictures a second. GIF counts in hundredths of a second: the nearest rate that it knows is taken.
        speed: Seconds of the run in a second of the film.
        world: Which world of the recording.
        size: Width of the pictures [pixels]; the height follows from the scene.
        forces: Whether contacts and their horizontal forces are drawn.
        colors: Colours of bodies by name.
        goal: Outline of a goal [n, 2], m.
        limits: What is shown: x from, to, y from, to [m]; by default all that the bodies reach.
        title: Text above the pictures.

    Raises:
        RecordingError: A world that is not there, or an option that cannot be.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise RecordingError(f"animate writes GIF files: name {path} with the ending .gif")
    if not 100 <= size <= 4000:
        raise RecordingError(f"size is the width of the pictures, 100 to 4000 pixels; got {size}")
    steps, delay = frame_steps(recording, fps, speed)
    try:
        handle, temporary = tempfile.mkstemp(prefix=".carom-", suffix=".gif", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        with matplotlib.rc_context(RC):
            frames = list(
                _frames(recording, steps, size, title, forces, world=world, colors=colors, goal=goal, limits=limits)
            )
            _write(frames, temporary, delay)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    return path


def frame_steps(recording: Recording, fps: float, speed: float) -> tuple[list[int], int]:
    """Steps to draw, the first and the last among them, and the time between them in the film [1/100 s]."""
    if not 1.0 <= fps <= 50.0:
        raise RecordingError(f"fps must be 1 to 50 pictures a second, which is what GIF can show; got {fps:g}")
    if not (0.0 < speed < float("inf")):
        raise RecordingError(f"speed must be positive and finite, got {speed:g}")
    delay = max(2, round(100.0 / fps))
    each = speed * delay / 100.0 / recording.step_size
    steps = np.arange(0.0, recording.steps + 1e-9, each).round().astype(int).tolist()
    return (steps if steps[-1] == recording.steps else [*steps, recording.steps]), delay


def _frames(
    recording: Recording, steps: list[int], size: int, title: str, forces: bool, **options: Any
) -> Iterator[Image.Image]:
    """One picture a step. What does not move is drawn once."""
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


def _write(frames: list[Image.Image], path: str, delay: int) -> None:
    """All pictures share one palette, taken from a few of them: no colour flickers."""
    few = [frames[i] for i in sorted({0, len(frames) // 3, 2 * len(frames) // 3, len(frames) - 1})]
    montage = Image.new("RGB", (few[0].width, few[0].height * len(few)))
    for i, frame in enumerate(few):
        montage.paste(frame, (0, i * frame.height))
    palette = montage.quantize(255)
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[colors.min(axis=1) >= 248] = 255  # paper is white
    palette.putpalette(colors.reshape(-1).tolist())
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [10 * delay] * (len(frames) - 1) + [round(1000 * _HOLD)]
    reduced[0].save(
        path, format="GIF", save_all=True, append_images=reduced[1:], duration=times, loop=0, optimize=False
    )
