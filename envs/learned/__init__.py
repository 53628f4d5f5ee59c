"""Learned models of the tasks' dynamics, and planning with them."""

from .pile import PileDynamics, PileModel
from .push import PushDynamics, PushModel

__all__ = ["PileDynamics", "PileModel", "PushDynamics", "PushModel"]
