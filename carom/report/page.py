"""The report as one page that needs nothing else: summary, table, figures with captions, and what is not shown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..comparison.figure_kinds import MAIN
from ..files.results import versions
from ..gradients.core.optional import optional
from .figures.all import describe, draw
from .html import Cell, data_uri, definitions, document, element, figure, items, table
from .table import HEADS, comparison_caption, no_bar, row_texts

if TYPE_CHECKING:
    from ..comparison.result import ComparisonResult
    from ..gradients.compare import ComparisonRow

__all__ = ["render_fragment", "render_page"]

_LARGE = 400_000
"""Bytes of a drawing beyond which its picture goes into the page; the drawing lies beside it."""


def render_page(result: ComparisonResult, pictures: Mapping[str, Path]) -> str:
    """The page.

    Args:
        result: Result of a comparison.
        pictures: The files of each figure without their ending, by kind, in the order of the page.
    """
    parts = [
        f"<header>\n{element('h1', f'Gradient of {result.title}')}",
        element("p", _subtitle(result), class_="note"),
        "</header>\n<main>",
        _summary(result),
        _section("comparison", "Backends side by side", _table(result)),
        *([] if result.race is None else [_section("race", "Race at equal work", _race(result))]),
        '<section id="figures">\n<h2>Figures</h2>',
        *(
            _figure(result, kind, number, _picture(path))
            for number, (kind, path) in enumerate(pictures.items(), start=1)
        ),
        "</section>",
        _section("omitted", "Not shown", _omitted(result)),
        _section("settings", "How it was computed", _settings(result)),
        "</main>",
    ]
    return document(f"carom: gradient of {result.title}", "\n".join(parts))


def render_fragment(result: ComparisonResult) -> str:
    """Summary, table and main figure, for a notebook."""
    buffer = BytesIO()
    draw(result, MAIN).savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    source = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
    alt = f"Figures of the gradient of {result.title}: {', '.join(kind for kind in result.figure_kinds)}"
    picture = f'<img style="max-width: 100%; background: white" src="{source}" alt="{escape(alt)}">'
    return f"<div>\n{_summary(result)}\n{_table(result)}\n{picture}\n</div>"


def _section(name: str, title: str, content: str) -> str:
    return f'<section id="{name}">\n{element("h2", title)}\n{content}\n</section>'


def _subtitle(result: ComparisonResult) -> str:
    what = optional(result.objective, "description")
    count = len(result.names)
    parts = [str(what)] if what else []
    return ". ".join([*parts, f"{count} parameter{'s' if count != 1 else ''}"]) + "."


def _summary(result: ComparisonResult) -> str:
    advice = result.advice
    return (
        f'<section id="summary" class="summary">\n<h2>Which backend to use here</h2>\n'
        f"{element('p', advice.headline, class_='lead')}\n{items(advice.reasons)}\n</section>"
    )


def _table(result: ComparisonResult) -> str:
    rows = [_row(result.comparison.reference, "", compared=False)]
    rows += [_row(row, result.verdicts[row.name].text) for row in result.comparison.rows]
    return table(("backend", *HEADS, "verdict"), rows, comparison_caption(result.comparison, result.noise))


def _race(result: ComparisonResult) -> str:
    """One row a backend, the best first, with the seconds of a core beside the rollouts."""
    race = result.race
    assert race is not None
    rows = []
    for entry in race.entries:
        found, seconds = entry.relation, entry.core_seconds
        told = "best" if found is None else found.label
        if not race.descends:
            told = "did not lower the cost"
        factor = "-" if found is None else f"{found.factor:.3g} ({found.low:.3g} to {found.high:.3g})"
        against = race.entries[0].core_seconds
        rows.append(
            [
                Cell(entry.name),
                Cell(entry.arm.text, prose=True),
                Cell(told),
                Cell(factor, None if found is None else found.factor),
                Cell(f"{seconds:.3g}", seconds),
                Cell(f"{seconds / against:.3g}" if against > 0.0 else "-"),
            ]
        )
    rows += [[Cell(name), Cell(reason, prose=True), *[Cell("-")] * 4] for name, reason in race.failed.items()]
    heads = ("backend", "settings", "relation", "times the rollouts", "core s", "times the core s")
    return table(
        heads, rows,
        f"{race.optimizer} from {race.starts} starts, {race.budget:.0f} rollouts each. Times the rollouts: for the "
        "same cost, in the mean over all levels, with 95 % intervals over starts. Core seconds: of the gradients of "
        "whole descents, as measured in this run.",
    )  # fmt: skip


def _row(row: ComparisonRow, verdict: str, *, compared: bool = True) -> list[Cell]:
    """Numbers as ``results.json`` has them behind the rounded ones."""
    values = (
        row.value,
        row.norm,
        row.cosine if compared else None,
        row.relative_error if compared else None,
        None if no_bar(row) else row.standard_error_norm,
        None if no_bar(row) else row.trace_variance,
        None if row.error is not None else row.evaluations,
        None if row.error is not None else row.seconds,
    )
    texts = row_texts(row, compared=compared)
    numbers = [Cell(text, value) for text, value in zip(texts, values, strict=True)]
    return [Cell(row.name), *numbers, Cell(verdict, prose=True)]


def _figure(result: ComparisonResult, kind: str, number: int, source: str) -> str:
    caption = describe(result, kind)
    return figure(f"figure-{kind}", f"Figure {number}. {caption.title}", caption.text, caption.alt, source)


def _picture(path: Path) -> str:
    """The drawing, or the picture where that is the smaller by far."""
    drawing, pixels = (path.with_name(path.name + ending) for ending in (".svg", ".png"))
    large = drawing.stat().st_size > _LARGE and pixels.stat().st_size < drawing.stat().st_size
    return data_uri(pixels if large else drawing)


def _omitted(result: ComparisonResult) -> str:
    if not result.omitted:
        return element("p", "Nothing: every figure that carom knows is above.")
    return definitions(result.omitted.items())


def _settings(result: ComparisonResult) -> str:
    return definitions([*_plain("", result.settings), *_plain("version of ", versions())])


def _plain(prefix: str, entries: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for name, entry in entries.items():
        if isinstance(entry, Mapping):
            yield from _plain(f"{prefix}{name}: ", entry)
        else:
            yield f"{prefix}{name}", str(entry)
