"""Parameters as bars, with the cost as text: the picture of an objective without bodies."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["bars"]

_BAR, _LINE, _TEXT, _PALE = (0, 114, 178), (150, 150, 150), (40, 40, 40), (232, 232, 232)
_FINE = 2
"""Pixels drawn along each side of one that is shown."""


def bars(values: np.ndarray, reach: float, title: str, caption: str, width: int, height: int) -> np.ndarray:
    """Bars up and down from a line in the middle, uint8 [height, width, 3].

    Args:
        values: [n].
        reach: At the upper edge; a longer bar makes it longer.
        title: Above.
        caption: Below.
        width: [pixels]
        height: [pixels]
    """
    w, h = _FINE * width, _FINE * height
    image = Image.new("RGB", (w, h), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    size = max(8, h // 20)
    font = _font(size)
    top, bottom, left, right = 2.4 * size, h - 2.4 * size, 1.2 * size, w - 1.2 * size
    middle, scale = 0.5 * (top + bottom), 0.5 * (bottom - top) / max(reach, float(np.abs(values).max()))
    for level in (-reach, reach):
        draw.line([left, middle - scale * level, right, middle - scale * level], fill=_PALE, width=_FINE)
    each = (right - left) / len(values)
    thick = max(1.0, min(0.7 * each, 0.1 * w))
    for number, value in enumerate(values):
        x, y = left + (number + 0.5) * each, middle - scale * float(value)
        draw.rectangle([x - 0.5 * thick, min(y, middle), x + 0.5 * thick, max(y, middle)], fill=_BAR)
    draw.line([left, middle, right, middle], fill=_LINE, width=_FINE)
    draw.text((left, 0.7 * size), title, fill=_TEXT, font=font)
    draw.text((left, h - 1.9 * size), caption, fill=_TEXT, font=font)
    return np.asarray(image.reduce(_FINE))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
