"""Pictures as a film in a file: GIF, or MP4 (H.264) through imageio-ffmpeg. The file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from ..files.atomic import atomic_path
from ..files.output_folder import OutputError
from ..sim import Recording, RecordingError

__all__ = ["film_interval", "film_steps", "write_film"]

_HOLD = 0.8
"""Seconds for which the last picture of a GIF stays before it starts again."""
_ENDINGS = (".gif", ".mp4")


def film_interval(path: Path, fps: float) -> float:
    """Time between two pictures [s] that the format of ``path`` has nearest to ``fps``; GIF counts in 1/100 s.

    Raises:
        RecordingError: An ending that is not known, imageio-ffmpeg missing, or a rate that cannot be.
    """
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise RecordingError(f"films are GIF or MP4 files: name {path} with the ending .gif or .mp4")
    if ending == ".gif":
        if not 1.0 <= fps <= 50.0:
            raise RecordingError(f"fps must be 1 to 50 pictures a second, which is what GIF can show; got {fps:g}")
        return max(2, round(100.0 / fps)) / 100.0
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise RecordingError(
            "MP4 files need imageio-ffmpeg, which is not installed: pip install 'carom[video]', or write a .gif"
        ) from None
    if not 1.0 <= fps <= 240.0:
        raise RecordingError(f"fps must be 1 to 240 pictures a second; got {fps:g}")
    return 1.0 / fps


def film_steps(recording: Recording, interval: float, speed: float) -> list[int]:
    """Steps to draw, the first and the last among them, for a picture every ``interval`` seconds of the film."""
    if not (0.0 < speed < float("inf")):
        raise RecordingError(f"speed must be positive and finite, got {speed:g}")
    each = speed * interval / recording.step_size
    steps = np.arange(0.0, recording.steps + 1e-9, each).round().astype(int).tolist()
    return steps if steps[-1] == recording.steps else [*steps, recording.steps]


def write_film(path: Path, frames: Iterable[Image.Image], interval: float) -> None:
    """Write the pictures, all of one size, to ``path``.

    Raises:
        OutputError: The file cannot be written.
    """
    ending = path.suffix.lower()
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder. Name a file in it")
    try:
        with atomic_path(path) as temporary:
            (_write_gif if ending == ".gif" else _write_mp4)(frames, str(temporary), interval)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def _write_gif(pictures: Iterable[Image.Image], path: str, interval: float) -> None:
    """All pictures share one palette, taken from a few of them: so that no colour flickers."""
    frames = list(pictures)
    few = [frames[i] for i in sorted({0, len(frames) // 3, 2 * len(frames) // 3, len(frames) - 1})]
    montage = Image.new("RGB", (few[0].width, few[0].height * len(few)))
    for i, frame in enumerate(few):
        montage.paste(frame, (0, i * frame.height))
    palette = montage.quantize(255)
    colors = np.array(palette.getpalette()).reshape(-1, 3)
    colors[colors.min(axis=1) >= 248] = 255  # paper is white
    palette.putpalette(colors.reshape(-1).tolist())
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    times = [round(1000.0 * interval)] * (len(frames) - 1) + [round(1000.0 * _HOLD)]
    reduced[0].save(
        path, format="GIF", save_all=True, append_images=reduced[1:], duration=times, loop=0, optimize=False
    )


def _write_mp4(pictures: Iterable[Image.Image], path: str, interval: float) -> None:
    """Edges are repeated to even sizes, which the colour format of most players asks for."""
    import imageio_ffmpeg

    pictures = iter(pictures)
    first = next(pictures)
    size = (first.width + first.width % 2, first.height + first.height % 2)
    writer = imageio_ffmpeg.write_frames(
        path, size, fps=1.0 / interval, codec="libx264", pix_fmt_in="rgb24", pix_fmt_out="yuv420p", quality=None,
        macro_block_size=2, output_params=["-crf", "20", "-movflags", "+faststart"], ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    try:
        for picture in chain([first], pictures):
            pixels = np.asarray(picture.convert("RGB"))
            padding = ((0, size[1] - pixels.shape[0]), (0, size[0] - pixels.shape[1]), (0, 0))
            writer.send(np.ascontiguousarray(np.pad(pixels, padding, mode="edge")))
    finally:
        writer.close()
