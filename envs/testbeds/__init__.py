"""Testbeds: problems of a few lines with known answers, as the literature defines them (docs/tasks/testbeds.md)."""

from .chaos import TentMap
from .choices import BernoulliToy, Choice
from .contact import BoxOnBox, GapPush, ScalarContact
from .disc_packing import DiscPacking
from .discs import Bounce, TwoDiscs
from .double_pendulum import DoublePendulum
from .jumps import DiscIndicator, GrazingPush, HalfPlane, Heaviside
from .point_masses import Curling, DragByFriction, StiffCurling, StiffnessSweep
from .smooth import Horizon, Linear, Quadratic
from .testbed import Experiment
from .throws import BallWithWall, MomentumTransfer

__all__ = [
    "BallWithWall",
    "BernoulliToy",
    "Bounce",
    "BoxOnBox",
    "Choice",
    "Curling",
    "DiscIndicator",
    "DiscPacking",
    "DoublePendulum",
    "DragByFriction",
    "Experiment",
    "GapPush",
    "GrazingPush",
    "HalfPlane",
    "Heaviside",
    "Horizon",
    "Linear",
    "MomentumTransfer",
    "Quadratic",
    "ScalarContact",
    "StiffCurling",
    "StiffnessSweep",
    "TentMap",
    "TwoDiscs",
]
