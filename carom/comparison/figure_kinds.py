"""Kinds of figures of a comparison: those that a result has, and the reasons why it lacks the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..sim import Recording
from .landscape import Landscape
from .race import Race
from .studies.all import Studies

__all__ = ["MAIN", "MISSING", "Found", "kinds", "omitted"]

MAIN = "compare"
"""The figure that has the others of a comparison as panels."""


class Found(Protocol):
    """The parts of a comparison on which its figures depend."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        ...

    @property
    def recording(self) -> Recording | None:
        """The rollout at theta."""
        ...

    @property
    def landscape(self) -> Landscape | None:
        """The cost over two parameters."""
        ...

    @property
    def race(self) -> Race | None:
        """The race of descents."""
        ...

    @property
    def studies(self) -> Studies | None:
        """Studies of a whole report."""
        ...


def _no_scene(result: Found) -> str | None:
    if result.recording is not None:
        return None
    return "the objective simulates no bodies that could be drawn: it has no record(theta) and way_points(theta)"


def _no_landscape(result: Found) -> str | None:
    if result.landscape is not None:
        return None
    if len(result.names) < 2:
        return "there is one parameter only; the cost along the line shows all of it"
    return "the objective names no landscape_axes"


def _no_study(name: str) -> Callable[[Found], str | None]:
    """Function that gives the reason why a result has no figure of this study."""

    def missing(result: Found) -> str | None:
        if result.studies is None:
            return "not computed: leave out --no-report, or from Python compare(..., studies=True)"
        return result.studies.missing.get(name)

    return missing


def _no_gradient_field(result: Found) -> str | None:
    return _no_study("field")(result) or _no_landscape(result)


def _no_bodies(result: Found) -> str | None:
    return _no_scene(result) or _no_study("bodies")(result)


MISSING: dict[str, Callable[[Found], str | None]] = {
    "scene": _no_scene,
    "bodies": _no_bodies,
    "slice": lambda result: None,
    "landscape": _no_landscape,
    "field": _no_gradient_field,
    "parameters": lambda result: None,
    **{name: _no_study(name) for name in ("singles", "samples", "scale", "horizon", "stiffness", "growth")},
    "trust": lambda result: None,
    "curves": lambda result: None if result.race is not None else "no race was run: race=False",
}
"""Reason why a result has no figure of a kind, None where it has one; in the order of the report."""


def kinds(result: Found) -> tuple[str, ...]:
    """Kinds of figure that a result has; the capabilities of its objective decide."""
    return (MAIN, *(name for name, missing in MISSING.items() if missing(result) is None))


def omitted(result: Found) -> dict[str, str]:
    """Kinds of figure that a result does not have, with the reasons."""
    reasons = {name: missing(result) for name, missing in MISSING.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}
