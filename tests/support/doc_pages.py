"""Fenced blocks of the documentation's pages, and what a test does with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SLOW = "<!-- slow to run -->"
"""A page with this comment is run by ``pytest -m slow`` only."""
_FENCE = re.compile(r"^(```+)(.*?)\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
_SKIP = re.compile(r"<!-- not run: (.+) -->\s*\Z")
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    title: str | None
    """Name of the file that the block is."""
    text: str
    line: int
    """Line of its first line in the page, from 1."""
    not_run: str | None
    """Why it is not run, of a comment before it."""


def pages() -> list[Path]:
    """All pages, in order."""
    return sorted(DOCS.rglob("*.md"))


def name_of(page: Path) -> str:
    """A page's name in test ids."""
    return page.relative_to(DOCS).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, _, rest = found[2].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        skip = _SKIP.search(text[: found.start()])
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(language, title and title[1], found[3], line, skip and skip[1])


def same_output(shown: str, printed: str, rtol: float = 0.02) -> str | None:
    """None where both are the same but for spaces and for numbers within ``rtol``; else what differs."""
    words, numbers = [
        [_NUMBER.sub("#", x).split() for x in (shown, printed)],
        [_NUMBER.findall(x) for x in (shown, printed)],
    ]
    if words[0] != words[1]:
        return f"other words: the page shows\n{shown}\nand the code prints\n{printed}"
    for one, other in zip(*numbers, strict=True):
        a, b = (float(x.replace(",", "")) for x in (one, other))
        if abs(a - b) > rtol * max(abs(a), abs(b)):
            return f"the page shows {one}, the code prints {other}"
    return None
