"""The kinds of figures of a comparison: which there are, and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..sim import Recording
from .landscape import Landscape
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
    def studies(self) -> Studies | None:
        """What a whole report shows."""
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
    """Why there is no figure of this study."""

    def missing(result: Found) -> str | None:
        if result.studies is None:
            return "not computed: leave out --no-report, or from Python compare(..., studies=True)"
        return result.studies.missing.get(name)

    return missing


def _no_field(result: Found) -> str | None:
    return _no_study("field")(result) or _no_landscape(result)


def _no_bodies(result: Found) -> str | None:
    return _no_scene(result) or _no_study("bodies")(result)


MISSING: dict[str, Callable[[Found], str | None]] = {
    "scene": _no_scene,
    "bodies": _no_bodies,
    "slice": lambda result: None,
    "landscape": _no_landscape,
    "field": _no_field,
    "parameters": lambda result: None,
    **{name: _no_study(name) for name in ("singles", "samples", "scale", "horizon", "stiffness", "growth", "curves")},
}
"""Why there is no figure of a kind for a result, None where there is one; in the order of the report."""


def kinds(result: Found) -> tuple[str, ...]:
    """The kinds of figure that there are for a result: what its objective offers decides."""
    return (MAIN, *(name for name, missing in MISSING.items() if missing(result) is None))


def omitted(result: Found) -> dict[str, str]:
    """The kinds that there are not, and why."""
    reasons = {name: missing(result) for name, missing in MISSING.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}
