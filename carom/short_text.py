"""Words of the short texts that results print as."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "first_numbers"]


def counted(number: int, noun: str) -> str:
    """``1 body``, ``3 bodies``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def first_numbers(values: Sequence[float], most: int = 4) -> str:
    """``[1.62, 0.86, 3.85, 2.32, ...]``: the first numbers, to three digits."""
    shown = [f"{value:.3g}" for value in values[:most]]
    return f"[{', '.join([*shown, '...'] if len(values) > most else shown)}]"
