"""A scene of one's own as a task: a builder, a control map and a cost, with bodies by name."""

from .bodies import Bodies, Body
from .task import Scene
from .way_points import WayPoints

__all__ = ["Bodies", "Body", "Scene", "WayPoints"]
