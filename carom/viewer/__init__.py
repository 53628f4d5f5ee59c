"""Runs in the browser: the scene over time, several runs together, forces, gradients and the cost's curve.

Needs the extra ``viewer`` (viser); ``view`` raises an error where it is missing. Nothing in ``carom`` but this package
uses it.
"""

from .app import Viewer, view
from .errors import ViewerError

__all__ = ["Viewer", "ViewerError", "view"]
