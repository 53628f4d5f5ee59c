"""The exception classes of the gradient backends."""

from __future__ import annotations

__all__ = ["BackendFault", "GradientError"]


class GradientError(ValueError):
    """A gradient cannot be computed as asked; the message names the cause and a way out.

    Every refusal of ``carom.gradients`` is of this class: bad options, bad theta, an objective that returns the wrong
    shape or is not finite, a backend that the objective does not support.
    """


class BackendFault(GradientError):  # noqa: N818 - it is the backend's, not of whoever catches it
    """A backend failed with an error that is no refusal, or answered with something that is no estimate."""
