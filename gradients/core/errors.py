"""The one exception class of the gradient backends."""

from __future__ import annotations

__all__ = ["GradientError"]


class GradientError(ValueError):
    """A gradient cannot be computed as asked; the message names the cause and a way out.

    Every refusal of ``carom.gradients`` is of this class: bad options, bad theta, an objective that returns the wrong
    shape or is not finite, a backend that the objective does not support.
    """
