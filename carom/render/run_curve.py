"""The curve of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from .save import save_figure
from .style import RC

__all__ = ["save_curve"]

_COLORS = ("#7A7A7A", "#0072B2", "#D55E00", "#009E73")


def save_curve(
    path: Path,
    x: Sequence[float],
    lines: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    x_label: str,
    y_label: str = "cost",
    logarithmic: bool | None = None,
) -> None:
    """Write ``path``.png and ``path``.svg: one line for each entry over ``x``, the last the strongest.

    By default the y axis is logarithmic where all is positive and the largest is more than ten times the least.
    """
    shown = [number for line in lines.values() for number in line if number is not None]
    if logarithmic is None:
        logarithmic = bool(shown) and min(shown) > 0.0 and max(shown) > 10.0 * min(shown)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.subplots()
        for i, (name, line) in enumerate(lines.items()):
            last = i == len(lines) - 1
            numbers = [float("nan") if number is None else number for number in line]
            marker = "o" if len(numbers) == 1 else None
            axes.plot(
                x, numbers, color=_COLORS[i % len(_COLORS)], linewidth=1.8 if last else 0.9, marker=marker, label=name
            )
        if logarithmic:
            axes.set_yscale("log")
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        if len(lines) > 1:
            axes.legend()
        save_figure(figure, path)
