"""What each figure is called, how to read it, and what it says to who cannot see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .scene import is_crowded

if TYPE_CHECKING:
    from ..comparison import CompareResult

__all__ = ["CAPTIONS", "Caption", "describe"]


@dataclass(frozen=True)
class Caption:
    """Words of one figure."""

    title: str
    text: str
    """How to read it."""
    alt: str
    """What is in the picture."""


def describe(result: CompareResult, kind: str) -> Caption:
    """The words of the figure of this kind."""
    return CAPTIONS[kind](result)


def _slice(result: CompareResult) -> Caption:
    return Caption(
        "Cost along a line.",
        f"The cost {result.slice.direction_name}, theta in the middle. Grey: as it is. Dashed black: averaged over "
        f"{result.noise}, with two standard errors. A line through theta is the slope that a backend gives; a right "
        "one touches the curve whose gradient it is: the dashed one for backends that average, the grey one for exact "
        "gradients. A grey curve that is rough at a finer scale than the noise makes exact slopes useless.",
        f"Curves of the hard and the smoothed cost along a line, and {len(_shown(result))} straight lines: the slopes "
        f"by {_listed(_shown(result))}.",
    )


def _landscape(result: CompareResult) -> Caption:
    assert result.landscape is not None
    x, y = (result.names[i] for i in result.landscape.axes)
    return Caption(
        "Cost over two parameters.",
        f"Left as it is, right averaged over {result.noise}, in the same colours; contours at the same costs. The "
        "arrows point downhill, on one scale. They should stand square to the contours of the map whose gradient they "
        "are. Steps and plateaus of the left map are what an exact gradient cannot see across.",
        f"Two maps of the cost over {x} and {y}, with an arrow at theta for each backend and the reference.",
    )


def _parameters(result: CompareResult) -> Caption:
    return Caption(
        "Gradient by parameter.",
        "Black line and grey band: the reference and twice its standard error. Marks: the backends, with twice their "
        "standard error where they have one. A mark whose bar misses the grey band differs by more than chance; a mark "
        "at exactly zero where the band is not is blind. Numbers at the edge are out of the picture.",
        f"Derivatives with respect to {len(result.names)} parameters by {_listed(_shown(result))}, with error bars.",
    )


def _scene(result: CompareResult) -> Caption:
    assert result.recording is not None
    crowded = is_crowded(result.recording)
    before = "before and after the rollout at theta" if crowded else "at the end of the rollout at theta, start dashed"
    return Caption(
        "Gradients on the scene.",
        f"From above, {before}. At each way-point an arrow per backend says how a small step downhill would move it, "
        "all on one scale; the broad grey one is the reference. Arrows that part from it lead elsewhere; a square is "
        "an exact zero; what is marked shortened would leave the picture.",
        f"The scene from above, with arrows at the way-points for the reference and {_listed(_shown(result))}.",
    )


def _shown(result: CompareResult) -> list[str]:
    return [row.name for row in result.comparison.rows if row.gradient is not None]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "no backend"


CAPTIONS: dict[str, Callable[[CompareResult], Caption]] = {
    "slice": _slice,
    "landscape": _landscape,
    "parameters": _parameters,
    "scene": _scene,
}
"""By the kind of figure."""
