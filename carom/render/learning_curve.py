"""The curve of a training: cost and success over the steps simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..files.atomic import atomic_path
from .style import RC

__all__ = ["draw_learning_curve"]


def draw_learning_curve(path: Path, history: Mapping[str, Sequence[float | None]], title: str) -> None:
    """Write a PNG: cost and success on validation goals over the steps simulated.

    Args:
        path: Path of the picture.
        history: ``steps``, ``cost`` and ``validation_success`` (None where it was not measured), one entry an update.
        title: Title of the picture.
    """
    steps = [step / 1e6 for step in history["steps"] if step is not None]
    checked = [
        (step, success)
        for step, success in zip(steps, history["validation_success"], strict=True)
        if success is not None
    ]
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.4, 5.0), layout="constrained")
        FigureCanvasAgg(figure)
        top, bottom = figure.subplots(2, 1, sharex=True)
        top.plot(*zip(*[(s, 100 * share) for s, share in checked], strict=True), "o-", color="#0072B2", ms=4)
        top.axhline(90.0, color="#999999", lw=0.8, ls="--")
        top.set_ylim(0.0, 100.0)
        top.set_ylabel("success on unseen goals [%]")
        top.set_title(title)
        bottom.plot(steps, history["cost"], color="#D55E00", lw=1.0)
        bottom.set_yscale("log")
        bottom.set_ylabel("cost of an episode")
        bottom.set_xlabel("control intervals simulated [million]")
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
