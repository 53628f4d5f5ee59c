"""Backends by name, for the command line."""

from __future__ import annotations

from collections.abc import Callable

from ..plain import plain_numbers
from .control_variates import LAX
from .core.checks import Scale, suggest
from .core.errors import GradientError
from .core.interface import Backend
from .estimators.autodiff import Autodiff
from .estimators.boundary.estimator import Boundary
from .estimators.mixed import Mixed
from .estimators.smoothing.estimator import Smoothing
from .estimators.softened import Softened
from .estimators.surrogate import Surrogate

__all__ = ["backend_names", "make_backend"]

_BACKENDS: dict[str, Callable[[Scale, int], Backend]] = {
    "autodiff": lambda scale, samples: Autodiff(),
    "smoothing": lambda scale, samples: Smoothing(scale=scale, samples=samples, order="zeroth"),
    "smoothing-first": lambda scale, samples: Smoothing(scale=scale, samples=samples, order="first"),
    "boundary": lambda scale, samples: Boundary(
        scale=scale, samples=max(16, samples // 32 * 4), sampling="rqmc", replications=4
    ),
    "mixed": lambda scale, samples: Mixed(
        first=Smoothing(scale=scale, samples=samples, order="first"), zeroth=Smoothing(scale=scale, samples=samples)
    ),
    "lax": lambda scale, samples: LAX(scale=scale, samples=samples),
    "softened": lambda scale, samples: Softened(),
    "softened-forward": lambda scale, samples: Softened(forward=True),
    "surrogate": lambda scale, samples: Surrogate(scale=scale, samples=samples),
}
_ALIASES = {"smoothing-zeroth": "smoothing"}


def backend_names() -> tuple[str, ...]:
    """Names that :func:`make_backend` takes, without aliases."""
    return tuple(_BACKENDS)


@plain_numbers
def make_backend(name: str, *, scale: Scale = 0.02, samples: int = 256) -> Backend:
    """The backend of this name; ``scale`` and ``samples`` go to those that use them."""
    canonical = _ALIASES.get(name, name)
    if canonical not in _BACKENDS:
        raise GradientError(suggest("backend", name, [*_BACKENDS, *_ALIASES]))
    return _BACKENDS[canonical](scale, samples)
