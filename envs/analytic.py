"""The first four testbeds under their former address."""

from .testbeds import GapPush, GrazingPush, Heaviside, Quadratic

__all__ = ["GapPush", "GrazingPush", "Heaviside", "Quadratic"]
