"""Pictures of environments: the class that draws them is named and not imported, as gymnasium names entry points.

Drawing is a higher layer than the environments. It is loaded when the first picture is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

import gymnasium
import numpy as np

from ..control import ControlState, ControlTask
from ..errors import TaskError

__all__ = ["MODES", "RENDERER", "Picture", "checked_mode", "frames_per_second", "picture_of"]

RENDERER = "carom.render.episode:EpisodePicture"
"""Module and class that draws pictures, constructed from a task and the width of the pictures [pixels]."""

MODES = ("rgb_array",)

_SLIDES = 4
"""Pictures a second where an action is no motion."""


class Picture(Protocol):
    """Draws a task's worlds."""

    def __call__(self, state: ControlState, world: int) -> np.ndarray:
        """One world, uint8 [height, width, 3]."""
        ...


def checked_mode(render_mode: Any, width: Any) -> str | None:
    """A way of rendering that there is, or None.

    Raises:
        UnsupportedMode: Another one.
        TaskError: A width that cannot be.
    """
    if render_mode is not None and render_mode not in MODES:
        raise gymnasium.error.UnsupportedMode(
            f"render_mode is {render_mode!r}: give 'rgb_array' or None; gymnasium.make shows a window for 'human' "
            "(with pygame) and collects pictures for 'rgb_array_list'"
        )
    whole = isinstance(width, (int, np.integer)) and not isinstance(width, bool)
    if not whole or not 64 <= width <= 4096:
        raise TaskError(f"render_width is {width!r}: give the width of pictures, 64 to 4096 pixels")
    return render_mode  # type: ignore[no-any-return]


def frames_per_second(task: ControlTask) -> float:
    """Pictures a second, one for each action, for a film that takes as long as what it shows.

    Where an action is no motion but a change of parameters: 4.
    """
    rate = float(_SLIDES) if task.interval is None else 1.0 / task.interval
    whole = round(rate)
    return whole if abs(rate - whole) < 1e-6 * rate else rate


def picture_of(task: ControlTask, width: int) -> Picture:
    """The object that draws the task."""
    module, _, name = RENDERER.partition(":")
    made: Picture = getattr(import_module(module), name)(task, width)
    return made
