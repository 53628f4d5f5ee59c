"""Colours, line styles and markers of backends, the same in every figure and distinguishable for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

__all__ = ["CURVE", "RC", "REFERENCE", "Look", "looks"]


@dataclass(frozen=True)
class Look:
    """Style of one backend in figures."""

    color: str
    marker: str
    dashes: tuple[float, ...] = ()


# The first four are of Okabe and Ito's palette. All twelve have a contrast of 3 or more to white, differ from each
# other by 25 or more in CIE L*a*b* (by 9 as seen without red or green cones), and each has a marker of its own.
_KNOWN = {
    "autodiff": Look("#D55E00", "s"),
    "smoothing": Look("#0072B2", "o", (5, 1.5)),
    "surrogate": Look("#009E73", "^", (2, 1)),
    "softened": Look("#CC79A7", "D", (4, 1)),
    "smoothing-first": Look("#3322BB", "v", (7, 1.5, 1.5, 1.5)),
    "boundary": Look("#229900", ">", (3, 1, 1, 1)),
    "mixed": Look("#881177", "P", (6, 2)),
    "lax": Look("#AA8855", "X", (1, 1)),
    "softened-forward": Look("#884444", "d", (2, 2)),
}
_SPARE = (
    Look("#009999", "<", (5, 1, 1, 1, 1, 1)),
    Look("#2255BB", "*", (8, 2)),
    Look("#555511", "p", (3, 2, 1, 2)),
)

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
    """A look for each name, up to twelve of them different; carom's own backends keep theirs whatever the others are.

    Others get looks in their order: the three that no backend of carom has, those of its backends that are not among
    the names, and from the thirteenth on the same again. Give every figure the same names, also of backends that it
    does not show, so that each has one look in all.
    """
    names = tuple(dict.fromkeys(names))
    free = [*_SPARE, *(look for known, look in _KNOWN.items() if known not in names)]
    spare = cycle([*free, *(look for known, look in _KNOWN.items() if known in names)])
    return {name: _KNOWN[name] if name in _KNOWN else next(spare) for name in names}
