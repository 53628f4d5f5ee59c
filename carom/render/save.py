"""Figures written to files."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from .style import RC

__all__ = ["save_figure"]


def save_figure(figure: Figure, path: Path) -> None:
    """Write ``path``.png and ``path``.svg; the same figure gives the same bytes."""
    with matplotlib.rc_context(RC):
        figure.savefig(path.with_name(path.name + ".png"), dpi=160, metadata={"Software": None})
        figure.set_layout_engine("none")  # laid out already, and a layout takes longer than the drawing
        figure.savefig(path.with_name(path.name + ".svg"), metadata={"Date": None})
