"""Colours of what is in a scene, the same from above, in perspective and in the viewer."""

from __future__ import annotations

from collections.abc import Mapping

from ..sim import Recording

__all__ = ["DRIVEN", "FORCE", "GOAL", "body_color"]

DRIVEN = "#7A4FA3"
"""Bodies with an actuator."""
GOAL = ("#F7EFC2", "#B59B00")
"""Face and edge of a goal."""
FORCE = "#111111"
_FREE = ("#D2BC94", "#AFC0CE", "#BCCBA9", "#D8B3A5", "#C3B7D3", "#D6CE9F")  # light: arrows lie on them
_STATIC = "#A6A6A6"


def body_color(recording: Recording, body: int, colors: Mapping[str, str]) -> str:
    """Colour of a body (-1 static): the one given by its name, else one by its kind."""
    if body < 0:
        return _STATIC
    name = recording.body_names[body]
    if name in colors:
        return colors[name]
    if body in recording.actuator_body:
        return DRIVEN
    return _FREE[body % len(_FREE)]
