"""Colours, line styles and markers of backends, the same in every figure and distinguishable for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["CURVE", "RC", "REFERENCE", "Look", "looks"]


@dataclass(frozen=True)
class Look:
    """Style of one backend in figures."""

    color: str
    marker: str
    dashes: tuple[float, ...] = ()


# Okabe and Ito's palette; vermillion, blue and green for the three that are compared by default.
_KNOWN = {
    "autodiff": Look("#D55E00", "s"),
    "smoothing": Look("#0072B2", "o", (5, 1.5)),
    "surrogate": Look("#009E73", "^", (2, 1)),
    "softened": Look("#CC79A7", "D", (4, 1)),
    "smoothing-first": Look("#56B4E9", "v", (7, 1.5, 1.5, 1.5)),
}
_OTHERS = (Look("#E69F00", "P", (1, 1)), Look("#F0E442", "X", (6, 2)), Look("#7A3E00", ">", (3, 1, 1, 1)))

REFERENCE = Look("#000000", "_")
CURVE = "#7A7A7A"
"""Colour of the cost itself."""

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "svg.hashsalt": "carom",
    "svg.fonttype": "path",
}
"""Settings under which every figure is drawn."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name; known backends keep theirs whatever the other names are."""
    chosen: dict[str, Look] = {}
    spare = 0
    for name in names:
        if name in _KNOWN:
            chosen[name] = _KNOWN[name]
        else:
            chosen[name] = _OTHERS[spare % len(_OTHERS)]
            spare += 1
    return chosen
