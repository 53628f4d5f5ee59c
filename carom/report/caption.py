"""Text of a figure: title, how to read it, and a description for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..comparison.result import ComparisonResult

__all__ = ["Caption", "listed", "not_there", "shown"]


@dataclass(frozen=True)
class Caption:
    """Texts of one figure."""

    title: str
    text: str
    """Explanation of how to read the figure."""
    alt: str
    """Description of the picture for those who cannot see it."""


def not_there(notes: Iterable[str]) -> str:
    """Sentence on the missing parts; empty where none are missing."""
    said = list(dict.fromkeys(notes))
    return f" Not there: {'; '.join(said)}." if said else ""


def shown(result: ComparisonResult) -> list[str]:
    """Names of the backends that have a gradient."""
    return [row.name for row in result.comparison.rows if row.gradient is not None]


def listed(names: list[str]) -> str:
    """Names with commas and an "and"."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "no backend"
