"""Pieces of a page: HTML5 by templates, every text escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

__all__ = ["Cell", "data_uri", "definitions", "document", "element", "figure", "items", "table"]

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #ffffff; --soft: #5c5c5c; --line: #c9c9c9; --card: #f5f4f0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --paper: #17181a; --soft: #a9a9a9; --line: #4a4a4a; --card: #232528; }
}
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
p.lead { font-size: 1.2rem; font-weight: 600; margin: .2rem 0 .6rem; }
section.summary h2 { margin-top: .4rem; }
.summary { background: var(--card); border-left: .3rem solid #0072B2; padding: .8rem 1.2rem; }
.note, figcaption, caption { color: var(--soft); font-size: .92rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; caption-side: bottom; padding-top: .5rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, th:last-child, td.prose { text-align: left; } td.prose { white-space: normal; min-width: 16rem; }
figure { margin: 1.6rem 0 2.2rem; } figcaption { max-width: 60rem; margin-top: .5rem; }
figcaption strong { color: var(--ink); }
figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    value: float | int | None = None
    """The number behind the text, in full precision."""
    prose: bool = False
    """Whether it is prose rather than a number."""


def element(tag: str, text: str, **attributes: str) -> str:
    """An element with escaped text; ``class_`` stands for the attribute ``class``."""
    given = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return f"<{tag}{given}>{escape(text)}</{tag}>"


def items(texts: Iterable[str]) -> str:
    """A list."""
    return "<ul>\n" + "".join(f"{element('li', text)}\n" for text in texts) + "</ul>"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and what they are."""
    return "<dl>\n" + "".join(f"{element('dt', a)}{element('dd', b)}\n" for a, b in pairs) + "</dl>"


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> str:
    """A table whose first column names the rows. Numbers stand in ``<data value=...>``, unrounded."""
    head = "".join(element("th", text, scope="col") for text in heads)
    body = "".join(f"<tr>{''.join(_cell(cell, first=i == 0) for i, cell in enumerate(row))}</tr>\n" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="table">\n<table>\n{element("caption", caption)}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>"
    )


def _cell(cell: Cell, *, first: bool) -> str:
    if first:
        return element("th", cell.text, scope="row")
    if cell.value is None:
        return element("td", cell.text, **({"class_": "prose"} if cell.prose else {}))
    return f"<td>{element('data', cell.text, value=repr(cell.value))}</td>"


def data_uri(path: Path) -> str:
    """The content of a picture as an address."""
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def figure(name: str, title: str, caption: str, alt: str, source: str) -> str:
    """A picture with its caption; ``source`` is a data URI."""
    return (
        f'<figure id="{escape(name)}">\n<img src="{escape(source)}" alt="{escape(alt)}">\n'
        f"<figcaption>{element('strong', title)} {escape(caption)}</figcaption>\n</figure>"
    )


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'{element("title", title)}\n<link rel="icon" href="data:,">\n<style>{_STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )
